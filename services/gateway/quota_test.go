package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/firstcome/firstcome/internal/problem"
)

func quota(t testing.TB, text string) (q Quota) {
	t.Helper()
	if err := q.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return q
}

func TestQuota(t *testing.T) {
	if q := quota(t, "20/1m"); q != (Quota{20, time.Minute}) {
		t.Errorf("read as %+v", q)
	}
	for _, bad := range []string{"", "20", "20/", "/1m", "20/m", "0/1m", "-1/1m", "1.5/1m", "20/0s", "20/500ms", "20/1500ms", "20/25h", "1000001/1m", "20/1m/2", "20 / 1m"} {
		var q Quota
		if err := q.UnmarshalText([]byte(bad)); err == nil || q != (Quota{}) {
			t.Errorf("%q is read as %+v, %v", bad, q, err)
		}
	}
}

// take gives what the answer says of a request at a time.
func take(t *testing.T, l *limiter, id askerID) (allowed bool, limit string, after time.Duration) {
	t.Helper()
	w := httptest.NewRecorder()
	err := l.Take(w, id)
	var p *problem.Problem
	if errors.As(err, &p) {
		if p.Name != problem.RateLimited {
			t.Errorf("refused with %v", err)
		}
		after = p.RetryAfter
	}
	return err == nil, w.Header().Get("RateLimit"), after
}

func TestLimiter(t *testing.T) {
	now := time.Unix(1_795_000_000, 0)
	l := newLimiter("person", quota(t, "3/30s"), func() time.Time { return now })
	for _, step := range []struct {
		pass    time.Duration
		asker   byte
		allowed bool
		limit   string
		after   time.Duration
	}{
		{0, 1, true, `"person";r=2;t=10`, 0}, // the whole quota at once
		{0, 1, true, `"person";r=1;t=10`, 0},
		{0, 2, true, `"person";r=2;t=10`, 0}, // others have their own
		{0, 1, true, `"person";r=0;t=10`, 0},
		{0, 1, false, `"person";r=0;t=10`, 10 * time.Second},
		{2500 * time.Millisecond, 1, false, `"person";r=0;t=8`, 8 * time.Second}, // rounded up: earlier would be in vain
		{7500 * time.Millisecond, 1, true, `"person";r=0;t=10`, 0},               // one came back
		{0, 1, false, `"person";r=0;t=10`, 10 * time.Second},
		{time.Hour, 1, true, `"person";r=2;t=10`, 0}, // never more than the quota
		{-time.Hour, 1, true, `"person";r=1;t=10`, 0},
	} {
		now = now.Add(step.pass)
		allowed, limit, after := take(t, l, askerID{step.asker})
		if allowed != step.allowed || limit != step.limit || after != step.after {
			t.Errorf("%+v: allowed %v, %s, after %s", step, allowed, limit, after)
		}
	}
}

func TestLimiter_Off(t *testing.T) {
	w := httptest.NewRecorder()
	if err := newLimiter("person", Quota{}, time.Now).Take(w, askerID{}); err != nil || len(w.Header()) != 0 {
		t.Errorf("%v, %v", err, w.Header())
	}
}

