// Package gateway_test tells the gateway's stories end to end: gateway and issuer as they are, on real servers or the
// embedded ones (see package coupontest), spoken to over HTTP alone.
package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/firstcome/firstcome/internal/env"
	"github.com/firstcome/firstcome/internal/token"
	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/gateway"
	"github.com/firstcome/firstcome/services/issuer"
)

func TestMain(m *testing.M) { coupontest.Main(m) }

const (
	parts       = 3
	admin       = "admin-secret"
	shop        = "shop-secret"
	claimIDKeys = "7=MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI="
	soon        = 2 * time.Minute // longer than anything takes that is going to happen at all
)

// world is an issuer and some gateways on a test's own place.
type world struct {
	t        *testing.T
	servers  *coupontest.Servers
	gateways []*gateway.Service
	ledger   string // its address, where there is one
}

func newWorld(t *testing.T, gateways int) *world {
	t.Helper()
	return newWorldOn(t, coupontest.Start(t, coupontest.Kafka, coupontest.Redis), gateways)
}

func newWorldOn(t *testing.T, servers *coupontest.Servers, gateways int, change ...func(*gateway.Config)) *world {
	t.Helper()
	w := &world{t: t, servers: servers}
	w.servers.CreateTopics(t, parts)
	kafka := broker.Config{Brokers: w.servers.Brokers, TopicPrefix: w.servers.TopicPrefix}
	redis := w.redis()
	log := slog.New(slog.NewTextHandler(lines{t}, &slog.HandlerOptions{Level: slog.LevelWarn}))

	i, err := issuer.New(issuer.Config{Config: kafka, Redis: redis, AllowCreateTime: true}, log, prometheus.NewRegistry())
	w.run(err, i)
	for range gateways {
		cfg := gateway.Config{
			Config: kafka, Redis: redis, ListenAddr: "127.0.0.1:0", AllowCreateTime: true,
			AdminTokens: tokens(t, "root="+admin), ClaimTokens: tokens(t, "shop="+shop),
			ClaimIDKeys: claimIDKeys,
		}
		for _, f := range change {
			f(&cfg)
		}
		g, err := gateway.New(cfg, log, prometheus.NewRegistry())
		w.run(err, g)
		w.gateways = append(w.gateways, g)
	}
	w.eventually("all are ready", func() bool {
		ready := len(i.Ready()) == 0
		for _, g := range w.gateways {
			ready = ready && len(g.Ready()) == 0
		}
		return ready
	})
	return w
}

func (w *world) redis() env.Redis {
	return env.Redis{Addr: []string{w.servers.RedisAddr}, Mode: "single", Prefix: w.servers.RedisPrefix}
}

func (w *world) run(err error, service interface{ Run(context.Context) error }) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- service.Run(ctx) }()
	w.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			w.t.Errorf("%T stopped with %v", service, err)
		}
	})
}

type lines struct{ t *testing.T }

func (l lines) Write(b []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

func tokens(t *testing.T, list string) token.Set {
	t.Helper()
	set, err := token.Parse(list)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func (w *world) eventually(what string, so func() bool) {
	w.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(soon); !so(); {
		select {
		case <-late:
			w.t.Fatalf("waited in vain until %s", what)
		case <-tick.C:
		}
	}
}

// call is one request to the first gateway, unless another is named.
type call struct {
	method, path, token string
	body                string
	header              map[string]string
	gateway             int
}

type answer struct {
	Status int
	Header http.Header
	Text   string

	Type          string
	Outcome       string
	State         string `json:"-"` // status of the claim or coupon
	ClaimID       string `json:"claim_id"`
	Sequence      int64
	GrantID       string `json:"grant_id"`
	Granted       int64
	CorrelationID string `json:"correlation_id"`
	Grant         struct {
		GrantID  string `json:"grant_id"`
		Sequence int64
	}
}

func (w *world) do(c call) (answer, error) {
	r, err := http.NewRequest(c.method, "http://"+w.gateways[c.gateway].Addr().String()+c.path, strings.NewReader(c.body))
	if err != nil {
		return answer{}, err
	}
	if c.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	for name, value := range c.header {
		r.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return answer{}, err
	}
	a := answer{Status: res.StatusCode, Header: res.Header, Text: string(text)}
	var state struct{ Status any }
	if err := json.Unmarshal(text, &state); err != nil {
		return a, err
	}
	if s, ok := state.Status.(string); ok {
		a.State = s
	}
	// "status" is a number in problems and a word elsewhere.
	status := a.Status
	err = json.Unmarshal(bytes.Replace(text, []byte(`"status":"`), []byte(`"state":"`), 1), &a)
	a.Status = status
	return a, err
}

// want asks until the answer is another than "not available right now", which a slow machine may well give.
func (w *world) want(c call, status int, problem string) answer {
	w.t.Helper()
	var a answer
	w.eventually("there is an answer", func() (answered bool) {
		var err error
		if a, err = w.do(c); err != nil {
			w.t.Fatal(err)
		}
		return a.Status != http.StatusServiceUnavailable
	})
	if problem != "" {
		problem = "https://firstcome.dev/problems/" + problem
	}
	if a.Status != status || a.Type != problem {
		w.t.Fatalf("%s %s: answered %d %s, want %d %s", c.method, c.path, a.Status, a.Text, status, problem)
	}
	if problem != "" && (a.CorrelationID == "" || a.Header.Get("Content-Type") != "application/problem+json") {
		w.t.Errorf("%s %s: a problem without correlation id or type: %v %s", c.method, c.path, a.Header, a.Text)
	}
	return a
}

func put(coupon, body string) call {
	return call{method: "PUT", path: "/v1/coupons/" + coupon, token: admin, body: body}
}

func get(path string) call { return call{method: "GET", path: path} }

func claim(coupon, user string, wait string) call {
	body, err := json.Marshal(map[string]string{"user_id": user})
	if err != nil {
		panic(err)
	}
	c := call{method: "POST", path: "/v1/coupons/" + coupon + "/claims", token: shop, body: string(body)}
	if wait != "" {
		c.header = map[string]string{"Prefer": "wait=" + wait}
	}
	return c
}

// requests is how many records the requests log holds.
func (w *world) requests() (n int64) {
	w.t.Helper()
	ends, err := w.servers.Kafka(w.t).Ends(context.Background(), w.servers.TopicPrefix+event.TopicRequests)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, end := range ends {
		n += end
	}
	return n
}

// journal is all grants of a coupon, duplicates dropped as consumers do.
func (w *world) journal(coupon string) (grants []event.CouponGranted) {
	w.t.Helper()
	f := consumer.NewFetcher(w.servers.Kafka(w.t), w.servers.TopicPrefix+event.TopicGrants, event.Partition(coupon, parts), consumer.FetchConfig{})
	defer f.Close()
	highest := int64(-1)
	_, err := f.ReadToEnd(w.t.Context(), 0, func(records []event.Record) error {
		var fresh []event.Record
		fresh, highest = consumer.Unseen(records, highest)
		for _, r := range fresh {
			e, err := event.Decode(r)
			if err != nil {
				return err
			}
			if g, ok := e.Data.(event.CouponGranted); ok && g.CouponID == coupon {
				grants = append(grants, g)
			}
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return grants
}
