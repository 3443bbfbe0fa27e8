package gateway

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/gateway/verdict"
)

func TestGateway_Pending(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.put("tea", `{"limit":3}`).is(t, 201, "")
	goOn := r.Hold()
	defer goOn()
	first := r.claim("tea", "u1", "").is(t, 202, "")
	if first.string("status") != "pending" || first.number("position") != 1 || first.header.Get("Retry-After") != "1" ||
		first.header.Get("Location") != "/v1/claims/"+first.string("claim_id") || first.header.Get("Preference-Applied") != "" {
		t.Errorf("answered %v %s", first.header, first.text)
	}
	if got := r.claim("tea", "u2", "wait=1").is(t, 202, ""); got.number("position") != 2 || got.header.Get("Preference-Applied") != "wait=1" {
		t.Errorf("after a second of waiting: %v %s", got.header, got.text)
	}
	if got := r.get(first.header.Get("Location")).is(t, 200, ""); got.string("status") != "pending" || got.number("position") != 1 {
		t.Errorf("the claim: %s", got.text)
	}
	goOn()
	eventually(t, "the claim is decided", func() bool { return r.get(first.header.Get("Location")).string("status") == "granted" })
	if got := r.get(first.header.Get("Location")); got.number("sequence") != 1 {
		t.Errorf("the claim: %s", got.text)
	}
}

// Refusals that only the log could decide, because nobody knew when the claims came in.
func TestGateway_RefusedByTheLog(t *testing.T) {
	t.Parallel()
	r, ahead := newShiftedRig(t)
	r.put("tea", `{"limit":1}`).is(t, 201, "")
	r.put("later", `{"limit":1,"opens_at":"`+inText(time.Hour)+`"}`).is(t, 201, "")
	r.put("over", `{"limit":1,"closes_at":"`+inText(-time.Hour)+`"}`).is(t, 201, "")

	check := func(got reply, name, outcome string) reply {
		t.Helper()
		status := 409
		if outcome == "unknown_coupon" {
			status = 404
		}
		id := got.is(t, status, name).string("claim_id")
		told := r.get("/v1/claims/"+id).is(t, 200, "")
		if told.string("status") != "refused" || told.string("outcome") != outcome {
			t.Errorf("told %s, and then %s", got.text, told.text)
		}
		return told
	}
	t.Run("sold_out and already_issued", func(t *testing.T) {
		goOn := r.Hold()
		var all sync.WaitGroup
		answers := make([]reply, 2)
		for i := range answers {
			all.Go(func() { answers[i], _ = try(r.service, claimRequest("tea", fmt.Sprint("u", i), "wait=20")) })
			eventually(t, "the claim is in the log", func() bool { return r.ends()[event.Partition("tea", parts)] == int64(2+i) })
		}
		r.expireGuards()
		var again reply
		all.Go(func() { again, _ = try(r.service, claimRequest("tea", "u0", "wait=20")) })
		eventually(t, "the claim is in the log", func() bool { return r.ends()[event.Partition("tea", parts)] == 4 })
		goOn()
		all.Wait()
		answers[0].is(t, 200, "")
		check(answers[1], "sold-out", "sold_out")
		told := check(again, "already-issued", "already_issued")
		for _, a := range []reply{again, told} {
			if g, _ := a.body["grant"].(map[string]any); g["grant_id"] != answers[0].string("grant_id") || g["sequence"] != float64(1) {
				t.Errorf("already issued, and the grant is %v", g)
			}
		}
	})
	// The gateway's clock is two hours off: it lets them through, and the log's time decides.
	t.Run("not_open", func(t *testing.T) {
		ahead.Store(int64(2 * time.Hour))
		check(r.claim("later", "u", "wait=9"), "not-open", "not_open")
	})
	t.Run("closed", func(t *testing.T) {
		ahead.Store(int64(-2 * time.Hour))
		check(r.claim("over", "u", "wait=9"), "closed", "closed")
	})
	// Within 2 s of the opening by the gateway's clock nobody is refused early.
	t.Run("near", func(t *testing.T) {
		ahead.Store(int64(time.Hour - time.Second))
		check(r.claim("later", "v", "wait=9"), "not-open", "not_open")
	})
	ahead.Store(int64(0))
	early := func(got reply, name string) {
		t.Helper()
		if id := got.is(t, 409, name).body["claim_id"]; id != nil {
			t.Errorf("refused early with claim id %v", id)
		}
	}
	before := r.ends()
	early(r.claim("later", "w", "wait=9"), "not-open")
	early(r.claim("over", "w", "wait=9"), "closed")
	early(r.claim("tea", "w", "wait=9"), "sold-out")
	if after := r.ends(); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("refused early, and appended: %v, %v", before, after)
	}
}

