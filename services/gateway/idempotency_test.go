package gateway

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/firstcome/firstcome/internal/problem"
	"github.com/firstcome/firstcome/internal/redislayout"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/gateway/internal/redisstore"
)

func TestIdempotencyKey(t *testing.T) {
	long := strings.Repeat("k", maxIdempotencyKey)
	for _, c := range []struct {
		name  string
		lines []string
		want  string
		bad   bool
	}{
		{name: "none"},
		{name: "bare", lines: []string{"8e03978e-40d5-43dd-bc93-6894a57f9324"}, want: "8e03978e-40d5-43dd-bc93-6894a57f9324"},
		{name: "quoted", lines: []string{`"8e03978e-40d5-43dd-bc93-6894a57f9324"`}, want: "8e03978e-40d5-43dd-bc93-6894a57f9324"},
		{name: "base64", lines: []string{"aGVsbG8+/w=="}, want: "aGVsbG8+/w=="},
		{name: "quoted, with what is escaped", lines: []string{`"a \"b\" \\ c"`}, want: `a "b" \ c`},
		{name: "one byte", lines: []string{"1"}, want: "1"},
		{name: "as long as it may be", lines: []string{long}, want: long},
		{name: "as long as it may be, quoted", lines: []string{`"` + long + `"`}, want: long},
		{name: "as long as it may be, with what is escaped", lines: []string{`"` + strings.Repeat(`\"`, maxIdempotencyKey) + `"`}, want: strings.Repeat(`"`, maxIdempotencyKey)},
		{name: "empty", lines: []string{""}, bad: true},
		{name: "empty, quoted", lines: []string{`""`}, bad: true},
		{name: "too long", lines: []string{long + "k"}, bad: true},
		{name: "too long, quoted", lines: []string{`"` + long + `k"`}, bad: true},
		{name: "twice", lines: []string{"a", "a"}, bad: true},
		{name: "twice in a line", lines: []string{"a, b"}, bad: true},
		{name: "twice in a line, quoted", lines: []string{`"a", "b"`}, bad: true},
		{name: "half a quote", lines: []string{`"a`}, bad: true},
		{name: "a quote alone", lines: []string{`"`}, bad: true},
		{name: "a quote behind", lines: []string{`a"`}, bad: true},
		{name: "more behind the quote", lines: []string{`"a"b`}, bad: true},
		{name: "a parameter", lines: []string{`"a";b=1`}, bad: true},
		{name: "a bare parameter", lines: []string{`a;b=1`}, bad: true},
		{name: "nothing to escape", lines: []string{`"a\b"`}, bad: true},
		{name: "an escape at the end", lines: []string{`"a\`}, bad: true},
		{name: "a bare escape", lines: []string{`a\b`}, bad: true},
		{name: "a bare space", lines: []string{"a b"}, bad: true},
		{name: "a control character", lines: []string{"\"a\tb\""}, bad: true},
		{name: "a bare control character", lines: []string{"a\x7fb"}, bad: true},
		{name: "not ASCII", lines: []string{"\"caf\u00e9\""}, bad: true},
		{name: "not ASCII, bare", lines: []string{"caf\u00e9"}, bad: true},
	} {
		got, err := idempotencyKey(http.Header{headerIdempotencyKey: c.lines})
		if got != c.want || (err != nil) != c.bad || c.bad && problem.From(err).Name != problem.Malformed {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
	}
}

// FuzzIdempotencyKey: whatever is taken is a key that can be quoted and means the same, and two lines are never taken.
func FuzzIdempotencyKey(f *testing.F) {
	for _, line := range []string{"a", `"a"`, `"a \"b\" \\"`, `"`, `"\`, "a,b", `"a";b`, "\x00", strings.Repeat("k", 300)} {
		f.Add(line)
	}
	escape := strings.NewReplacer(`"`, `\"`, `\`, `\\`)
	f.Fuzz(func(t *testing.T, line string) {
		key, err := idempotencyKey(http.Header{headerIdempotencyKey: {line}})
		if err != nil {
			return
		}
		again, err := idempotencyKey(http.Header{headerIdempotencyKey: {`"` + escape.Replace(key) + `"`}})
		if err != nil || again != key || key == "" || len(key) > maxIdempotencyKey {
			t.Errorf("%q is %q, and quoted %q, %v", line, key, again, err)
		}
		if both, err := idempotencyKey(http.Header{headerIdempotencyKey: {line, line}}); err == nil {
			t.Errorf("%q twice is %q", line, both)
		}
	})
}

// Each of who asks, coupon, key and person makes another claim; nothing can be moved from one to the next.
func TestIdempotency_WhatIsTheSame(t *testing.T) {
	base := idempotency("k", "token:shop", "tea", "u")
	if base != idempotency("k", "token:shop", "tea", "u") || len(base.Key) != redislayout.HashLength || len(base.Request) != redislayout.HashLength {
		t.Errorf("%+v", base)
	}
	for _, other := range []redisstore.Idempotency{
		idempotency("l", "token:shop", "tea", "u"), idempotency("k", "jwt:shop", "tea", "u"), idempotency("k", "token:app", "tea", "u"),
		idempotency("k", "token:shop", "box", "u"), idempotency("ak", "token:shop", "te", "u"), idempotency("k", "token:shopt", "ea", "u"),
	} {
		if other.Key == base.Key || other.Request != base.Request {
			t.Errorf("%+v, and %+v", other, base)
		}
	}
	if other := idempotency("k", "token:shop", "tea", "v"); other.Key != base.Key || other.Request == base.Request {
		t.Errorf("another person: %+v, and %+v", other, base)
	}
	if none := idempotency("", "token:shop", "tea", "u"); none != (redisstore.Idempotency{}) {
		t.Errorf("without a key: %+v", none)
	}
}

func keyed(coupon, user, prefer string, key ...string) request {
	q := claimRequest(coupon, user, prefer)
	if q.header == nil {
		q.header = http.Header{}
	}
	q.header[headerIdempotencyKey] = key
	return q
}

func TestGateway_IdempotencyKey(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.ClaimTokens = tokens(t, "shop="+claimToken+",app=app-secret") })
	second, _ := startGateway(t, r.servers)
	eventually(t, "a second gateway is ready", func() bool { return len(second.Ready()) == 0 })
	r.put("tea", `{"limit":2}`).is(t, 201, "")
	p := event.Partition("tea", parts)

	goOn := r.Hold()
	defer goOn()
	first := r.do(keyed("tea", "u1", "", "k1")).is(t, 202, "")
	id := first.string("claim_id")
	for what, s := range map[string]*Service{"the same gateway": r.service, "another": second} {
		for _, key := range []string{"k1", `"k1"`} {
			got := do(t, s, keyed("tea", "u1", "", key)).is(t, 202, "")
			if got.text != first.text || got.header.Get("Location") != first.header.Get("Location") || got.header.Get("Retry-After") != "1" {
				t.Errorf("%s, key %s: told %s, and first %s", what, key, got.text, first.text)
			}
		}
	}
	inOtherWords := keyed("tea", "u1", "", "k1")
	inOtherWords.body = ` { "user_id" : "\u00751" } `
	if got := r.do(inOtherWords).is(t, 202, ""); got.string("claim_id") != id {
		t.Errorf("the same in other words: %s", got.text)
	}
	for _, s := range []*Service{r.service, second} {
		got := do(t, s, keyed("tea", "u2", "wait=9", "k1")).is(t, 422, "idempotency-key-reused")
		if got.string("claim_id") != "" || got.header.Get("Retry-After") != "" {
			t.Errorf("another person's claim with it: %s", got.text)
		}
	}
	if got := r.do(keyed("tea", "u1", "", "k2")).is(t, 409, "duplicate-request"); got.string("claim_id") != id {
		t.Errorf("the same person with another key: %s", got.text)
	}
	if got := r.claim("tea", "u1", "").is(t, 409, "duplicate-request"); got.string("claim_id") != id {
		t.Errorf("the same person without a key: %s", got.text)
	}
	var all sync.WaitGroup
	waited := make([]reply, 2)
	for i, s := range []*Service{r.service, second} {
		all.Go(func() { waited[i], _ = try(s, keyed("tea", "u1", "wait=20", "k1")) })
		eventually(t, "it waits", func() bool { return s.waiters.Count() == 1 })
	}
	goOn()
	all.Wait()
	for _, got := range waited {
		if got.is(t, 200, "").string("claim_id") != id || got.number("sequence") != 1 || got.header.Get("Preference-Applied") != "wait=20" {
			t.Errorf("who waited with the same key is told %v %s", got.header, got.text)
		}
	}
	if now := r.get("/v1/claims/"+id).is(t, 200, ""); now.text != waited[0].text {
		t.Errorf("told %s, and then %s", waited[0].text, now.text)
	}

	byApp := keyed("tea", "u2", "wait=9", "k1")
	byApp.token = "app-secret"
	if got := r.do(byApp).is(t, 200, ""); got.number("sequence") != 2 {
		t.Errorf("another principal's key: %s", got.text)
	}
	if end := r.ends()[p]; end != 3 {
		t.Errorf("the log ends at %d, want the definition and two claims", end)
	}
	r.put("box", `{"limit":1}`).is(t, 201, "")
	r.do(keyed("box", "u9", "wait=9", "k1")).is(t, 200, "")

	r.expireGuards() // and what was asked with a key is still remembered, sold out or not
	if got := r.do(keyed("tea", "u1", "wait=9", "k1")).is(t, 200, ""); got.text != waited[0].text {
		t.Errorf("told %s, and a minute later %s", waited[0].text, got.text)
	}
	decided := r.do(keyed("tea", "u1", "", "k1")).is(t, 202, "")
	if _, some := decided.body["position"]; some || decided.string("claim_id") != id {
		t.Errorf("without waiting, once it is decided: %s", decided.text)
	}
	if got := testutil.ToFloat64(r.service.metrics.claims.WithLabelValues("replayed")); got != 6 {
		t.Errorf("%v claims were replayed, want 6", got)
	}
	r.expire("idem")
	r.do(keyed("tea", "u1", "wait=9", "k1")).is(t, 409, "already-issued")
	if keys := r.keys("idem"); len(keys) != 0 {
		t.Errorf("refused early, and keys are left behind: %q", keys)
	}
}

// A refusal that the log decided is told again too, with the same claim id.
func TestGateway_IdempotencyKey_Refused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.put("tea", `{"limit":1}`).is(t, 201, "")
	goOn := r.Hold()
	defer goOn()
	r.claim("tea", "u1", "").is(t, 202, "")
	id := r.do(keyed("tea", "u2", "", "k")).is(t, 202, "").string("claim_id")
	goOn()
	for range 2 {
		if got := r.do(keyed("tea", "u2", "wait=9", "k")).is(t, 409, "sold-out"); got.string("claim_id") != id {
			t.Errorf("told %s, and the claim is %s", got.text, id)
		}
	}
	before := r.keys("idem")
	r.do(keyed("tea", "u3", "wait=9", "k3")).is(t, 409, "sold-out")
	if after := r.keys("idem"); !slices.Equal(before, after) {
		t.Errorf("an early refusal left keys behind: %q", after)
	}
}

