package gateway

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func grantRequest(coupon, user string) request {
	return request{method: "GET", path: "/v1/coupons/" + coupon + "/grant?user_id=" + url.QueryEscape(user), token: claimToken}
}

func (r *rig) grant(coupon, user string) reply {
	r.t.Helper()
	return r.do(grantRequest(coupon, user))
}

func TestGateway_Grant(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.put("tea", `{"limit":2}`).is(t, 201, "")
	told := r.claim("tea", "u 1&?", "wait=9").is(t, 200, "")
	want := `{"coupon_id":"tea","user_id":"u 1\u0026?","window":"","sequence":1,"grant_id":"` + told.string("grant_id") + `"}` + "\n"
	if got := r.grant("tea", "u 1&?").is(t, 200, ""); got.text != want {
		t.Errorf("told %s, want %s", got.text, want)
	}
	if got := r.grant("tea", "u2").is(t, 404, "not-granted"); !strings.Contains(got.string("detail"), "pending") {
		t.Errorf("who has asked a moment ago is not told that it may be pending: %s", got.text)
	}
	r.grant("coffee", "u1").is(t, 404, "unknown-coupon")
	r.grant("a%2Fb", "u1").is(t, 404, "unknown-coupon")
	for query, token := range map[string]string{
		"": claimToken, "?user_id=": claimToken, "?user_id=a&user_id=b": claimToken, "?user=u1": claimToken,
		"?user_id=%07": claimToken, "?user_id=%ff": claimToken, "?user_id=" + strings.Repeat("u", 201): claimToken,
	} {
		got := r.do(request{method: "GET", path: "/v1/coupons/tea/grant" + query, token: token}).is(t, 422, "invalid")
		if at := pointers(got); at != "user_id" {
			t.Errorf("%s: errors at %q", query, at)
		}
	}
	for token, status := range map[string]int{"": 401, "wrong": 401, adminToken: 403} {
		q := grantRequest("tea", "u1")
		q.token = token
		if got := r.do(q); got.status != status {
			t.Errorf("with token %q: %d %s, want %d", token, got.status, got.text, status)
		}
	}
}

// A state that is lost, or comes back older than what was told from it, says nothing about anybody.
func TestGateway_GrantWhileRedisIsBehind(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.put("tea", `{"limit":2}`).is(t, 201, "")
	keys, ctx := r.servers.RedisPrefix+":*", t.Context()
	dump := map[string]string{}
	for _, key := range r.double.redis.Keys(ctx, keys).Val() {
		dump[key] = r.double.redis.Dump(ctx, key).Val()
	}
	told := r.claim("tea", "u", "wait=9").is(t, 200, "")

	r.servers.FlushRedis(t)
	r.grant("tea", "u").is(t, 503, "unavailable")
	r.grant("tea", "v").is(t, 503, "unavailable")
	for key, value := range dump {
		if err := r.double.redis.Restore(ctx, key, 0, value).Err(); err != nil {
			t.Fatal(err)
		}
	}
	r.grant("tea", "u").is(t, 503, "unavailable") // the definition is there, and the grant is not yet
	r.double.Write()
	if got := r.grant("tea", "u").is(t, 200, ""); got.string("grant_id") != told.string("grant_id") {
		t.Errorf("told %s, and then %s", told.text, got.text)
	}
}

// Around midnight the broker's day may be another than the gateway's: who was granted in either is told so.
func TestGateway_GrantAtMidnight(t *testing.T) {
	t.Parallel()
	r, ahead := newShiftedRig(t)
	r.put("box", `{"limit":1,"window":"daily"}`).is(t, 201, "")
	told := r.claim("box", "u", "wait=9").is(t, 200, "")
	began := time.Now().UTC().Truncate(24 * time.Hour)
	for _, c := range []struct {
		name   string
		clock  time.Time
		status int
		of     string
	}{
		{"the same day", began.Add(12 * time.Hour), 200, ""},
		{"the gateway is a second behind", began.Add(-time.Second), 200, ""},
		{"the gateway is a second ahead", began.Add(24*time.Hour + time.Second), 200, ""},
		{"the day before", began.Add(-time.Hour), 404, began.Add(-time.Hour).Format(time.DateOnly)},
		{"the day after", began.Add(25 * time.Hour), 404, began.Add(25 * time.Hour).Format(time.DateOnly)},
	} {
		ahead.Store(int64(time.Until(c.clock)))
		got := r.grant("box", "u")
		if got.status != c.status {
			t.Errorf("%s: %d %s, want %d", c.name, got.status, got.text, c.status)
		}
		if got.status == 200 && (got.string("window") != told.string("window") || got.string("grant_id") != told.string("grant_id")) {
			t.Errorf("%s: %s, want the grant of %s", c.name, got.text, told.text)
		}
		if got.status == 404 && !strings.Contains(got.string("detail"), c.of) {
			t.Errorf("%s: %s, want the window %s in it", c.name, got.text, c.of)
		}
	}
}