// The log was empty when the claim came, and its coupon was unknown there: the answer stays so, though it is defined later.
func TestGateway_UnknownThen(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	l := r.service.requests.Load()
	m, err := event.ClaimRequested{CouponID: "tea", UserID: "u"}.Message(event.Meta{Source: "/upstream"})
	if err != nil {
		t.Fatal(err)
	}
	ack, err := l.producer.Publish(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	r.put("tea", `{"limit":1}`).is(t, 201, "")
	id := r.service.sealer.Seal(verdict.Ticket{Partition: ack.Partition, Offset: ack.Offset, AppendTime: fcfs.FromTime(m.Time), CouponID: "tea", UserID: "u"})
	if got := r.get("/v1/claims/"+id).is(t, 200, ""); got.string("outcome") != "unknown_coupon" {
		t.Errorf("told %s", got.text)
	}
}

func TestGateway_RetiredClaim(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.put("old", `{"limit":1}`).is(t, 201, "")
	id := r.claim("old", "u", "wait=9").is(t, 200, "").string("claim_id")
	r.put("old", `{"limit":1,"closes_at":"`+inText(-25*time.Hour)+`"}`).is(t, 200, "")
	r.put("other", `{"limit":1}`)
	if got := r.get("/v1/claims/"+id).is(t, 410, "retired"); got.string("claim_id") != id {
		t.Errorf("told %s", got.text)
	}
}

// A message that nobody published, or that nobody got, costs time and no answer.
func TestGateway_MissedMessage(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.muted.Store(true)
	began := time.Now()
	r.put("tea", `{"limit":1}`).is(t, 201, "")
	r.claim("tea", "u", "wait=20").is(t, 200, "")
	t.Logf("two answers without a message took %s", time.Since(began))
}

func TestGateway_WaitersAreBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.MaxWaiters = 1 })
	r.put("tea", `{"limit":3}`).is(t, 201, "")
	goOn := r.Hold()
	defer goOn()
	var first sync.WaitGroup
	first.Go(func() { r.claim("tea", "u1", "wait=20").is(t, 200, "") })
	eventually(t, "somebody waits", func() bool { return r.service.waiters.Count() == 1 })
	if got := r.claim("tea", "u2", "wait=20").is(t, 202, ""); got.header.Get("Preference-Applied") != "" {
		t.Errorf("no place to wait, and Preference-Applied is %q", got.header.Get("Preference-Applied"))
	}
	first.Go(func() { r.put("tea", `{"limit":4}`).is(t, 200, "") }) // an operator is not one of the crowd
	eventually(t, "the definition waits, too", func() bool { return r.service.waiters.Count() == 2 })
	goOn()
	first.Wait()
	if n := r.service.waiters.Count(); n != 0 {
		t.Errorf("%d places are still taken", n)
	}
}

// A person who goes away while the claim is on its way has made a claim, and no place to wait is lost.
func TestGateway_PersonGoesAway(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.put("tea", `{"limit":3}`).is(t, 201, "")
	goOn := r.Hold()
	defer goOn()
	ctx, leave := context.WithCancel(t.Context())
	var gone sync.WaitGroup
	gone.Go(func() {
		if got, err := tryContext(ctx, r.service, claimRequest("tea", "u", "wait=20")); err == nil {
			t.Errorf("answered %d %s", got.status, got.text)
		}
	})
	eventually(t, "the claim is in the log", func() bool { return r.ends()[event.Partition("tea", parts)] == 2 })
	leave()
	gone.Wait()
	eventually(t, "the place is free", func() bool { return r.service.waiters.Count() == 0 })
	id := r.claim("tea", "u", "").is(t, 409, "duplicate-request").string("claim_id")
	goOn()
	eventually(t, "the claim is granted", func() bool { return r.get("/v1/claims/"+id).string("status") == "granted" })
}

// Waiting outlasts the time that a request may take to arrive (15 s).
func TestGateway_LongWait(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.put("tea", `{"limit":3}`).is(t, 201, "")
	goOn := r.Hold()
	defer goOn()
	if got := r.claim("tea", "u", "wait=17").is(t, 202, ""); got.header.Get("Preference-Applied") != "wait=17" {
		t.Errorf("answered %v", got.header)
	}
}
