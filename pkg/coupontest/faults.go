package coupontest

import (
	"context"
	"testing"
)

// Kill ends one of the test's own servers at once, as kill -9 does (an embedded Kafka or Redis lives in this process and is
// closed instead). Kafka and Postgres keep their data; an embedded Redis comes back empty, one in a container with what it
// last wrote to its disk, which is nothing unless it was told to.
func (s *Servers) Kill(t testing.TB, n Need) {
	t.Helper()
	srv := s.own(t, n)
	must(t, "kill "+string(n), srv.kill)
	srv.proxy.cut()
}

// Restart starts a server that was killed, at the same address, and returns when it answers.
func (s *Servers) Restart(t testing.TB, n Need) {
	t.Helper()
	srv := s.own(t, n)
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	hostport, err := srv.restart(ctx)
	if err != nil {
		t.Fatalf("coupontest: restart %s: %v", n, err)
	}
	srv.hostport = hostport
	srv.proxy.direct(hostport)
}

// Pause holds back every byte to and from one of the test's own servers until Resume: connections stay open and nobody
// answers. The server itself goes on, so what was in flight may have been done.
func (s *Servers) Pause(t testing.TB, n Need) {
	t.Helper()
	s.own(t, n).proxy.hold()
}

// Resume ends Pause; what was held back arrives.
func (s *Servers) Resume(t testing.TB, n Need) {
	t.Helper()
	s.own(t, n).proxy.release()
}

func (s *Servers) own(t testing.TB, n Need) *server {
	t.Helper()
	if !s.alone {
		t.Fatal("coupontest: other tests use these servers too; a test that breaks some asks for its own by StartAlone")
	}
	srv := s.set.entry(n).server
	if srv == nil {
		t.Fatalf("coupontest: %v", n.missing())
	}
	return srv
}
