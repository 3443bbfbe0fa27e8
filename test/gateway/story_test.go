package gateway_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/firstcome/firstcome/pkg/event"
)

// A coupon of three, five people.
func TestStory(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.want(put("tea", `{"limit":3}`), 201, "")
	var told []answer
	for i := 1; i <= 3; i++ {
		a := w.want(claim("tea", fmt.Sprint("user-", i), "5"), 200, "")
		if a.Sequence != int64(i) || a.State != "granted" {
			t.Errorf("person %d is told %s", i, a.Text)
		}
		told = append(told, a)
	}
	for i := 4; i <= 5; i++ {
		if a := w.want(claim("tea", fmt.Sprint("user-", i), "5"), 409, "sold-out"); a.ClaimID != "" {
			told = append(told, a)
		}
	}
	third := told[2]
	if again := w.want(claim("tea", "user-3", "5"), 409, "duplicate-request"); again.ClaimID != third.ClaimID {
		t.Errorf("the duplicate has claim id %q, want %q", again.ClaimID, third.ClaimID)
	}
	w.endGuards()
	if later := w.want(claim("tea", "user-3", "5"), 409, "already-issued"); later.Grant.Sequence != 3 || later.Grant.GrantID != third.GrantID {
		t.Errorf("after the guard's minute: %s", later.Text)
	}
	for _, a := range told {
		now := w.want(get("/v1/claims/"+a.ClaimID), 200, "")
		if a.Status == 200 && now.Text != a.Text || a.Status == 409 && now.Outcome != "sold_out" {
			t.Errorf("told %s, and asked again %s", a.Text, now.Text)
		}
	}
	if a := w.want(get("/v1/coupons/tea"), 200, ""); a.Granted != 3 || a.State != "sold_out" {
		t.Errorf("the coupon is %s", a.Text)
	}
	w.eventually("the journal lists three", func() bool { return len(w.journal("tea")) == 3 })
	for i, g := range w.journal("tea") {
		if g.GrantID != told[i].GrantID || g.Sequence != told[i].Sequence {
			t.Errorf("the journal has %+v, told was %s", g, told[i].Text)
		}
	}
}

// endGuards ends the minute of everybody who asked.
func (w *world) endGuards() {
	w.t.Helper()
	redis, ctx := w.servers.Redis(w.t), context.Background()
	guards, err := redis.Keys(ctx, w.servers.RedisPrefix+":*:guard:*").Result()
	if err != nil || len(guards) == 0 {
		w.t.Fatalf("guards %q, %v", guards, err)
	}
	for _, guard := range guards {
		if err := redis.PExpire(ctx, guard, 0).Err(); err != nil {
			w.t.Fatal(err)
		}
	}
}

// Whatever is wrong has a problem of its own, and nothing is appended.
func TestBadInput(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.want(put("tea", `{"limit":3}`), 201, "")
	before := w.requests()
	as := func(c call, token string) call { c.token = token; return c }
	post := func(body string) call {
		return call{method: "POST", path: "/v1/coupons/tea/claims", token: shop, body: body}
	}
	for what, c := range map[string]struct {
		call
		status  int
		problem string
	}{
		"malformed body":      {post(`{"user_id":`), 400, "malformed"},
		"unknown member":      {post(`{"user_id":"u","x":1}`), 422, "invalid"},
		"unknown coupon":      {claim("coffee", "u", "5"), 404, "unknown-coupon"},
		"forged claim id":     {get("/v1/claims/" + strings.Repeat("AbC-_9", 20)), 404, "unknown-claim"},
		"bad UTF-8":           {post("{\"user_id\":\"\xc3\x28\"}"), 400, "malformed"},
		"1 MB body":           {post(`{"user_id":"` + strings.Repeat("u", 1<<20) + `"}`), 413, "too-large"},
		"limit 0":             {put("tea", `{"limit":0}`), 422, "invalid"},
		"closes before opens": {put("tea", `{"limit":1,"opens_at":"2026-11-22T10:00:00Z","closes_at":"2026-11-22T09:00:00Z"}`), 422, "invalid"},
		"wrong token":         {as(claim("tea", "u", "5"), "guess"), 401, "unauthorized"},
		"wrong admin token":   {as(put("tea", `{"limit":9}`), "guess"), 401, "unauthorized"},
		"claimer as admin":    {as(put("tea", `{"limit":9}`), shop), 403, "forbidden"},
	} {
		t.Run(what, func(t *testing.T) { w.want(c.call, c.status, c.problem) })
	}
	if after := w.requests(); after != before {
		t.Errorf("the log had %d records, and has %d", before, after)
	}
}