// pretendedLedger answers what it is told to; the real one is in the stories of test/gateway.
type pretendedLedger struct {
	*httptest.Server
	grants, summary atomic.Pointer[http.HandlerFunc]
}

const ledgerToken = "ledger-secret"

func startLedger(t *testing.T) *pretendedLedger {
	l := &pretendedLedger{}
	mux := http.NewServeMux()
	through := func(answer *atomic.Pointer[http.HandlerFunc]) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer "+ledgerToken {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			(*answer.Load())(w, r)
		}
	}
	mux.HandleFunc("GET /v1/grants", through(&l.grants))
	mux.HandleFunc("GET /v1/coupons/{id}/summary", through(&l.summary))
	l.Server = httptest.NewServer(mux)
	t.Cleanup(l.Close)
	return l
}

func says(status int, body string) *http.HandlerFunc {
	f := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	})
	return &f
}

func never(t *testing.T) *http.HandlerFunc {
	f := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(soon):
			t.Error("the gateway waits for the ledger without end")
		}
	})
	return &f
}

const (
	retiredGrant = `{"grants":[{"grant_id":"g7","coupon_id":"old","user_id":"u","window":"","sequence":7,"limit":9}],"next":null}`
	nobody       = `{"grants":[],"next":null}`
)

func (r *rig) retire(coupon string) {
	r.t.Helper()
	r.put(coupon, `{"limit":9,"closes_at":"`+inText(-25*time.Hour)+`"}`).is(r.t, 200, "")
}

func TestGateway_GrantOfARetiredCoupon(t *testing.T) {
	t.Parallel()
	l := startLedger(t)
	r := newRig(t, func(c *Config) { c.LedgerURL, c.LedgerToken = l.URL+"/", ledgerToken })
	r.put("old", `{"limit":9}`).is(t, 201, "")
	r.claim("old", "u", "wait=9").is(t, 200, "")
	r.retire("old")
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		t.Error("the gateway follows the ledger elsewhere")
		_, _ = w.Write([]byte(nobody))
	}))
	defer elsewhere.Close()
	leads := http.HandlerFunc(http.RedirectHandler(elsewhere.URL, http.StatusFound).ServeHTTP)
	all, none := says(200, `{"coupon_id":"old","windows":[{"window":"","granted":1}]}`), says(200, `{"coupon_id":"old","windows":[]}`)
	for _, c := range []struct {
		what            string
		summary, grants *http.HandlerFunc
		status          int
		problem         string
	}{
		{"it holds one", all, says(200, retiredGrant), 200, ""},
		{"it holds none", all, says(200, nobody), 404, "not-granted"},
		{"it holds one of those that the ledger has", none, says(200, retiredGrant), 200, ""},
		{"the ledger has not all grants", none, says(200, nobody), 503, "unavailable"},
		{"the ledger does not know the coupon", says(404, `{}`), says(200, nobody), 503, "unavailable"},
		{"the ledger's database is down", says(503, `{}`), says(200, nobody), 503, "unavailable"},
		{"its grants were archived", all, says(410, `{"type":"https://firstcome.dev/problems/retired"}`), 410, "retired"},
		{"it breaks in the middle", all, says(500, `{}`), 503, "unavailable"},
		{"it asks for another token", all, says(401, nobody), 503, "unavailable"},
		{"it leads elsewhere", all, &leads, 503, "unavailable"},
		{"it is no ledger", says(200, `{}`), says(200, nobody), 503, "unavailable"},
		{"nor is this", all, says(200, `{}`), 503, "unavailable"},
		{"nor this", all, says(200, `<html>`), 503, "unavailable"},
		{"it answers another question", all, says(200, strings.Replace(retiredGrant, `"u"`, `"v"`, 1)), 503, "unavailable"},
		{"it does not answer", all, never(t), 503, "unavailable"},
	} {
		l.summary.Store(c.summary)
		l.grants.Store(c.grants)
		got := r.grant("old", "u")
		if got.status != c.status {
			t.Errorf("%s: %d %s, want %d", c.what, got.status, got.text, c.status)
			continue
		}
		got.is(t, c.status, c.problem)
		if want := `{"coupon_id":"old","user_id":"u","window":"","sequence":7,"grant_id":"g7"}` + "\n"; c.status == 200 && got.text != want {
			t.Errorf("%s: %s, want %s", c.what, got.text, want)
		}
		if strings.Contains(got.text, "ledger-secret") || c.status == 503 && got.header.Get("Retry-After") == "" {
			t.Errorf("%s: %v %s", c.what, got.header, got.text)
		}
	}
	l.Close()
	r.grant("old", "u").is(t, 503, "unavailable")
	r.claim("old", "u", "").is(t, 409, "duplicate-request") // nothing else needs the ledger
}

