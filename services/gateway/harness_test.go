package gateway

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/firstcome/firstcome/internal/env"
	"github.com/firstcome/firstcome/internal/problem"
	"github.com/firstcome/firstcome/internal/token"
	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
)

// TestMain also finds goroutines that a gateway left behind.
func TestMain(m *testing.M) {
	code := coupontest.Wrap(m).Run()
	http.DefaultClient.CloseIdleConnections()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if breaches := published().Breaches(); breaches != "" && code == 0 {
		fmt.Fprintln(os.Stderr, breaches)
		code = 1
	}
	os.Exit(code)
}

const (
	parts      = 3
	adminToken = "admin-secret"
	claimToken = "claim-secret"
	soon       = 2 * time.Minute // longer than anything takes that is going to happen at all
)

// rig is a gateway on real servers with a double of the issuer, and a client.
type rig struct {
	*double
	t       testing.TB
	servers *coupontest.Servers
	service *Service
	stop    func() error // stops the gateway and gives what Run gave; may be called again
}

func newRig(t testing.TB, change ...func(*Config)) *rig {
	t.Helper()
	return newRigOn(t, coupontest.Start(t, coupontest.Kafka, coupontest.Redis), change...)
}

func newRigOn(t testing.TB, servers *coupontest.Servers, change ...func(*Config)) *rig {
	t.Helper()
	servers.CreateTopics(t, parts)
	r := &rig{t: t, servers: servers, double: startDouble(t, servers, parts)}
	r.service, r.stop = startGateway(t, servers, change...)
	eventually(t, "the gateway is ready", func() bool { return len(r.service.Ready()) == 0 })
	return r
}

// newShiftedRig has a gateway whose clock is ahead of everybody else's by so many nanoseconds.
func newShiftedRig(t testing.TB) (r *rig, ahead *atomic.Int64) {
	t.Helper()
	ahead = &atomic.Int64{}
	return newRig(t, func(c *Config) {
		c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	}), ahead
}

func testConfig(t testing.TB, servers *coupontest.Servers) Config {
	cfg := Config{
		Config:      broker.Config{Brokers: servers.Brokers, TopicPrefix: servers.TopicPrefix},
		Redis:       env.Redis{Addr: []string{servers.RedisAddr}, Mode: "single", Prefix: servers.RedisPrefix},
		ListenAddr:  "127.0.0.1:0",
		ClaimIDKeys: "1=" + testKey('k'),
		MaxWaiters:  1000,
	}
	cfg.AdminTokens, cfg.ClaimTokens = tokens(t, "root="+adminToken), tokens(t, "shop="+claimToken)
	return cfg
}

func testKey(b byte) string { return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, 32)) }

func tokens(t testing.TB, list string) token.Set {
	t.Helper()
	set, err := token.Parse(list)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func startGateway(t testing.TB, servers *coupontest.Servers, change ...func(*Config)) (*Service, func() error) {
	t.Helper()
	return startLogging(t, servers, slog.New(slog.NewTextHandler(logTo{t}, &slog.HandlerOptions{Level: slog.LevelWarn})), change...)
}

func startLogging(t testing.TB, servers *coupontest.Servers, log *slog.Logger, change ...func(*Config)) (*Service, func() error) {
	t.Helper()
	cfg := testConfig(t, servers)
	for _, f := range change {
		f(&cfg)
	}
	service, err := New(cfg, log, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- service.Run(ctx) }()
	stop := sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() { _ = stop() })
	return service, stop
}

type logTo struct{ t testing.TB }