func TestGateway_IdempotencyKey_AtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	second, _ := startGateway(t, r.servers)
	eventually(t, "a second gateway is ready", func() bool { return len(second.Ready()) == 0 })
	r.put("tea", `{"limit":9}`).is(t, 201, "")
	ids := atOnce(20, func(i int) string {
		for {
			got, err := try([]*Service{r.service, second}[i%2], keyed("tea", "u", "wait=20", "k"))
			switch {
			case err != nil:
				return err.Error()
			case got.status == 409 && got.string("claim_id") == "" && got.header.Get("Retry-After") == "1":
				continue // in flight
			case got.status != 200:
				return got.text
			}
			return got.string("claim_id")
		}
	})
	if len(ids) != 1 {
		t.Errorf("one key, and told %v", ids)
	}
	if end := r.ends()[event.Partition("tea", parts)]; end != 2 {
		t.Errorf("the log ends at %d, want the definition and one claim", end)
	}
}

func TestGateway_IdempotencyKey_Malformed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.put("tea", `{"limit":9}`).is(t, 201, "")
	for _, key := range [][]string{{""}, {`""`}, {`"a`}, {"a b"}, {"a", "b"}, {strings.Repeat("k", 256)}} {
		got := r.do(keyed("tea", "u", "wait=9", key...)).is(t, 400, "malformed")
		if !strings.Contains(got.string("detail"), headerIdempotencyKey) {
			t.Errorf("key %q: %s", key, got.text)
		}
	}
	if end := r.ends()[event.Partition("tea", parts)]; end != 1 {
		t.Errorf("something was appended: the log ends at %d", end)
	}
	wrong := keyed("tea", "u", "", "a b")
	wrong.token = "wrong"
	r.do(wrong).is(t, 401, "unauthorized")
}

// Nobody knows whether the claim got into the log: the key is free, and whoever asks again gets one coupon, and not two.
func TestGateway_IdempotencyKey_UnknownAppend(t *testing.T) {
	t.Parallel()
	servers := coupontest.StartAlone(t, coupontest.Kafka, coupontest.Redis)
	r := newRigOn(t, servers)
	r.put("tea", `{"limit":9}`).is(t, 201, "")
	servers.Pause(t, coupontest.Kafka)
	r.do(keyed("tea", "u", "wait=9", "k")).is(t, 503, "unavailable")
	if left := append(r.keys("guard"), r.keys("idem")...); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
	servers.Resume(t, coupontest.Kafka)
	var got reply
	eventually(t, "there is an answer", func() bool {
		got = r.do(keyed("tea", "u", "wait=9", "k"))
		return got.status != 503
	})
	if got.status != 200 {
		got.is(t, 409, "already-issued")
	}
	eventually(t, "one is granted", func() bool { return r.get("/v1/coupons/tea").number("granted") == 1 })
}