func TestGateway_GrantWithoutALedger(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.put("old", `{"limit":9}`).is(t, 201, "")
	r.claim("old", "u", "wait=9").is(t, 200, "")
	r.retire("old")
	if got := r.grant("old", "u").is(t, 410, "retired"); !strings.Contains(got.string("detail"), "ledger") {
		t.Errorf("retired, and nobody says where to ask: %s", got.text)
	}
}

// A coupon is retired while people ask: who holds one is never told otherwise.
func TestGateway_GrantWhileItIsRetired(t *testing.T) {
	t.Parallel()
	l := startLedger(t)
	l.summary.Store(says(200, `{"coupon_id":"old","windows":[{"window":"","granted":1}]}`))
	l.grants.Store(says(200, retiredGrant))
	r := newRig(t, func(c *Config) { c.LedgerURL, c.LedgerToken = l.URL, ledgerToken })
	r.put("old", `{"limit":9}`).is(t, 201, "")
	r.claim("old", "u", "wait=9").is(t, 200, "")
	var asking sync.WaitGroup
	var before, after atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	defer asking.Wait()
	defer stop()
	for range 4 {
		asking.Go(func() {
			for ctx.Err() == nil {
				got, err := try(r.service, grantRequest("old", "u"))
				switch {
				case err != nil || got.status != 200:
					t.Errorf("told %d %s, %v", got.status, got.text, err)
					return
				case got.number("sequence") == 7: // the ledger's
					after.Add(1)
				default:
					before.Add(1)
				}
			}
		})
	}
	eventually(t, "people ask", func() bool { return before.Load() > 20 })
	r.retire("old")
	eventually(t, "people ask afterwards", func() bool { return after.Load() > 20 })
}

func TestConfig_Ledger(t *testing.T) {
	for _, c := range []struct{ url, token, wrong string }{
		{"", "", ""}, {"http://ledger:8082", "", ""}, {"https://ledger.example/firstcome/", "s3cret", ""},
		{"", "s3cret", "LEDGER_URL"}, {"ledger:8082", "", "LEDGER_URL"}, {"http://", "", "LEDGER_URL"}, {"http://ledger?x=1", "", "LEDGER_URL"},
		{"http://user:pass@ledger", "", "LEDGER_URL"}, {"ftp://ledger", "", "LEDGER_URL"}, {"http://ledger", "a b", "LEDGER_TOKEN"},
	} {
		_, err := newLedger(c.url, c.token)
		if (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%q with token %q: %v, want %q named", c.url, c.token, err, c.wrong)
		}
		if err != nil && (strings.Contains(err.Error(), "pass") || c.token != "" && strings.Contains(err.Error(), c.token)) {
			t.Errorf("a secret is told: %v", err)
		}
	}
}

// A person asks for their own grant, and for nobody else's.
func TestGateway_GrantByJWT(t *testing.T) {
	t.Parallel()
	key := ecSigner(t, "k")
	people := startIssuer(t, key)
	r := newRig(t, people.trust)
	r.put("tea", `{"limit":1}`).is(t, 201, "")
	r.claim("tea", "ada", "wait=9").is(t, 200, "")
	ask := func(sub, query string) reply {
		return r.do(request{method: "GET", path: "/v1/coupons/tea/grant" + query, token: key.sign(t, good(sub))})
	}
	for _, query := range []string{"", "?user_id=ada"} {
		if got := ask("ada", query).is(t, 200, ""); got.string("user_id") != "ada" {
			t.Errorf("%q is answered %s", query, got.text)
		}
	}
	ask("bob", "").is(t, 404, "not-granted")
	ask("bob", "?user_id=ada").is(t, 403, "forbidden")
	ask("ada", "?user_id=").is(t, 422, "invalid")
	ask("ada", "?user_id=ada&user_id=ada").is(t, 422, "invalid")
}
