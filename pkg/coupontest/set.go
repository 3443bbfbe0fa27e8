package coupontest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"sync"
)

// server is one running server.
type server struct {
	hostport string   // where it is reached: host:port, of several brokers a comma list
	url      *url.URL // Postgres only: a database whose owner may create others
	version  func(context.Context) (string, error)
	stop     func(context.Context) error

	// What can be done to a server that a test has alone.
	kill    func(context.Context) error           // at once, nothing is written any more
	restart func(context.Context) (string, error) // after kill; tells where it is now
	proxy   *proxy
	// throttle leaves it so many processors; nil where that cannot be done.
	throttle func(ctx context.Context, processors float64) error

	brokers []*server // of a Kafka of several, each with its own proxy; the fields above are all of them together
}

// proxies are all that stand before it.
func (s *server) proxies() []*proxy {
	if s.proxy != nil {
		return []*proxy{s.proxy}
	}
	var all []*proxy
	for _, b := range s.brokers {
		all = append(all, b.proxy)
	}
	return all
}

// address is what tests are told: the proxy's, where there is one.
func (s *server) address() string {
	hostport := s.hostport
	if s.proxy != nil {
		hostport = s.proxy.addr()
	}
	if s.url == nil {
		return hostport
	}
	u := *s.url
	u.Host = hostport
	return u.String()
}

// starter starts a server. It tells its clients that it is at advertise, if that isn't empty and servers of its sort tell
// such things.
type starter func(ctx context.Context, s *set, advertise string) (*server, error)

// kind is a way to get servers.
type kind struct {
	name  string
	ready func() error // why none of them can be had; nil: they always can
	start map[Need]starter
}

// EnvServers names the environment variable that chooses the kind of servers.
const EnvServers = "COUPONTEST_SERVERS"

func chosenKind() (kind, error) {
	name := os.Getenv(EnvServers)
	if name == "" {
		name = os.Getenv("REQUIRE") // containers, or nothing
	}
	switch name {
	case "", embeddedKind.name:
		return embeddedKind, nil
	case containersKind.name:
		return containersKind, nil
	case "attach", attachedKind.name:
		return attachedKind, nil
	default:
		return kind{}, fmt.Errorf("%s=%s: not one of embedded, containers, attach", EnvServers, name)
	}
}

// set is at most one server of each need, started when first asked for.
type set struct {
	kind      kind
	err       error // why there can't be any
	alone     bool
	brokers   int // of Kafka, where it is not one
	mu        sync.Mutex
	entries   map[Need]*entry
	reaper    *reaper
	templates templates
}

type entry struct {
	once   sync.Once
	server *server
	err    error
}

func newSet(alone bool) *set {
	s := &set{alone: alone, entries: map[Need]*entry{}, reaper: theReaper}
	s.kind, s.err = chosenKind()
	return s
}

func (s *set) entry(n Need) *entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries[n] == nil {
		s.entries[n] = &entry{}
	}
	return s.entries[n]
}

// start starts what isn't running, side by side, and returns all that was asked for. A server that couldn't be started is
// not tried again.
func (s *set) start(ctx context.Context, needs []Need) (map[Need]*server, error) {
	if s.err != nil {
		return nil, s.err
	}
	if s.kind.ready != nil {
		if err := s.kind.ready(); err != nil {
			return nil, fmt.Errorf("%s servers: %w", s.kind.name, err)
		}
	}
	var wg sync.WaitGroup
	for _, need := range needs {
		wg.Go(func() { s.startOne(ctx, need) })
	}
	wg.Wait()
	running, problems := map[Need]*server{}, []error{}
	for _, need := range needs {
		e := s.entry(need)
		running[need] = e.server
		if e.err != nil {
			problems = append(problems, fmt.Errorf("%s %s: %w", s.kind.name, need, e.err))
		}
	}
	return running, errors.Join(problems...)
}

func (s *set) startOne(ctx context.Context, need Need) {
	e := s.entry(need)
	e.once.Do(func() {
		ctx, cancel := context.WithTimeout(ctx, startTimeout)
		defer cancel()
		e.server, e.err = s.startServer(ctx, need)
	})
}

func (s *set) startServer(ctx context.Context, need Need) (*server, error) {
	start, known := s.kind.start[need]
	if !known {
		return nil, errors.New("no such server")
	}
	if need == Kafka && s.brokers > 0 {
		return startCluster(ctx, s, s.brokers)
	}
	if !s.alone {
		return start(ctx, s, "")
	}
	return behindProxy(func(advertise string) (*server, error) { return start(ctx, s, advertise) })
}

// behindProxy starts a server that keeps its address whatever happens to it.
func behindProxy(start func(advertise string) (*server, error)) (*server, error) {
	p, err := newProxy()
	if err != nil {
		return nil, err
	}
	srv, err := start(p.addr())
	if err != nil {
		p.close()
		return nil, err
	}
	p.direct(srv.hostport)
	srv.proxy = p
	return srv, nil
}

// running are the servers that were started, in the order Kafka, Redis, Postgres.
func (s *set) running() []*server {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*server
	for _, need := range []Need{Kafka, Redis, Postgres} {
		if e := s.entries[need]; e != nil && e.server != nil {
			all = append(all, e.server)
		}
	}
	return all
}

func (s *set) versions(ctx context.Context) ([]string, error) {
	var names []string
	for _, srv := range s.running() {
		name, err := srv.version(ctx)
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}

// close stops everything, last started things last.
func (s *set) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	var problems []error
	if postgres := s.entry(Postgres).server; postgres != nil && s.kind.name == attachedKind.name {
		problems = append(problems, s.templates.drop(ctx, postgres.address()))
	}
	for _, srv := range slices.Backward(s.running()) {
		if srv.proxy != nil {
			srv.proxy.close()
		}
		problems = append(problems, srv.stop(ctx))
	}
	return errors.Join(problems...)
}
