package gateway

import (
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/firstcome/firstcome/internal/env"
	"github.com/firstcome/firstcome/internal/token"
	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
)

// It starts before its servers have what it needs, says what it waits for, and answers as soon as it is there.
func TestGateway_StartsInAnyOrder(t *testing.T) {
	t.Parallel()
	servers := coupontest.Start(t, coupontest.Kafka, coupontest.Redis)
	s, stop := startGateway(t, servers)
	eventually(t, "it waits for the topics alone", func() bool {
		return fmt.Sprint(s.Ready()) == fmt.Sprintf("[topics %scoupon.requests and %[1]scoupon.grants]", servers.TopicPrefix)
	})
	for _, q := range []request{{method: "GET", path: "/v1/coupons"}, {method: "GET", path: "/v1/coupons/tea"}, claimRequest("tea", "u", "wait=5"),
		{method: "PUT", path: "/v1/coupons/tea", body: `{"limit":1}`, token: adminToken},
		{method: "GET", path: "/v1/claims/" + s.sealer.Seal(someTicket)}} {
		if got := do(t, s, q).is(t, 503, "unavailable"); got.header.Get("Retry-After") != "1" {
			t.Errorf("%s: Retry-After %q", q.path, got.header.Get("Retry-After"))
		}
	}
	do(t, s, request{method: "POST", path: "/v1/coupons/tea/claims", body: "{", token: claimToken}).is(t, 400, "malformed")
	servers.CreateTopics(t, parts)
	startDouble(t, servers, parts)
	eventually(t, "it is ready", func() bool { return len(s.Ready()) == 0 })
	do(t, s, request{method: "PUT", path: "/v1/coupons/tea", body: `{"limit":1}`, token: adminToken}).is(t, 201, "")
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// Nothing is there at all.
func TestGateway_NoServers(t *testing.T) {
	t.Parallel()
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody.Close()
	s, stop := startGateway(t, &coupontest.Servers{Brokers: []string{nobody.Addr().String()}, RedisAddr: nobody.Addr().String(), RedisPrefix: "x"})
	if waits := strings.Join(s.Ready(), ", "); waits != "kafka, redis, topics coupon.requests and coupon.grants" {
		t.Errorf("waits for %q", waits)
	}
	do(t, s, claimRequest("tea", "u", "")).is(t, 503, "unavailable")
	if err := stop(); err != nil {
		t.Errorf("stopped with %v", err)
	}
}

func TestGateway_UnfitTopics(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		requests, grants broker.TopicSpec
		want             string
	}{
		"partitions differ": {
			broker.TopicSpec{Partitions: 2, Config: map[string]string{"message.timestamp.type": "LogAppendTime"}},
			broker.TopicSpec{Partitions: 3}, "must agree",
		},
		"the clients' clocks": {broker.TopicSpec{Partitions: 2}, broker.TopicSpec{Partitions: 2}, "CreateTime"},
	} {
		t.Run(what, func(t *testing.T) {
			servers := coupontest.Start(t, coupontest.Kafka, coupontest.Redis)
			c.requests.Name, c.grants.Name = servers.TopicPrefix+event.TopicRequests, servers.TopicPrefix+event.TopicGrants
			c.requests.Replication, c.grants.Replication = 1, 1
			if err := servers.Kafka(t).CreateTopics(t.Context(), []broker.TopicSpec{c.requests, c.grants}); err != nil {
				t.Fatal(err)
			}
			service, err := New(testConfig(t, servers), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
			if err != nil {
				t.Fatal(err)
			}
			if err := service.Run(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Run gives %v, want something about %q", err, c.want)
			}
		})
	}
}

// When it stops, the people who wait are told where to ask.
func TestGateway_StopsWithClaimsInFlight(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.put("tea", `{"limit":3}`).is(t, 201, "")
	goOn := r.Hold()
	defer goOn()
	var people sync.WaitGroup
	answers := make([]reply, 20)
	for i := range answers {
		people.Go(func() {
			var err error
			if answers[i], err = try(r.service, claimRequest("tea", fmt.Sprint("u", i), "wait=30")); err != nil {
				t.Error(err)
			}
		})
	}
	var put reply
	eventually(t, "all claims are in the log", func() bool { return r.ends()[event.Partition("tea", parts)] == 21 })
	people.Go(func() {
		var err error
		if put, err = try(r.service, request{method: "PUT", path: "/v1/coupons/tea", body: `{"limit":4}`, token: adminToken}); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "the definition is in the log", func() bool { return r.ends()[event.Partition("tea", parts)] == 22 })
	began := time.Now()
	if err := r.stop(); err != nil {
		t.Errorf("stopped with %v", err)
	}
	if took := time.Since(began); took >= drain {
		t.Errorf("stopping took %s: those who wait were not told", took)
	}
	people.Wait()
	for _, a := range answers {
		if a.is(t, 202, "").string("claim_id") == "" {
			t.Errorf("answered %s", a.text)
		}
	}
	put.is(t, 503, "unavailable")
}

func TestNew_Anonymous(t *testing.T) {
	t.Parallel()
	servers := &coupontest.Servers{Brokers: []string{"127.0.0.1:1"}, RedisAddr: "127.0.0.1:1", RedisPrefix: "x"}
	cfg := testConfig(t, servers)
	cfg.AdminTokens, cfg.ClaimTokens, cfg.AllowAnonymous = token.Set{}, token.Set{}, true
	for addr, okay := range map[string]bool{"127.0.0.1:0": true, "[::1]:0": true, "0.0.0.0:0": false, ":0": false} {
		cfg.ListenAddr = addr
		s, err := New(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		if err != nil && strings.Contains(err.Error(), "cannot assign") {
			continue // a machine without IPv6
		}
		if (err == nil) != okay {
			t.Errorf("without tokens on %s: %v", addr, err)
		}
		if err == nil {
			s.listener.Close()
		}
	}
}

func TestGateway_Anonymous(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.AdminTokens, c.ClaimTokens, c.AllowAnonymous = token.Set{}, token.Set{}, true })
	r.do(request{method: "PUT", path: "/v1/coupons/tea", body: `{"limit":1}`}).is(t, 201, "")
	q := claimRequest("tea", "u", "wait=9")
	q.token = ""
	r.do(q).is(t, 200, "")
}

func TestConfig_AllProblemsAtOnce(t *testing.T) {
	for name, value := range map[string]string{
		"KAFKA_BROKERS": "", "REDIS_ADDR": "localhost", "REDIS_MODE": "sentinel", "ADMIN_TOKENS": "", "CLAIM_TOKENS": "x", "CLAIM_ID_KEYS": "1=short",
		"MAX_WAITERS": "-1",
	} {
		t.Setenv(name, value)
	}
	var cfg Config
	err := env.Load(&cfg)
	if err == nil {
		t.Fatal("no problem")
	}
	for _, name := range []string{"KAFKA_BROKERS", "REDIS_ADDR", "REDIS_MASTER", "ADMIN_TOKENS", "CLAIM_TOKENS", "CLAIM_ID_KEYS", "MAX_WAITERS"} {
		if strings.Count(err.Error(), name) != 1 {
			t.Errorf("%s is not named once in: %v", name, err)
		}
	}
}

func TestGateway_Metrics(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.put("tea", `{"limit":1}`).is(t, 201, "")
	r.claim("tea", "u1", "wait=9").is(t, 200, "")
	r.claim("tea", "u1", "wait=9").is(t, 409, "duplicate-request")
	r.claim("tea", "u2", "wait=9").is(t, 409, "sold-out")
	for result, want := range map[string]float64{"appended": 1, "held": 1, "sold_out": 1, "shed": 0} {
		if got := testutil.ToFloat64(r.service.metrics.claims.WithLabelValues(result)); got != want {
			t.Errorf("claims %s: %v, want %v", result, got, want)
		}
	}
}