// Many at once get not one more than the quota.
func TestLimiter_AtOnce(t *testing.T) {
	l := newLimiter("person", quota(t, "10/24h"), time.Now)
	var all sync.WaitGroup
	var mu sync.Mutex
	passed := 0
	for range 100 {
		all.Go(func() {
			if err := l.Take(httptest.NewRecorder(), askerID{1}); err == nil {
				mu.Lock()
				passed++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if passed != 10 {
		t.Errorf("%d of 100 pass a quota of 10", passed)
	}
}

// Who goes on asking is remembered, however many others come; the memory is bounded.
func TestLimiter_TableIsBounded(t *testing.T) {
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	l := newLimiter("address", quota(t, "2/24h"), time.Now)
	w := httptest.NewRecorder()
	ask := func(id askerID) error { clear(w.Header()); return l.Take(w, id) }
	stubborn, silent := askerID{15: 1}, askerID{15: 2}
	for range 3 {
		_ = ask(stubborn)
		_ = ask(silent)
	}
	for i := range 3 * tableSize {
		if err := ask(askerID{byte(i), byte(i >> 8), byte(i >> 16)}); err != nil {
			t.Fatal(err)
		}
		if i%1000 == 0 && ask(stubborn) == nil {
			t.Fatalf("after %d others the stubborn one is let in again", i)
		}
	}
	if err := ask(silent); err != nil {
		t.Errorf("the silent one is still remembered: %v", err)
	}
	if n := l.table.Len(); n != tableSize {
		t.Errorf("%d are remembered, want %d", n, tableSize)
	}
	each := (heap() - before) / tableSize
	t.Logf("%d askers take %d bytes each", tableSize, each)
	if each > 400 {
		t.Errorf("an asker takes %d bytes", each)
	}
	runtime.KeepAlive(l)
}

// A person's quota is theirs across coupons, whoever asks for them; it is looked at when it is known who they are.
func TestGateway_PersonRateLimit(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.PersonRateLimit = quota(t, "2/1h") })
	for _, id := range []string{"tea", "milk", "rice"} {
		put := r.put(id, `{"limit":9}`).is(t, 201, "")
		if got := put.header.Get("RateLimit"); got != "" {
			t.Errorf("a definition counts: %s", got)
		}
	}
	first := r.claim("tea", "u1", "wait=9").is(t, 200, "")
	if policy, limit := first.header.Get("RateLimit-Policy"), first.header.Get("RateLimit"); policy != `"person";q=2;w=3600` || limit != `"person";r=1;t=1800` {
		t.Errorf("RateLimit-Policy: %s, RateLimit: %s", policy, limit)
	}
	r.claim("milk", "u1", "wait=9").is(t, 200, "")
	ends := r.ends()
	got := r.claim("rice", "u1", "").is(t, 429, "rate-limited")
	if got.header.Get("Retry-After") != "1800" || got.header.Get("RateLimit") != `"person";r=0;t=1800` {
		t.Errorf("Retry-After: %s, RateLimit: %s", got.header.Get("Retry-After"), got.header.Get("RateLimit"))
	}
	if strings.Contains(got.text, "u1") {
		t.Errorf("the answer names the person: %s", got.text)
	}
	if after := r.ends(); fmt.Sprint(after) != fmt.Sprint(ends) {
		t.Errorf("something was appended: %v, then %v", ends, after)
	}
	r.claim("rice", "u2", "wait=9").is(t, 200, "")
	r.get("/v1/claims/"+first.string("claim_id")).is(t, 200, "") // asking how it went counts for nobody
}

// Authentication comes before the limits, and the limits before the body.
func TestGateway_OrderOfChecks(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.AddressRateLimit = quota(t, "4/1h") })
	post := func(token, body string) request {
		return request{method: "POST", path: "/v1/coupons/tea/claims", body: body, token: token}
	}
	r.do(post("wrong", "{")).is(t, 401, "unauthorized")
	r.do(post(adminToken, "{")).is(t, 403, "forbidden")
	r.do(post(claimToken, "{")).is(t, 400, "malformed")
	last := r.get("/v1/coupons/tea").is(t, 404, "unknown-coupon")
	if got := last.header.Get("RateLimit"); got != `"address";r=0;t=900` {
		t.Errorf("RateLimit: %s", got)
	}
	r.do(post("wrong", "{")).is(t, 401, "unauthorized")
	r.do(post(adminToken, "{")).is(t, 403, "forbidden")
	r.do(request{method: "PUT", path: "/v1/coupons/tea", body: "{", token: claimToken}).is(t, 403, "forbidden")
	for what, q := range map[string]request{
		"claim": post(claimToken, "{"), "definition": {method: "PUT", path: "/v1/coupons/tea", body: "{", token: adminToken},
		"coupon": {method: "GET", path: "/v1/coupons/tea"}, "coupons": {method: "GET", path: "/v1/coupons"}, "claim's status": {method: "GET", path: "/v1/claims/x"},
	} {
		got := r.do(q)
		if got.status != http.StatusTooManyRequests || got.header.Get("Retry-After") != "900" || got.header.Get("RateLimit-Policy") != `"address";q=4;w=3600` {
			t.Errorf("%s: %d %s, %v", what, got.status, got.text, got.header)
		}
	}
}

// Through a trusted proxy each has their own address, and nobody somebody else's.
func TestGateway_AddressRateLimit(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) {
		c.AddressRateLimit = quota(t, "1/1h")
		if err := c.TrustedProxies.UnmarshalText([]byte("127.0.0.0/8")); err != nil {
			t.Fatal(err)
		}
	})
	from := func(forwarded string) int {
		return r.do(request{method: "GET", path: "/v1/claims/x", header: http.Header{"X-Forwarded-For": {forwarded}}}).status
	}
	for _, step := range []struct {
		forwarded string
		want      int
	}{
		{"203.0.113.1", 404}, {"203.0.113.1", 429}, {"203.0.113.2", 404},
		{"203.0.113.9, 203.0.113.1", 429}, // what the client itself sent stands on the left
		{"::ffff:203.0.113.1", 429},
		{"2001:db8::1", 404}, {"2001:db8::2", 429}, {"2001:db8:0:1::1", 404},
		{"nonsense", 404}, {"other nonsense", 429}, {"", 429}, // all of these are the proxy
	} {
		if got := from(step.forwarded); got != step.want {
			t.Errorf("from %q: %d, want %d", step.forwarded, got, step.want)
		}
	}
}
