package lifecycle

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestServeAdmin(t *testing.T) {
	ln, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewRegistry()
	granted := prometheus.NewCounter(prometheus.CounterOpts{Name: "coupon_test_grants_total", Help: "Grants."})
	reg.MustRegister(granted)
	granted.Inc()
	var gateway, ledger Waiting
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- ServeAdmin(ctx, ln, reg, gateway.Ready, ledger.Ready) }()

	ask := func(path string) (int, string) {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := client.Get("http://" + ln.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, strings.TrimSpace(string(body))
	}
	expect := func(path string, status int, body string) {
		t.Helper()
		if s, b := ask(path); s != status || b != body {
			t.Errorf("%s: %d %s, want %d %s", path, s, b, status, body)
		}
	}
	expect("/livez", 200, `{"status":"ok"}`)
	expect("/readyz", 200, `{"status":"ready"}`)
	here := gateway.For("topic coupon.requests")
	there := ledger.For("Postgres")
	expect("/livez", 200, `{"status":"ok"}`)
	expect("/readyz", 503, `{"status":"waiting","waits_for":["topic coupon.requests","Postgres"]}`)
	here()
	expect("/readyz", 503, `{"status":"waiting","waits_for":["Postgres"]}`)
	there()
	expect("/readyz", 200, `{"status":"ready"}`)
	if status, body := ask("/metrics"); status != 200 || !strings.Contains(body, "coupon_test_grants_total 1") {
		t.Errorf("/metrics: %d %s", status, body)
	}
	if status, _ := ask("/"); status != 404 {
		t.Errorf("/: %d", status)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestWaiting(t *testing.T) {
	var w Waiting
	if got := w.Ready(); len(got) != 0 {
		t.Errorf("waits for %v", got)
	}
	first, second, redis := w.For("Kafka"), w.For("Kafka"), w.For("Redis")
	first()
	first() // harmless
	if got := w.Ready(); !slices.Equal(got, []string{"Kafka", "Redis"}) {
		t.Errorf("waits for %v", got)
	}
	second()
	redis()
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { w.For("Kafka")() })
	}
	all.Wait()
	if got := w.Ready(); len(got) != 0 {
		t.Errorf("waits for %v", got)
	}
}
