package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/internal/openapi/openapitest"
	"github.com/firstcome/firstcome/internal/telemetry"
	"github.com/firstcome/firstcome/internal/token"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/ledger/internal/postgres"
	"github.com/firstcome/firstcome/services/ledger/posting"
	"github.com/firstcome/firstcome/services/ledger/posting/postingtest"
)

const secret = "s3cret"

func serve(t testing.TB, a *api) *httptest.Server {
	t.Helper()
	var err error
	if a.tokens, err = token.Parse("desk=" + secret + ",desk=old"); err != nil {
		t.Fatal(err)
	}
	if a.log == nil {
		a.log = quiet
	}
	if a.page == 0 {
		a.page = downloadPage
	}
	server := httptest.NewServer(a.handler(telemetry.NewHTTPMetrics(prometheus.NewRegistry(), "ledger")))
	t.Cleanup(server.Close)
	return server
}

// ask gives status, headers and body.
func ask(t testing.TB, method, address string, header http.Header) (*http.Response, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+secret)
	for name, values := range header {
		r.Header[name] = values
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := published().Check(r, "", openapitest.Answer{Status: res.StatusCode, Header: res.Header, Text: string(body)}); err != nil {
		t.Error(err)
	}
	return res, body
}

// sample is a ledger with a coupon that is given once and one that is given each day.
func sample(t testing.TB) (*postgres.Store, []event.CouponGranted) {
	t.Helper()
	s := openStore(t, migrated(t, coupontest.Start(t, coupontest.Postgres)))
	log := fcfs.NewLog(0)
	at := fcfs.FromTime(noon)
	var facts []fcfs.Fact
	take := func(f *fcfs.Fact) {
		if f == nil {
			t.Fatal("nothing came of it")
		}
		facts = append(facts, *f)
	}
	define := func(offset int64, at fcfs.Millis, d fcfs.Definition) {
		d.Rules = 1
		_, f := log.Define(offset, at, d)
		take(f)
	}
	claim := func(offset int64, at fcfs.Millis, coupon, user string) {
		_, f := log.Claim(offset, at, coupon, user)
		take(f)
	}
	const day = 24 * 60 * 60 * 1000
	define(0, at, fcfs.Definition{CouponID: "tea", Limit: 2, Window: fcfs.WindowNone, TimeZone: "UTC"})
	define(1, at, fcfs.Definition{CouponID: "day", Limit: 3, Window: fcfs.WindowDaily, TimeZone: "Asia/Seoul"})
	define(2, at, fcfs.Definition{CouponID: "new", Limit: 9, Window: fcfs.WindowNone, TimeZone: "UTC"})
	define(3, at, fcfs.Definition{CouponID: "later", Limit: 9, Window: fcfs.WindowDaily, TimeZone: "UTC"})
	claim(4, at+4, "tea", "=ada")
	claim(5, at+5, "tea", "<Zoë>, \"x\"")
	claim(6, at+6, "day", "ada")
	define(7, at+7, fcfs.Definition{CouponID: "tea", Limit: 4, Window: fcfs.WindowNone, TimeZone: "UTC"})
	claim(8, at+8, "tea", "@eve")
	define(9, at+day, fcfs.Definition{CouponID: "day", Limit: 7, Window: fcfs.WindowDaily, TimeZone: "Asia/Seoul"})
	claim(10, at+day+1, "day", "ada")
	claim(11, at+day+2, "day", "bob")

	b := posting.Batch{To: posting.Place{Next: 12, HighestSource: 11}}
	var err error
	if b.From, err = s.Begin(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	for _, f := range facts {
		if f.Defined != nil {
			b.Definitions = append(b.Definitions, postingtest.Definition(f))
		} else {
			b.Grants = append(b.Grants, postingtest.Grant(event.TopicRequests, f))
		}
	}
	if err := s.Write(t.Context(), b, func(context.Context, posting.Refused) error { return nil }); err != nil {
		t.Fatal(err)
	}
	return s, b.Grants
}

func TestAPI(t *testing.T) {
	checkLeaks(t, coupontest.Postgres)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	s, grants := sample(t)
	server := serve(t, &api{store: s, page: 2})
	for _, c := range []struct {
		request string // method and path
		status  int
		want    string // of the body: everything, or for a problem its name and what it must contain
	}{
		{"GET /v1/grants?coupon_id=tea&limit=1", 200, `{"grants":[{"grant_id":"` + grants[0].GrantID + `","coupon_id":"tea","user_id":"=ada","window":"","sequence":1,"limit":2,` +
			`"requested_at":"2026-11-22T12:00:00.011Z","log_time":"2026-11-22T12:00:00.011Z","source":{"partition":0,"offset":4}}],"next":"dGVhLy8x"}`},
		{"GET /v1/grants?coupon_id=day&user_id=ada&window=2026-11-23", 200, `{"grants":[{"grant_id":"` + grants[4].GrantID + `","coupon_id":"day","user_id":"ada","window":"2026-11-23","sequence":1,"limit":7,` +
			`"requested_at":"2026-11-23T12:00:00.008Z","log_time":"2026-11-23T12:00:00.008Z","source":{"partition":0,"offset":10}}],"next":null}`},
		{"GET /v1/grants?user_id=nobody", 200, `{"grants":[],"next":null}`},
		{"GET /v1/grants?user_id=ADA", 200, `{"grants":[],"next":null}`},
		{"GET /v1/grants?coupon_id=none", 200, `{"grants":[],"next":null}`},
		{"GET /v1/coupons/tea/summary", 200, `{"coupon_id":"tea","windows":[{"window":"","limit":4,"granted":3,"first_requested_at":"2026-11-22T12:00:00.011Z","last_requested_at":"2026-11-22T12:00:00.015Z"}]}`},
		{"GET /v1/coupons/day/summary", 200, `{"coupon_id":"day","windows":[` +
			`{"window":"2026-11-22","limit":3,"granted":1,"first_requested_at":"2026-11-22T12:00:00.013Z","last_requested_at":"2026-11-22T12:00:00.013Z"},` +
			`{"window":"2026-11-23","limit":7,"granted":2,"first_requested_at":"2026-11-23T12:00:00.008Z","last_requested_at":"2026-11-23T12:00:00.009Z"}]}`},
		{"GET /v1/coupons/new/summary", 200, `{"coupon_id":"new","windows":[{"window":"","limit":9,"granted":0}]}`},
		{"GET /v1/coupons/later/summary", 200, `{"coupon_id":"later","windows":[]}`},
		{"GET /v1/coupons/new/grants.csv", 200, "grant_id,coupon_id,user_id,window,sequence,limit,requested_at,log_time,source_partition,source_offset"},
		{"HEAD /v1/coupons/tea/grants.csv", 200, ""},
		{"GET /v1/coupons/new/grants.ndjson", 200, ""},
		{"GET /v1/coupons/day/grants.ndjson?window=2026-11-22", 200, line(grants[2])},
		{"GET /v1/grants?grant_id=" + strings.ToUpper(grants[2].GrantID), 200, `{"grants":[` + line(grants[2]) + `],"next":null}`},
		{"GET /v1/grants?grant_id=" + grants[2].GrantID + "&user_id=bob", 200, `{"grants":[],"next":null}`},
		{"GET /v1/grants?coupon_id=tea&window=&from=2026-11-22T12:00:00.012Z&to=2026-11-22T21:00:00.015%2B09:00", 200, `{"grants":[` + line(grants[1]) + `],"next":null}`},
		{"GET /v1/coupons/day/summary?window=2026-11-23", 200, `{"coupon_id":"day","windows":[` +
			`{"window":"2026-11-23","limit":7,"granted":2,"first_requested_at":"2026-11-23T12:00:00.008Z","last_requested_at":"2026-11-23T12:00:00.009Z"}]}`},
		{"GET /v1/coupons/day/summary?window=2026-11-24", 200, `{"coupon_id":"day","windows":[]}`},
		{"GET /v1/coupons/tea/summary?window=&histogram=second", 200, `{"coupon_id":"tea","windows":[{"window":"","limit":4,"granted":3,"first_requested_at":"2026-11-22T12:00:00.011Z","last_requested_at":"2026-11-22T12:00:00.015Z",` +
			`"step_seconds":1,"histogram":[{"second":"2026-11-22T12:00:00Z","granted":3}]}]}`},
		{"GET /v1/coupons/new/summary?window=&histogram=second", 200, `{"coupon_id":"new","windows":[{"window":"","limit":9,"granted":0}]}`},

		{"GET /v1/grants?limit=0", 422, `invalid "errors":[{"parameter":"limit","detail":"must be a number from 1 to 1000"}]`},
		{"GET /v1/grants?x=1&user_id=", 422, `invalid {"parameter":"user_id"`},
		{"GET /v1/grants?%zz", 400, `malformed`},
		{"GET /v1/grants?grant_id=7", 422, `invalid {"parameter":"grant_id","detail":"must be the id of a grant`},
		{"GET /v1/grants?coupon_id=tea&from=2026-11-22T12:00:00Z", 422, `invalid {"parameter":"from","detail":"needs coupon_id and window`},
		{"GET /v1/coupons/tea/summary?histogram=second", 422, `invalid {"parameter":"histogram","detail":"needs window`},
		{"GET /v1/coupons/tea/summary?histogram=minute&window=", 422, `invalid {"parameter":"histogram","detail":"must be second"}`},
		{"GET /v1/coupons/tea/grants.ndjson?window=none", 422, `invalid {"parameter":"window"`},
		{"GET /v1/coupons/none/grants.ndjson", 404, `unknown-coupon`},
		{"GET /v1/coupons/tea/summary?limit=1", 422, `invalid {"parameter":"limit"`},
		{"GET /v1/coupons/tea/grants.csv?limit=1", 422, `invalid {"parameter":"limit"`},
		{"GET /v1/coupons/none/summary", 404, `unknown-coupon`},
		{"GET /v1/coupons/none/grants.csv", 404, `unknown-coupon`},
		{"GET /v1/coupons/%00/summary", 404, `unknown-coupon`},
		{"GET /v1/coupons/a%2fb/grants.csv", 404, `unknown-coupon`},
		{"GET /v1/", 404, `not-found`},
		{"GET /v1/grants/", 404, `not-found`},
		{"POST /v1/grants", 405, `method-not-allowed`},
		{"DELETE /v1/coupons/tea/grants.csv", 405, `method-not-allowed`},
	} {
		t.Run(c.request, func(t *testing.T) {
			method, path, _ := strings.Cut(c.request, " ")
			res, body := ask(t, method, server.URL+path, http.Header{"X-Correlation-Id": {"c-1"}})
			if res.StatusCode != c.status {
				t.Errorf("status %d: %s", res.StatusCode, body)
			}
			if got := res.Header.Get("X-Correlation-ID"); got != "c-1" {
				t.Errorf("correlation id %q", got)
			}
			if res.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("headers %v", res.Header)
			}
			if c.status == 200 {
				if got := strings.TrimSuffix(string(body), "\n"); got != c.want {
					t.Errorf("got  %s\nwant %s", got, c.want)
				}
				return
			}
			checkProblem(t, res, body, c.want)
		})
	}
}

