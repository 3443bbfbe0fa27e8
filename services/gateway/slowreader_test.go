package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/firstcome/firstcome/internal/lifecycle"
	"github.com/firstcome/firstcome/internal/telemetry"
)

// pipes is a listener whose connections are pipes, for a bubble of synctest.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (m *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.done:
		return nil, net.ErrClosed
	}
}

func (m *pipes) Close() error   { m.once.Do(func() { close(m.done) }); return nil }
func (m *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "memory"} }

func (m *pipes) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	m.conns <- theirs
	return ours, nil
}

// inMemory serves a stream through all that goes around it, in a bubble of synctest, to a client of one protocol.
func inMemory(t *testing.T, protocol string, news func(r *http.Request, lasted time.Duration) ([]message, bool)) (s *Service, client *http.Client, ended <-chan time.Duration) {
	t.Helper()
	s = &Service{metrics: newMetrics(prometheus.NewRegistry(), func() int { return 0 }, func() int { return 0 })}
	lasted := make(chan time.Duration, 10)
	handler := telemetry.HTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		_ = s.beginStream(w).Pump(r.Context(), nil, func(bool) ([]message, bool) { return news(r, time.Since(began)) })
		lasted <- time.Since(began)
	}), slog.New(slog.DiscardHandler), s.metrics.http)
	ln := newPipes()
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- lifecycle.ServeHTTP(ctx, ln, handler, time.Second) }()
	transport := speaking(protocol)
	transport.DialContext = ln.dial
	client = &http.Client{Transport: transport}
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
		client.CloseIdleConnections()
	})
	return s, client, lasted
}

// Who does not read is dropped; others on the same gateway, and of HTTP/2 on the same connection, notice nothing.
func TestEventStream_SlowReader(t *testing.T) {
	for _, c := range []struct {
		protocol string
		size     int // of each event
	}{{"HTTP/1.1", 1}, {"HTTP/1.1", 1 << 20}, {"HTTP/2.0", 1 << 20}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				data := strings.Repeat("x", c.size)
				s, client, ended := inMemory(t, c.protocol, func(r *http.Request, lasted time.Duration) ([]message, bool) {
					return one(data), r.URL.Path == "/quick" && lasted >= 20*time.Second
				})
				slow, err := client.Get("http://memory/slow") // and reads no further than this
				if err != nil {
					t.Fatal(err)
				}
				defer slow.Body.Close()
				quick := tuneInBy(t, client, "http://memory/quick", nil)
				for i := range 20 {
					if e, over := quick.Next(); over || e.data != data {
						t.Fatalf("event %d has %d bytes, over: %v", i, len(e.data), over)
					}
				}
				// What fits into the client's buffers gets through: of HTTP/2 4 MiB.
				if took := <-ended; took < streamPatience || took > streamPatience+6*time.Second {
					t.Errorf("the slow one ended after %s", took)
				}
				if n := testutil.ToFloat64(s.metrics.dropped); n != 1 {
					t.Errorf("%v streams were dropped", n)
				}
				quick.Next()
				quick.End()
			})
		})
	}
}

// A stream on which nothing happens for long is there when something does.
func TestEventStream_Silence(t *testing.T) {
	for _, protocol := range bothProtocols {
		t.Run(protocol, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, client, ended := inMemory(t, protocol, func(_ *http.Request, lasted time.Duration) ([]message, bool) {
					if lasted >= time.Hour {
						return one("late"), true
					}
					return nil, false
				})
				l := tuneInBy(t, client, "http://memory/", nil)
				if first := <-l.said; first.retry != "1000" {
					t.Errorf("it begins with %+v", first)
				}
				comments := 0
				for e := range l.said {
					if !e.comment && e.data != "late" {
						t.Errorf("the stream says %+v", e)
					}
					comments++
				}
				if lasted := <-ended; lasted != time.Hour || comments != 240 || testutil.ToFloat64(s.metrics.dropped) != 0 {
					t.Errorf("after %s and %d comments and events", lasted, comments)
				}
			})
		})
	}
}
