package gateway_test

import (
	"log/slog"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/services/gateway"
	"github.com/firstcome/firstcome/services/ledger"
)

const reader = "read-secret"

// newWorldWithLedger has a ledger, too, and gateways that know of it.
func newWorldWithLedger(t *testing.T, gateways int) *world {
	t.Helper()
	servers := coupontest.Start(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorldOn(t, servers, gateways, func(c *gateway.Config) {
		c.LedgerURL, c.LedgerToken = "http://"+listener.Addr().String(), reader
	})
	l, err := ledger.New(ledger.Config{
		Config:      broker.Config{Brokers: servers.Brokers, TopicPrefix: servers.TopicPrefix},
		DatabaseURL: servers.DatabaseURL, Listener: listener, ReadTokens: tokens(t, "gateway="+reader),
	}, slog.New(slog.NewTextHandler(lines{t}, &slog.HandlerOptions{Level: slog.LevelWarn})), prometheus.NewRegistry())
	w.run(err, l)
	w.eventually("the ledger is ready", func() bool { return len(l.Ready()) == 0 })
	w.ledger = listener.Addr().String()
	return w
}

func grantOf(coupon, user string) call {
	return call{method: "GET", path: "/v1/coupons/" + coupon + "/grant?user_id=" + url.QueryEscape(user), token: shop}
}

// "Do I have it?", asked all the time: who was told granted is never told otherwise, while Redis is emptied, and while the
// coupon is retired, from when on the ledger is who knows.
func TestGrant_NeverTakenBack(t *testing.T) {
	t.Parallel()
	w := newWorldWithLedger(t, 2)
	w.want(put("tea", `{"limit":2}`), 201, "")
	told := w.want(claim("tea", "ada", "30"), 200, "")
	w.want(grantOf("tea", "bob"), 404, "not-granted")

	var asked [2]atomic.Int64
	var asking sync.WaitGroup
	stop := make(chan struct{})
	defer asking.Wait()
	defer close(stop)
	for g := range asked {
		c := grantOf("tea", "ada")
		c.gateway = g
		asking.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				a, err := w.do(c)
				if err != nil || a.Status != 503 && (a.Status != 200 || a.GrantID != told.GrantID || a.Sequence != told.Sequence) {
					t.Errorf("told %s, and then %d %s, %v", told.Text, a.Status, a.Text, err)
					return
				}
				if a.Status == 200 {
					asked[g].Add(1)
				}
			}
		})
	}
	answered := func(what string) {
		t.Helper()
		before := [2]int64{asked[0].Load(), asked[1].Load()}
		w.eventually("people are answered "+what, func() bool { return asked[0].Load() > before[0]+10 && asked[1].Load() > before[1]+10 })
	}
	answered("from Redis")
	w.servers.FlushRedis(t)
	answered("after it was emptied")
	w.want(put("tea", `{"limit":2,"closes_at":"`+time.Now().Add(-25*time.Hour).UTC().Format(time.RFC3339)+`"}`), 200, "")
	answered("by the ledger")
	w.servers.FlushRedis(t)
	answered("with both in their new state")
	w.want(grantOf("tea", "bob"), 404, "not-granted")
	w.want(get("/v1/claims/"+told.ClaimID), 410, "retired")
}
