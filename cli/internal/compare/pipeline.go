package compare

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/firstcome/firstcome/cli/internal/endpoint"
	"github.com/firstcome/firstcome/strategy"
)

// pipeline is `firstcome local` as a child, on the run's servers, so that it can be killed.
type pipeline struct {
	place  *place
	redis  *proxy // nil: Redis itself
	folder string
	doors  map[string]string // GATEWAY_URL and others, which stay as they are when it is started again

	mu   sync.Mutex // of those who begin or end it
	cmd  *exec.Cmd  // that ran last
	in   io.Closer
	done chan struct{}
	said bytes.Buffer // read when it has ended
}

// startPipeline returns when it can be asked.
func startPipeline(ctx context.Context, p *place, through *proxy) (*pipeline, error) {
	folder, err := os.MkdirTemp(p.Folder, pipelines)
	if err != nil {
		return nil, err
	}
	l := &pipeline{place: p, redis: through, folder: folder}
	return l, l.start(ctx)
}

// restart kills it and starts it again.
func (l *pipeline) restart(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kill()
	return l.start(ctx)
}

// again is the pause before an address in use is tried again.
const again = 50 * time.Millisecond

// start begins again where the process of before was, unless ctx has ended: then somebody stops it, or has. Its ports may for a
// moment be a client's, so it tries for a while.
func (l *pipeline) start(ctx context.Context) error {
	for began := time.Now(); ctx.Err() == nil; {
		err := l.launch(ctx)
		if err == nil || !strings.Contains(err.Error(), syscall.EADDRINUSE.Error()) || time.Since(began) > stepTimeout {
			return err
		}
		select {
		case <-time.After(again):
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

func (l *pipeline) launch(ctx context.Context) error {
	args := []string{"local", "--until-input-ends", "--data-dir", l.folder, "--kafka", l.place.Kafka, "--redis", l.place.redisAt(l.redis), "--postgres-from-environment"}
	for flag, name := range map[string]string{"--gateway-addr": endpoint.GatewayURL, "--ledger-addr": endpoint.LedgerURL, "--gateway-admin-addr": endpoint.GatewayAdminURL} {
		addr := "127.0.0.1:0"
		if url, before := l.doors[name]; before {
			addr = strings.TrimPrefix(url, "http://")
		}
		args = append(args, flag, addr)
	}
	l.said.Reset()
	cmd, done := exec.Command(l.place.program, args...), make(chan struct{})
	cmd.Env, cmd.Stderr = l.place.environ(l.redis), &l.said
	apart(cmd)
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := os.Remove(endpoint.Path(l.folder)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	l.cmd, l.in, l.done = cmd, in, done
	go func() {
		defer close(done)
		_ = cmd.Wait() // what it said tells more
	}()
	if err := l.await(ctx); err != nil {
		l.kill()
		return fmt.Errorf("the pipeline: %w\n%s", err, strings.TrimSpace(l.said.String()))
	}
	return nil
}

// await returns when the endpoints are written, which comes last.
func (l *pipeline) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for {
		if doors, err := endpoint.Read(endpoint.Path(l.folder)); err == nil {
			l.doors = doors
			return nil
		}
		select {
		case <-l.done:
			return errors.New("it ended by itself")
		case <-ctx.Done():
			return fmt.Errorf("it is not ready: %w", ctx.Err())
		case <-look.C:
		}
	}
}

// shop is how it is spoken to. On loopback nobody has to show a token.
func (l *pipeline) shop() strategy.Log {
	return strategy.Log{GatewayURL: l.doors[endpoint.GatewayURL], LedgerURL: l.doors[endpoint.LedgerURL], HTTP: connections()}
}

// kill ends it as kill -9 does.
func (l *pipeline) kill() {
	_ = l.cmd.Process.Kill()
	<-l.done
}

// stop ends it in order. It must have run.
func (l *pipeline) stop() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.in.Close()
	select {
	case <-l.done:
	case <-time.After(stepTimeout):
		l.kill()
	}
	if !l.cmd.ProcessState.Success() {
		log, _ := os.ReadFile(filepath.Join(l.folder, "local.log"))
		return fmt.Errorf("the pipeline ended with %s\n%s\n%s", l.cmd.ProcessState, l.said.String(), log[max(0, len(log)-2000):])
	}
	return nil
}