func (l logTo) Write(b []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

func eventually(t testing.TB, what string, true_ func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(soon); !true_(); {
		select {
		case <-late:
			t.Fatalf("waited in vain until %s", what)
		case <-tick.C:
		}
	}
}

// request is one call; what is left empty is what a well-behaved client sends.
type request struct {
	method, path, body string
	token              string
	header             http.Header
}

type reply struct {
	status int
	header http.Header
	text   string
	body   map[string]any
}

func (r *rig) do(q request) reply { return do(r.t, r.service, q) }

func do(t testing.TB, s *Service, q request) reply {
	t.Helper()
	got, err := try(s, q)
	if err != nil {
		t.Fatalf("%s %s: %v", q.method, q.path, err)
	}
	return got
}

func try(s *Service, q request) (reply, error) { return tryContext(context.Background(), s, q) }

func tryContext(ctx context.Context, s *Service, q request) (reply, error) {
	req, err := http.NewRequestWithContext(ctx, q.method, "http://"+s.Addr().String()+q.path, strings.NewReader(q.body))
	if err != nil {
		return reply{}, err
	}
	if q.body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if q.token != "" {
		req.Header.Set("Authorization", "Bearer "+q.token)
	}
	for name, values := range q.header {
		req.Header[name] = values
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return reply{}, err
	}
	got := reply{status: res.StatusCode, header: res.Header, text: string(b)}
	if len(b) > 0 {
		err = json.Unmarshal(b, &got.body)
	}
	return got, errors.Join(err, published().Check(req, q.body, got.answer()))
}

func (a reply) string(member string) string { s, _ := a.body[member].(string); return s }
func (a reply) number(member string) int64  { n, _ := a.body[member].(float64); return int64(n) }

// is checks status and problem name; "" is no problem.
func (a reply) is(t testing.TB, status int, name string) reply {
	t.Helper()
	if a.status != status {
		t.Fatalf("answered %d %s, want %d %s", a.status, a.text, status, name)
	}
	if a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("Cache-Control is %q", a.header.Get("Cache-Control"))
	}
	if name == "" {
		return a
	}
	if a.header.Get("Content-Type") != "application/problem+json" || a.string("type") != problem.BaseURL+name {
		t.Fatalf("answered %s %s, want the problem %s", a.header.Get("Content-Type"), a.text, name)
	}
	if id := a.string("correlation_id"); id == "" || id != a.header.Get("X-Correlation-ID") {
		t.Errorf("correlation id %q in the body, %q in the header", id, a.header.Get("X-Correlation-ID"))
	}
	return a
}

func (r *rig) put(id, body string) reply {
	r.t.Helper()
	return r.do(request{method: "PUT", path: "/v1/coupons/" + id, body: body, token: adminToken})
}

func (r *rig) get(path string) reply {
	r.t.Helper()
	return r.do(request{method: "GET", path: path})
}

func claimRequest(coupon, user, prefer string) request {
	b, err := json.Marshal(map[string]string{"user_id": user})
	if err != nil {
		panic(err)
	}
	q := request{method: "POST", path: "/v1/coupons/" + coupon + "/claims", body: string(b), token: claimToken}
	if prefer != "" {
		q.header = http.Header{"Prefer": {prefer}}
	}
	return q
}

func (r *rig) claim(coupon, user, prefer string) reply {
	r.t.Helper()
	return r.do(claimRequest(coupon, user, prefer))
}

// ends are the ends of the requests log's partitions.
func (r *rig) ends() map[int32]int64 {
	r.t.Helper()
	ends, err := r.servers.Kafka(r.t).Ends(context.Background(), r.servers.TopicPrefix+event.TopicRequests)
	if err != nil {
		r.t.Fatal(err)
	}
	return ends
}

// expireGuards ends everybody's minute.
func (r *rig) expireGuards() {
	r.t.Helper()
	r.expire("guard")
}

// records are all that a partition of the requests log holds.
func (r *rig) records(p int32) (all []event.Record) {
	r.t.Helper()
	fetcher := consumer.NewFetcher(r.servers.Kafka(r.t), r.servers.TopicPrefix+event.TopicRequests, p, consumer.FetchConfig{})
	defer fetcher.Close()
	for end := r.ends()[p]; ; {
		next := int64(0)
		if len(all) > 0 {
			next = all[len(all)-1].Offset + 1
		}
		if next >= end {
			return all
		}
		got, err := fetcher.Fetch(r.t.Context(), next)
		if err != nil {
			r.t.Fatal(err)
		}
		all = append(all, got.Records...)
	}
}
