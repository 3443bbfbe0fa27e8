package coupontest

import (
	"context"
	"fmt"
	"testing"
)

// Kill ends one of the test's own servers at once, as kill -9 does (an embedded Kafka or Redis lives in this process and is
// closed instead). Kafka and Postgres keep their data; an embedded Redis comes back empty, one in a container with what it
// last wrote to its disk, which is nothing unless it was told to: by CONFIG SET (save and appendonly are off, dbfilename may
// be set) and CONFIG REWRITE, by SAVE. An append-only file counts once INFO says aof_rewrite_in_progress:0.
func (s *Servers) Kill(t testing.TB, n Need) {
	t.Helper()
	s.own(t, n).die(t, string(n))
}

// Restart starts a server that was killed, at the same address, and returns when it answers.
func (s *Servers) Restart(t testing.TB, n Need) {
	t.Helper()
	s.own(t, n).live(t, string(n))
}

// KillRedis kills the test's own Redis and starts it again: empty, unless it was told to keep what it had (see Kill).
func (s *Servers) KillRedis(t testing.TB) {
	t.Helper()
	s.Kill(t, Redis)
	s.Restart(t, Redis)
}

// PauseBroker pauses the test's own Kafka until resume is called, or the test ends.
func (s *Servers) PauseBroker(t testing.TB) (resume func()) {
	t.Helper()
	s.Pause(t, Kafka)
	resume = func() { s.Resume(t, Kafka) }
	t.Cleanup(resume)
	return resume
}

func (s *server) die(t testing.TB, name string) {
	t.Helper()
	if s.kill == nil {
		t.Fatalf("coupontest: %s is several brokers: KillBroker kills one", name)
	}
	must(t, "kill "+name, s.kill)
	s.proxy.die()
}

func (s *server) live(t testing.TB, name string) {
	t.Helper()
	if s.restart == nil {
		t.Fatalf("coupontest: %s is several brokers: RestartBroker starts one", name)
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	hostport, err := s.restart(ctx)
	if err != nil {
		t.Fatalf("coupontest: restart %s: %v", name, err)
	}
	s.hostport = hostport
	if err := s.proxy.live(ctx, hostport); err != nil {
		t.Fatalf("coupontest: restart %s: %v", name, err)
	}
}

// Pause holds back every byte to and from one of the test's own servers until Resume: connections stay open and nobody
// answers. The server itself goes on, so what was in flight may have been done.
func (s *Servers) Pause(t testing.TB, n Need) {
	t.Helper()
	for _, p := range s.own(t, n).proxies() {
		p.hold()
	}
}

// Resume ends Pause; what was held back arrives.
func (s *Servers) Resume(t testing.TB, n Need) {
	t.Helper()
	for _, p := range s.own(t, n).proxies() {
		p.release()
	}
}

// Throttle leaves one of the test's own servers so many processors, such as 0.3: it becomes slow, and what it does comes in
// bursts. Only containers can be throttled.
func (s *Servers) Throttle(t testing.TB, n Need, processors float64) {
	t.Helper()
	srv := s.own(t, n)
	must(t, "throttle "+string(n), func(ctx context.Context) error { return srv.slow(ctx, processors) })
}

func (s *server) slow(ctx context.Context, processors float64) error {
	if s.throttle == nil {
		return fmt.Errorf("only one server in a container can be throttled (%s=%s)", EnvServers, containersKind.name)
	}
	return s.throttle(ctx, processors)
}

func (s *Servers) own(t testing.TB, n Need) *server {
	t.Helper()
	if !s.alone {
		t.Fatal("coupontest: other tests use these servers too; a test that breaks some has its own: coupontest.StartAlone(t), and on them the pipeline: coupontest.StartAlone(t).Pipeline(t)")
	}
	srv := s.set.entry(n).server
	if srv == nil {
		t.Fatalf("coupontest: %v", n.missing())
	}
	return srv
}