// line is a grant as all answers have it.
func line(g event.CouponGranted) string {
	m, err := g.Message(event.Meta{Source: event.JournalSource(event.TopicRequests, g.Source.Partition)})
	if err != nil {
		panic(err)
	}
	return string(m.Value)
}

// checkProblem looks for the name and, after a space, a piece of the body.
func checkProblem(t testing.TB, res *http.Response, body []byte, want string) {
	t.Helper()
	name, piece, _ := strings.Cut(want, " ")
	var p struct {
		Type          string
		Status        int
		CorrelationID string `json:"correlation_id"`
	}
	if err := json.Unmarshal(body, &p); err != nil {
		t.Fatal(err, string(body))
	}
	if p.Type != "https://firstcome.dev/problems/"+name || p.Status != res.StatusCode || !strings.Contains(string(body), piece) {
		t.Errorf("got %s", body)
	}
	if res.Header.Get("Content-Type") != "application/problem+json" || p.CorrelationID != res.Header.Get("X-Correlation-ID") {
		t.Errorf("got %v and %s", res.Header, body)
	}
}

func TestAPI_Tokens(t *testing.T) {
	s, _ := sample(t)
	server, open := serve(t, &api{store: s}), serve(t, &api{store: s, anonymous: true})
	for header, want := range map[string]int{
		"Bearer " + secret: 200, "bearer old": 200, "": 401, secret: 401, "Basic " + secret: 401, "Bearer " + secret + "x": 401, "Bearer ": 401, "Bearer desk=" + secret: 401,
	} {
		for _, path := range []string{"/v1/grants", "/v1/coupons/tea/summary", "/v1/coupons/tea/grants.csv", "/v1/coupons/tea/grants.ndjson"} {
			res, body := ask(t, "GET", server.URL+path, http.Header{"Authorization": {header}})
			if res.StatusCode != want {
				t.Errorf("%q: %d", header, res.StatusCode)
			}
			if want == 401 {
				checkProblem(t, res, body, "unauthorized")
			}
			if res, _ := ask(t, "GET", open.URL+path, http.Header{"Authorization": {header}}); res.StatusCode != 200 {
				t.Errorf("anonymous, %q: %d", header, res.StatusCode)
			}
		}
	}
	for _, path := range []string{"/openapi.json", "/docs"} {
		if res, _ := ask(t, "GET", server.URL+path, http.Header{"Authorization": {""}}); res.StatusCode != 200 {
			t.Errorf("%s needs a token", path)
		}
	}
	if res, _ := ask(t, "GET", server.URL+"/nothing", http.Header{"Authorization": {""}}); res.StatusCode != 401 {
		t.Errorf("a stranger learns what there is: %d", res.StatusCode)
	}
}

