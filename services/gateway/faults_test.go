package gateway

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/firstcome/firstcome/internal/redislayout"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
)

// Redis is emptied: nobody is told that something does not exist, or is sold out, until its state is back.
func TestGateway_RedisEmptied(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.put("tea", `{"limit":1}`).is(t, 201, "")
	told := r.claim("tea", "u1", "wait=9").is(t, 200, "")
	id := told.string("claim_id")
	second, stop := startGateway(t, r.servers)
	eventually(t, "a second gateway is ready", func() bool { return len(second.Ready()) == 0 })
	goOn := r.Hold()
	defer goOn()
	r.servers.FlushRedis(t)
	third, stopThird := startGateway(t, r.servers) // comes up with Redis empty
	eventually(t, "a third gateway is ready", func() bool { return len(third.Ready()) == 0 })

	for name, s := range map[string]*Service{"who told": r.service, "who only listened": second, "who is new": third} {
		do(t, s, request{method: "GET", path: "/v1/coupons/tea"}).is(t, 503, "unavailable")
		do(t, s, request{method: "GET", path: "/v1/coupons"}).is(t, 503, "unavailable")
		if got := do(t, s, request{method: "GET", path: "/v1/claims/" + id}).is(t, 200, ""); got.string("status") != "pending" {
			t.Errorf("%s: the claim is %s", name, got.text)
		}
	}
	// What is asked now is left to the log, sold out or not.
	again := r.claim("tea", "u1", "").is(t, 202, "")
	late := r.claim("tea", "u2", "").is(t, 202, "")
	goOn()
	r.Write()
	for _, s := range []*Service{r.service, second, third} {
		eventually(t, "the state is back", func() bool {
			return do(t, s, request{method: "GET", path: "/v1/claims/" + late.string("claim_id")}).string("outcome") == "sold_out"
		})
		if got := do(t, s, request{method: "GET", path: "/v1/claims/" + id}).is(t, 200, ""); got.text != told.text {
			t.Errorf("told %s before, and %s after", told.text, got.text)
		}
		if got := do(t, s, request{method: "GET", path: "/v1/claims/" + again.string("claim_id")}); got.string("outcome") != "already_issued" {
			t.Errorf("the second claim: %s", got.text)
		}
		do(t, s, request{method: "GET", path: "/v1/coupons/tea"}).is(t, 200, "")
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if err := stopThird(); err != nil {
		t.Error(err)
	}
}

// Redis is rewound to an older state, in which the coupon was sold out: it was opened again since, so nobody is refused.
func TestGateway_RedisRewound(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ctx := context.Background()
	r.put("tea", `{"limit":1}`).is(t, 201, "")
	r.claim("tea", "u1", "wait=9").is(t, 200, "")
	keys := redislayout.New(r.servers.RedisPrefix, event.Partition("tea", parts))
	old := r.double.redis.HGetAll(ctx, keys.Coupon("tea")).Val()
	oldProgress := r.double.redis.Get(ctx, keys.Progress()).Val()
	r.put("tea", `{"limit":2}`).is(t, 200, "")
	id := r.claim("tea", "u2", "wait=9").is(t, 200, "").string("claim_id")

	goOn := r.Hold()
	defer goOn()
	r.double.redis.Del(ctx, keys.Coupon("tea"))
	r.double.redis.HSet(ctx, keys.Coupon("tea"), old)
	r.double.redis.HDel(ctx, keys.Granted("tea", ""), "u2")
	r.double.redis.Set(ctx, keys.Progress(), oldProgress, 0)

	if got := r.get("/v1/claims/"+id).is(t, 200, ""); got.string("status") != "pending" {
		t.Errorf("the claim that was granted: %s", got.text)
	}
	r.get("/v1/coupons/tea").is(t, 503, "unavailable")
	r.claim("tea", "u3", "").is(t, 202, "")
	goOn()
	r.Write()
	eventually(t, "the state is back", func() bool { return r.get("/v1/claims/"+id).string("status") == "granted" })
}

// Nothing was ever heard of a partition, and then an upstream system writes to it: what Redis does not have may be there.
func TestGateway_UpstreamWrites(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.get("/v1/coupons/tea").is(t, 404, "unknown-coupon")
	goOn := r.Hold()
	defer goOn()
	m, err := event.CouponDefined{CouponID: "tea", Limit: 1, Window: "none", TimeZone: "UTC"}.Message(event.Meta{Source: "/upstream"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.service.requests.Load().producer.Publish(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	eventually(t, "nobody is told that it does not exist", func() bool { return r.get("/v1/coupons/tea").status == 503 })
	r.claim("tea", "u", "").is(t, 202, "")
	goOn()
	eventually(t, "it exists", func() bool { return r.get("/v1/coupons/tea").status == 200 })
}

func TestGateway_RedisKilled(t *testing.T) {
	t.Parallel()
	servers := coupontest.StartAlone(t, coupontest.Kafka, coupontest.Redis)
	r := newRigOn(t, servers)
	r.put("tea", `{"limit":3}`).is(t, 201, "")
	id := r.claim("tea", "u1", "wait=9").is(t, 200, "").string("claim_id")
	goOn := r.Hold()
	var waiting sync.WaitGroup
	waiting.Go(func() { // in the log, and nobody can tell yet
		got, err := try(r.service, claimRequest("tea", "u2", "wait=2"))
		if err != nil {
			t.Error(err)
			return
		}
		got.is(t, 202, "")
	})
	eventually(t, "the claim is in the log", func() bool { return r.ends()[event.Partition("tea", parts)] == 3 })
	servers.Kill(t, coupontest.Redis)
	began := time.Now()
	r.claim("tea", "u3", "wait=9").is(t, 503, "unavailable")
	r.get("/v1/coupons/tea").is(t, 503, "unavailable")
	r.get("/v1/coupons").is(t, 503, "unavailable")
	r.get("/v1/claims/"+id).is(t, 503, "unavailable")
	t.Logf("four refusals took %s", time.Since(began))
	eventually(t, "it says what it waits for", func() bool { return strings.Contains(strings.Join(r.service.Ready(), " "), "redis") })
	began = time.Now()
	r.claim("tea", "u3", "wait=9").is(t, 503, "unavailable")
	t.Logf("once it is known, a refusal took %s", time.Since(began))
	waiting.Wait()
	if end := r.ends()[event.Partition("tea", parts)]; end != 3 {
		t.Errorf("something was appended: the log ends at %d", end)
	}

	servers.Restart(t, coupontest.Redis)
	goOn()
	r.Write()
	eventually(t, "it is ready again", func() bool { return len(r.service.Ready()) == 0 })
	eventually(t, "it can be told again", func() bool { return r.get("/v1/claims/"+id).status == 200 })
	r.claim("tea", "u3", "wait=9").is(t, 200, "")
	heard := r.service.metrics.messages.WithLabelValues("heard")
	before := testutil.ToFloat64(heard)
	eventually(t, "messages are heard again", func() bool {
		r.put("tea", `{"limit":4}`).is(t, 200, "")
		return testutil.ToFloat64(heard) > before
	})
}

func TestGateway_KafkaKilled(t *testing.T) {
	t.Parallel()
	servers := coupontest.StartAlone(t, coupontest.Kafka, coupontest.Redis)
	r := newRigOn(t, servers)
	r.put("tea", `{"limit":3}`).is(t, 201, "")
	id := r.claim("tea", "u1", "wait=9").is(t, 200, "").string("claim_id")
	servers.Kill(t, coupontest.Kafka)
	began := time.Now()
	got := r.claim("tea", "u2", "wait=9").is(t, 503, "unavailable")
	took := time.Since(began)
	t.Logf("the first refusal took %s: %s", took, got.text)
	if took > appendDeadline+2*time.Second {
		t.Errorf("the first refusal took %s", took)
	}
	if guards := r.double.redis.Keys(t.Context(), servers.RedisPrefix+":*:guard:*:u2").Val(); len(guards) != 0 {
		t.Errorf("guards are left behind: %v", guards)
	}
	eventually(t, "it says what it waits for", func() bool { return strings.Contains(strings.Join(r.service.Ready(), " "), "kafka") })
	began = time.Now()
	r.claim("tea", "u2", "wait=9").is(t, 503, "unavailable")
	r.put("tea", `{"limit":4}`).is(t, 503, "unavailable")
	t.Logf("once it is known, two refusals took %s", time.Since(began))
	r.get("/v1/claims/"+id).is(t, 200, "") // what is known can be told
	r.get("/v1/coupons/tea").is(t, 200, "")

	servers.Restart(t, coupontest.Kafka)
	eventually(t, "it is ready again", func() bool { return len(r.service.Ready()) == 0 })
	eventually(t, "claims are taken again", func() bool { return r.claim("tea", "u3", "wait=9").status == 200 })
}

// The broker is there and does not answer: the first ones wait for their deadline, all others are turned away at once; the
// claims of the first may be in the log, and nobody gets two.
func TestGateway_KafkaPaused(t *testing.T) {
	t.Parallel()
	servers := coupontest.StartAlone(t, coupontest.Kafka, coupontest.Redis)
	r := newRigOn(t, servers)
	r.put("tea", `{"limit":9}`).is(t, 201, "")
	r.claim("tea", "u0", "wait=9").is(t, 200, "")
	l, p := r.service.requests.Load(), event.Partition("tea", parts)

	servers.Pause(t, coupontest.Kafka)
	ctx, leave := context.WithCancel(t.Context())
	gone := make(chan struct{})
	go func() { defer close(gone); _, _ = tryContext(ctx, r.service, claimRequest("tea", "u3", "")) }()
	eventually(t, "a claim is on its way", func() bool { return l.producer.OldestUnacknowledged(p) > 0 })
	leave() // and the claim goes on
	<-gone
	servers.Resume(t, coupontest.Kafka)
	eventually(t, "the claim is in its guard", func() bool {
		return r.claim("tea", "u3", "").is(t, 409, "duplicate-request").string("claim_id") != ""
	})

	servers.Pause(t, coupontest.Kafka)
	var first sync.WaitGroup
	first.Go(func() {
		began := time.Now()
		got, err := try(r.service, claimRequest("tea", "u1", "wait=9"))
		if err != nil {
			t.Error(err)
			return
		}
		got.is(t, 503, "unavailable")
		if took := time.Since(began); took < appendDeadline || !strings.Contains(got.text, "you cannot get two") {
			t.Errorf("after %s: %s", took, got.text)
		}
	})
	eventually(t, "an append is old", func() bool { return l.producer.OldestUnacknowledged(p) > shedAfter })
	began := time.Now()
	got := r.claim("tea", "u2", "").is(t, 503, "unavailable")
	if took := time.Since(began); took > time.Second || got.header.Get("Retry-After") == "" {
		t.Errorf("a later claim is turned away after %s, Retry-After %q", took, got.header.Get("Retry-After"))
	}
	first.Wait()
	servers.Resume(t, coupontest.Kafka)
	eventually(t, "claims are taken again", func() bool { return r.claim("tea", "u2", "wait=9").status == 200 })
	got = r.claim("tea", "u1", "wait=9")
	eventually(t, "the first is decided", func() bool { return r.get("/v1/coupons/tea").number("granted") == 4 })
	if got.status != 200 {
		got.is(t, 409, "already-issued")
	}
}