// Two gateways, a crowd, and a Redis that is emptied in the middle: exactly the limit is granted, and nobody's answer is
// taken back.
func TestCrowd_RedisEmptied(t *testing.T) {
	t.Parallel()
	const people, limit = 300, 40
	w := newWorld(t, 2)
	w.want(put("tea", fmt.Sprintf(`{"limit":%d}`, limit)), 201, "")
	var crowd sync.WaitGroup
	var mu sync.Mutex
	var told []answer
	emptied := make(chan struct{})
	for i := range people {
		crowd.Go(func() {
			c := claim("tea", fmt.Sprint("user-", i), "30")
			c.gateway = i % 2
			if i%5 == 4 { // these come after it
				<-emptied
			}
			for try := 0; try < 100; try++ {
				a, err := w.do(c)
				if err != nil {
					t.Error(err)
					return
				}
				if a.Status == 503 {
					continue
				}
				mu.Lock()
				defer mu.Unlock()
				if told = append(told, a); len(told) == people/4 {
					w.servers.FlushRedis(t)
					close(emptied)
				}
				return
			}
			t.Errorf("person %d got no answer", i)
		})
	}
	crowd.Wait()
	w.check(told, people, limit)
}

// check compares what people were told with what the claims say now, and with the journal.
func (w *world) check(told []answer, people, limit int) {
	t := w.t
	t.Helper()
	if len(told) != people {
		t.Fatalf("%d of %d were answered", len(told), people)
	}
	var journal []event.CouponGranted
	w.eventually("the journal is full", func() bool { journal = w.journal("tea"); return len(journal) >= limit })
	if len(journal) != limit {
		t.Fatalf("the journal has %d grants, want %d", len(journal), limit)
	}
	bySequence := map[int64]string{}
	for _, g := range journal {
		bySequence[g.Sequence] = g.GrantID
	}
	granted := 0
	for _, a := range told {
		final := a
		if a.ClaimID != "" {
			w.eventually("the claim is decided", func() bool {
				now, err := w.do(get("/v1/claims/" + a.ClaimID))
				final = now
				return err == nil && now.Status == 200 && now.State != "pending"
			})
		}
		switch {
		case final.State == "granted":
			granted++
			if bySequence[final.Sequence] != final.GrantID || a.Status == 200 && a.Sequence != final.Sequence {
				t.Errorf("told %s, now %s; the journal has %s there", a.Text, final.Text, bySequence[final.Sequence])
			}
			delete(bySequence, final.Sequence)
		case a.Status == 200:
			t.Errorf("told %s, and now %s", a.Text, final.Text)
		}
	}
	if granted != limit {
		t.Errorf("%d people know of a grant, want %d", granted, limit)
	}
}

// A limit that rises opens the coupon again at once, at every gateway.
func TestLimitRises(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.want(put("tea", `{"limit":1}`), 201, "")
	w.want(claim("tea", "u1", "9"), 200, "")
	for i := 2; i <= 10; i++ {
		late := claim("tea", fmt.Sprint("late-", i), "9")
		late.gateway = 1
		w.want(late, 409, "sold-out")
		w.want(put("tea", fmt.Sprintf(`{"limit":%d}`, i)), 200, "")
		next := claim("tea", fmt.Sprint("u", i), "9")
		next.gateway = 1
		if a := w.want(next, 200, ""); a.Sequence != int64(i) {
			t.Errorf("with limit %d: %s", i, a.Text)
		}
	}
	w.want(put("tea", `{"limit":10,"window":"daily"}`), 409, "definition-conflict")
}