// All pages together are everything, once.
func TestAPI_Pages(t *testing.T) {
	s, grants := sample(t)
	server := serve(t, &api{store: s})
	for query, want := range map[string]int{"limit=1": 6, "limit=2": 6, "limit=6": 6, "limit=1&coupon_id=day": 3, "limit=1&user_id=ada": 2, "limit=1&window=": 3, "limit=1&window=2026-11-23": 2} {
		seen := map[string]bool{}
		for after := ""; ; {
			_, body := ask(t, "GET", server.URL+"/v1/grants?"+query+after, nil)
			var page pageAnswer
			if err := json.Unmarshal(body, &page); err != nil {
				t.Fatal(err, string(body))
			}
			for _, g := range page.Grants {
				if seen[g.GrantID] {
					t.Errorf("%s: %s again", query, g.GrantID)
				}
				seen[g.GrantID] = true
			}
			if page.Next == nil {
				break
			}
			after = "&after=" + url.QueryEscape(*page.Next)
		}
		if len(seen) != want {
			t.Errorf("%s: %d of %d grants", query, len(seen), len(grants))
		}
	}
}

type pageAnswer struct {
	Grants []struct {
		GrantID string `json:"grant_id"`
	}
	Next *string
}

func TestAPI_Unavailable(t *testing.T) {
	servers := coupontest.StartAlone(t, coupontest.Postgres)
	s := openStore(t, migrated(t, servers))
	server := serve(t, &api{store: s, page: 1})
	servers.Kill(t, coupontest.Postgres)
	for _, path := range []string{"/v1/grants", "/v1/coupons/tea/summary", "/v1/coupons/tea/grants.csv", "/v1/coupons/tea/grants.ndjson"} {
		res, body := ask(t, "GET", server.URL+path, nil)
		if res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %v", path, res.StatusCode, res.Header)
		}
		checkProblem(t, res, body, "unavailable the ledger's database does not answer")
	}
	broken := serve(t, &api{store: &brokenStore{err: errors.New("password=hush")}})
	res, body := ask(t, "GET", broken.URL+"/v1/grants", nil)
	if res.StatusCode != 500 || strings.Contains(string(body), "hush") {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	servers.Restart(t, coupontest.Postgres)
	deadline := time.Now().Add(2 * time.Minute)
	for status := 0; status != 200; {
		if time.Now().After(deadline) {
			t.Fatal("Postgres is back, the API is not")
		}
		res, _ := ask(t, "GET", server.URL+"/v1/grants", nil)
		status = res.StatusCode
	}
}
