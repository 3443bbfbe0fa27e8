// Package local runs all of Firstcome in one process: gateway, issuer and ledger, on embedded servers or on given ones.
package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"github.com/firstcome/firstcome/cli/internal/endpoint"
	"github.com/firstcome/firstcome/internal/lifecycle"
	"github.com/firstcome/firstcome/internal/telemetry"
)

// Config is one local mode. A server that is not given is embedded.
type Config struct {
	DataDir     string // keeps topics, Postgres, the claim-id key and the endpoints
	GatewayAddr string
	LedgerAddr  string
	AdminAddr   string // health and metrics of all three services
	Kafka       string // comma list of host:port
	Redis       string // host:port, or a comma list
	Postgres    string // URL
	Partitions  int    // of the topics, where they are made
	Getenv      func(string) string
	Log         *slog.Logger // nil: into a file of the data folder
	Say         func(string) // tells what takes time
}

// Local is a running local mode.
type Local struct {
	Endpoints map[string]string

	folder   *folder
	servers  *Servers
	services *errgroup.Group
	stop     context.CancelFunc
	ended    context.Context // ends with the first service that ends
	ready    []func() []string
	closers  []func() error
}

// Start returns when everything is ready to be asked; what it started ends with Close. It takes over from a run that was
// killed. Only one process at a time can have a data folder.
func Start(ctx context.Context, cfg Config) (_ *Local, err error) {
	l := &Local{}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Close())
		}
	}()
	if l.folder, err = open(cfg.DataDir); err != nil {
		return nil, err
	}
	l.closers = append(l.closers, l.folder.close)
	if cfg.Log == nil {
		if cfg.Log, err = l.openLog(); err != nil {
			return nil, err
		}
	}
	doors, err := l.listen(cfg)
	if err != nil {
		return nil, err
	}
	if l.servers, err = startServers(ctx, cfg, l.folder); err != nil {
		return nil, err
	}
	l.closers = append(l.closers, l.servers.Close)
	if err := l.servers.ensureTopics(ctx, cfg); err != nil {
		return nil, err
	}
	if err := l.startServices(cfg, doors); err != nil {
		return nil, err
	}
	if err := l.waitReady(ctx, cfg.Say); err != nil {
		return nil, err
	}
	l.Endpoints = l.servers.endpoints()
	l.Endpoints[endpoint.GatewayURL], l.Endpoints[endpoint.GatewayAdminURL], l.Endpoints[endpoint.LedgerURL] = doors.gateway.url(), doors.admin.url(), doors.ledger.url()
	return l, endpoint.Write(endpoint.Path(l.folder.dir), l.Endpoints)
}

// EndpointsFile is where Start wrote the endpoints.
func (l *Local) EndpointsFile() string { return endpoint.Path(l.folder.dir) }

// openLog keeps the log of one run before this one.
func (l *Local) openLog() (*slog.Logger, error) {
	f, err := rotate(l.folder.path(logFile))
	if err != nil {
		return nil, err
	}
	l.closers = append(l.closers, f.Close)
	return telemetry.NewLogger(f, slog.LevelInfo), nil
}

type door struct{ net.Listener }

func (d door) url() string { return "http://" + d.Addr().String() }

func (d door) loopback() bool {
	tcp, ok := d.Addr().(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

type doors struct{ gateway, ledger, admin door }

// listen comes before the servers, so that a port that is taken is told at once.
func (l *Local) listen(cfg Config) (d doors, err error) {
	for _, want := range []struct {
		door       *door
		addr, last string
		flag       string
	}{
		{&d.gateway, cfg.GatewayAddr, endpoint.GatewayURL, "--gateway-addr"},
		{&d.ledger, cfg.LedgerAddr, endpoint.LedgerURL, "--ledger-addr"},
		{&d.admin, cfg.AdminAddr, endpoint.GatewayAdminURL, "--gateway-admin-addr"},
	} {
		ln, err := l.folder.listen(want.addr, want.last)
		if err != nil {
			return d, fmt.Errorf("%w (%s gives another address; port 0 takes any that is free)", err, want.flag)
		}
		want.door.Listener = ln
		l.closers = append(l.closers, func() error { return ignoreClosed(ln.Close()) })
	}
	return d, nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// service is one of the three.
type service interface {
	Run(ctx context.Context) error
	Ready() []string
}

func (l *Local) startServices(cfg Config, d doors) error {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	all, err := newServices(cfg, l, d, reg)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	l.stop = stop
	l.services, l.ended = errgroup.WithContext(ctx)
	for name, s := range all {
		l.ready = append(l.ready, s.Ready)
		l.services.Go(func() error {
			err := s.Run(l.ended)
			if err == nil && ctx.Err() == nil {
				err = errors.New("ended by itself")
			}
			if err != nil && ctx.Err() == nil {
				cfg.Log.Error("a service ended", "service", name, "error", err.Error())
				return fmt.Errorf("the %s stopped: %w", name, err)
			}
			return nil
		})
	}
	l.services.Go(l.watchPostgres)
	l.services.Go(func() error { return lifecycle.ServeAdmin(l.ended, d.admin, reg, l.ready...) })
	return nil
}

// watchPostgres ends everything with a Postgres that somebody stopped: a ledger that waits for it for ever helps nobody,
// and the next start brings it back.
func (l *Local) watchPostgres() error {
	select {
	case <-l.servers.exited:
		return errors.New("the embedded Postgres has ended: start again, all data are still there")
	case <-l.ended.Done():
		return nil
	}
}

const (
	readyPause   = 20 * time.Millisecond
	readyPatient = 5 * time.Second // then it says what it waits for
)

// waitReady tells once in a while what it waits for.
func (l *Local) waitReady(ctx context.Context, say func(string)) error {
	next := time.Now().Add(readyPatient)
	for {
		waits := l.Waits()
		if len(waits) == 0 {
			return nil
		}
		if time.Now().After(next) {
			say(fmt.Sprintf("waiting for %s", sentence(waits)))
			next = time.Now().Add(readyPatient)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("interrupted while waiting for %s", sentence(waits))
		case <-l.ended.Done():
			return l.services.Wait()
		case <-time.After(readyPause):
		}
	}
}

// Waits is what the services wait for; empty when they are ready.
func (l *Local) Waits() []string {
	var all []string
	for _, ready := range l.ready {
		all = append(all, ready()...)
	}
	return all
}

// Ended is closed when a service ended, which none should.
func (l *Local) Ended() <-chan struct{} { return l.ended.Done() }

// Close stops the services, which answer the claims in flight, and then the servers. All data stay.
func (l *Local) Close() error {
	var errs []error
	if l.stop != nil {
		l.stop()
		errs = append(errs, l.services.Wait())
		l.stop = nil
	}
	for i := len(l.closers) - 1; i >= 0; i-- {
		errs = append(errs, l.closers[i]())
	}
	l.closers = nil
	return errors.Join(errs...)
}
