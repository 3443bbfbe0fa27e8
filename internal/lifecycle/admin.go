package lifecycle

import (
	"context"
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// adminDrain lets a scrape that has begun come to its end.
const adminDrain = time.Second

// ServeAdmin answers on ln until ctx ends:
//
//	GET /livez    200 {"status":"ok"} as long as the process can answer at all
//	GET /readyz   200 {"status":"ready"}, or 503 {"status":"waiting","waits_for":["…"]} with all that ready gives
//	GET /metrics  what reg gathers
func ServeAdmin(ctx context.Context, ln net.Listener, reg *prometheus.Registry, ready ...func() []string) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		writeHealth(w, http.StatusOK, health{Status: "ok"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		var waits []string
		for _, f := range ready {
			waits = append(waits, f()...)
		}
		if len(waits) > 0 {
			writeHealth(w, http.StatusServiceUnavailable, health{Status: "waiting", WaitsFor: waits})
			return
		}
		writeHealth(w, http.StatusOK, health{Status: "ready"})
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{Registry: reg}))
	return ServeHTTP(ctx, ln, mux, adminDrain)
}

type health struct {
	Status   string   `json:"status"`
	WaitsFor []string `json:"waits_for,omitempty"`
}

func writeHealth(w http.ResponseWriter, status int, h health) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(h) // the one asking has gone
}

// Waiting is the list of what a service waits for. The zero value waits for nothing. Safe for concurrent use.
type Waiting struct {
	mu    sync.Mutex
	waits map[string]int
}

// For adds what is waited for, in words that follow "waits for": "topic coupon.requests". done takes it away again; each
// call of For needs its own, and calling it twice is harmless.
func (w *Waiting) For(what string) (done func()) {
	w.add(what, 1)
	return sync.OnceFunc(func() { w.add(what, -1) })
}

func (w *Waiting) add(what string, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waits == nil {
		w.waits = map[string]int{}
	}
	if w.waits[what] += n; w.waits[what] == 0 {
		delete(w.waits, what)
	}
}

// Ready gives what is waited for, ordered; empty when ready.
func (w *Waiting) Ready() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(maps.Keys(w.waits))
}
