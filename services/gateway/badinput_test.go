package gateway

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/firstcome/firstcome/internal/problem"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/gateway/verdict"
)

func pointers(a reply) string {
	list, _ := a.body["errors"].([]any)
	var at []string
	for _, e := range list {
		fields := e.(map[string]any)
		at = append(at, fmt.Sprint(fields["pointer"], fields["parameter"]))
		if fields["detail"] == "" {
			at = append(at, "no detail")
		}
	}
	return strings.ReplaceAll(strings.Join(at, " "), "<nil>", "")
}

// Whatever is wrong with a request, it has a problem of its own, and nothing gets into the log.
func TestGateway_BadInput(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.put("tea", `{"limit":3}`).is(t, 201, "")
	before := r.ends()

	put := func(body string) request {
		return request{method: "PUT", path: "/v1/coupons/tea", body: body, token: adminToken}
	}
	post := func(body string) request {
		return request{method: "POST", path: "/v1/coupons/tea/claims", body: body, token: claimToken}
	}
	with := func(q request, name, value string) request {
		q.header = http.Header{name: {value}}
		return q
	}
	by := func(q request, token string) request { q.token = token; return q }
	at := func(q request, path string) request { q.path = path; return q }
	get := func(path string) request { return request{method: "GET", path: path} }
	okay, claim := `{"limit":3}`, `{"user_id":"u"}`

	for _, c := range []struct {
		what     string
		q        request
		status   int
		problem  string
		pointers string
	}{
		{"no token", by(put(okay), ""), 401, "unauthorized", ""},
		{"wrong token", by(put(okay), "wrong"), 401, "unauthorized", ""},
		{"a claimer defines", by(put(okay), claimToken), 403, "forbidden", ""},
		{"no token claims", by(post(claim), ""), 401, "unauthorized", ""},
		{"an admin claims", by(post(claim), adminToken), 403, "forbidden", ""},
		{"not a bearer", with(by(post(claim), ""), "Authorization", "Basic "+claimToken), 401, "unauthorized", ""},
		{"the token comes before the body", by(post("{"), "wrong"), 401, "unauthorized", ""},

		{"not JSON", post("user=u"), 400, "malformed", ""},
		{"cut short", post(`{"user_id":"u"`), 400, "malformed", ""},
		{"empty body", with(post(""), "Content-Type", "application/json"), 400, "malformed", ""},
		{"an array", post(`[{"user_id":"u"}]`), 400, "malformed", ""},
		{"null", post(`null`), 400, "malformed", ""},
		{"a name twice", post(`{"user_id":"u","user_id":"v"}`), 400, "malformed", ""},
		{"more behind it", post(claim + claim), 400, "malformed", ""},
		{"bad UTF-8", post("{\"user_id\":\"\xff\"}"), 400, "malformed", ""},
		{"a lone surrogate", post(`{"user_id":"\ud800"}`), 400, "malformed", ""},
		{"a put that is not JSON", put("limit: 3"), 400, "malformed", ""},

		{"1 MB", post(`{"user_id":"` + strings.Repeat("u", 1<<20) + `"}`), 413, "too-large", ""},
		{"4 KiB and a byte", post(claim + strings.Repeat(" ", maxBody+1-len(claim))), 413, "too-large", ""},

		{"no content type", with(post(claim), "Content-Type", ""), 415, "unsupported-media-type", ""},
		{"a form", with(post(claim), "Content-Type", "application/x-www-form-urlencoded"), 415, "unsupported-media-type", ""},
		{"text", with(put(okay), "Content-Type", "text/plain"), 415, "unsupported-media-type", ""},
		{"another charset", with(post(claim), "Content-Type", "application/json; charset=utf-16"), 415, "unsupported-media-type", ""},
		{"compressed", with(post(claim), "Content-Encoding", "gzip"), 415, "unsupported-media-type", ""},

		{"no user", post(`{}`), 422, "invalid", "#/user_id"},
		{"empty user", post(`{"user_id":""}`), 422, "invalid", "#/user_id"},
		{"a number", post(`{"user_id":7}`), 422, "invalid", "#/user_id"},
		{"null user", post(`{"user_id":null}`), 422, "invalid", "#/user_id"},
		{"a user of 201 bytes", post(`{"user_id":"` + strings.Repeat("u", 201) + `"}`), 422, "invalid", "#/user_id"},
		{"a control character", post(`{"user_id":"a\u0007b"}`), 422, "invalid", "#/user_id"},
		{"an unknown member", post(`{"user_id":"u","limit":1}`), 422, "invalid", "#/limit"},
		{"another case", post(`{"User_id":"u"}`), 422, "invalid", "#/user_id #/User_id"},

		{"limit 0", put(`{"limit":0}`), 422, "invalid", "#/limit"},
		{"no limit", put(`{}`), 422, "invalid", "#/limit"},
		{"limit as text", put(`{"limit":"3"}`), 422, "invalid", "#/limit"},
		{"limit with a fraction", put(`{"limit":3.0}`), 422, "invalid", "#/limit"},
		{"limit too high", put(`{"limit":100000001}`), 422, "invalid", "#/limit"},
		{"limit beyond 64 bits", put(`{"limit":99999999999999999999}`), 422, "invalid", "#/limit"},
		{"unknown window", put(`{"limit":1,"window":"weekly"}`), 422, "invalid", "#/window"},
		{"empty window", put(`{"limit":1,"window":""}`), 422, "invalid", "#/window"},
		{"unknown zone", put(`{"limit":1,"time_zone":"Asia/Soul"}`), 422, "invalid", "#/time_zone"},
		{"the machine's zone", put(`{"limit":1,"time_zone":"Local"}`), 422, "invalid", "#/time_zone"},
		{"empty zone", put(`{"limit":1,"time_zone":""}`), 422, "invalid", "#/time_zone"},
		{"null time", put(`{"limit":1,"opens_at":null}`), 422, "invalid", "#/opens_at"},
		{"not a time", put(`{"limit":1,"opens_at":"tomorrow"}`), 422, "invalid", "#/opens_at"},
		{"a time before 1970", put(`{"limit":1,"opens_at":"1969-12-31T23:59:59Z"}`), 422, "invalid", "#/opens_at"},
		{"the beginning of 1970, which would mean none", put(`{"limit":1,"opens_at":"1970-01-01T00:00:00Z"}`), 422, "invalid", "#/opens_at"},
		{"closes before it opens", put(`{"limit":1,"opens_at":"2026-11-22T10:00:00Z","closes_at":"2026-11-22T09:00:00Z"}`), 422, "invalid", "#/closes_at"},
		{"closes as it opens", put(`{"limit":1,"opens_at":"2026-11-22T10:00:00Z","closes_at":"2026-11-22T10:00:00.0009Z"}`), 422, "invalid", "#/closes_at"},
		{"rules are not for HTTP", put(`{"limit":1,"rules":1}`), 422, "invalid", "#/rules"},
		{"everything at once", put(`{"window":1,"x":1}`), 422, "invalid", "#/limit #/window #/x"},
		{"a bad coupon id", at(put(okay), "/v1/coupons/a%20b"), 422, "invalid", "id"},
		{"a long coupon id", at(put(okay), "/v1/coupons/"+strings.Repeat("a", 101)), 422, "invalid", "id"},

		{"unknown coupon", at(post(claim), "/v1/coupons/coffee/claims"), 404, "unknown-coupon", ""},
		{"a coupon id that cannot be", at(post(claim), "/v1/coupons/.x/claims"), 404, "unknown-coupon", ""},
		{"a coupon id with a slash", at(post(claim), "/v1/coupons/a%2Fb/claims"), 404, "unknown-coupon", ""},
		{"look at an unknown coupon", get("/v1/coupons/coffee"), 404, "unknown-coupon", ""},
		{"look at one that cannot be", get("/v1/coupons/%F0%9F%8D%B5"), 404, "unknown-coupon", ""},
		{"forged claim id", get("/v1/claims/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), 404, "unknown-claim", ""},
		{"not a claim id", get("/v1/claims/x"), 404, "unknown-claim", ""},
		{"a claim id sealed for another partition", get("/v1/claims/" + r.service.sealer.Seal(verdict.Ticket{
			Partition: 1 + event.Partition("tea", parts), CouponID: "tea", UserID: "u"})), 404, "unknown-claim", ""},

		{"page of 0", get("/v1/coupons?limit=0"), 422, "invalid", "limit"},
		{"page of 1001", get("/v1/coupons?limit=1001"), 422, "invalid", "limit"},
		{"page of x", get("/v1/coupons?limit=x&after=%20"), 422, "invalid", "limit after"},

		{"nowhere", get("/v1/nothing"), 404, "not-found", ""},
		{"the root", get("/"), 404, "not-found", ""},
		{"another method", request{method: "DELETE", path: "/v1/coupons/tea"}, 405, "method-not-allowed", ""},
		{"a claim is not got", get("/v1/coupons/tea/claims"), 405, "method-not-allowed", ""},
	} {
		t.Run(c.what, func(t *testing.T) {
			got := do(t, r.service, c.q).is(t, c.status, c.problem)
			if at := pointers(got); at != c.pointers {
				t.Errorf("errors at %q, want %q", at, c.pointers)
			}
			for status, header := range map[int]string{401: "WWW-Authenticate", 405: "Allow", 503: "Retry-After"} {
				if c.status == status && got.header.Get(header) == "" {
					t.Errorf("no %s", header)
				}
			}
		})
	}
	if after := r.ends(); !maps.Equal(before, after) {
		t.Errorf("something was appended: the log's ends were %v and are %v", before, after)
	}
	if guards := r.double.redis.Keys(t.Context(), r.servers.RedisPrefix+":*:guard:*").Val(); len(guards) != 0 {
		t.Errorf("guards were left behind: %v", guards)
	}
}

// What is unusual and right is taken.
func TestGateway_GoodInput(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for body, want := range map[string]string{
		`{"limit":1}`: `"window":"none","current_window":"","time_zone":"UTC"}`,
		` { "time_zone" : "Asia/Seoul" , "limit" : 100000000 } `:                                       `"time_zone":"Asia/Seoul"}`,
		`{"limit":1,"opens_at":"2096-11-22T09:00:00.123456+09:00","closes_at":"2096-11-22t09:00:00z"}`: `"opens_at":"2096-11-22T00:00:00.123Z","closes_at":"2096-11-22T09:00:00.000Z"}`,
		`{"\u006cimit":7}` + strings.Repeat("\n", 1000):                                                `"limit":7,`,
	} {
		if got := r.put("c", body); got.status/100 != 2 || !strings.Contains(got.text, want) {
			t.Errorf("put %s: %s, want in it %s", body, got.text, want)
		}
	}
	q := claimRequest("c", `"\ 사용자 \"`, "wait=5")
	q.header.Set("Content-Type", `Application/JSON; charset="UTF-8"`)
	if got := r.do(q); got.status != 200 && got.string("type") != problem.BaseURL+problem.NotOpen {
		t.Errorf("an unusual user: %d %s", got.status, got.text)
	}
}

// A request line that net/http's own client would not send.
func TestGateway_RawRequests(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for raw, want := range map[string]int{
		"POST /v1/coupons/tea/claims HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer claim-secret\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n": 413,
		"GET /v1/claims/" + strings.Repeat("A", 8000) + " HTTP/1.1\r\nHost: x\r\n\r\n":                                                                               404,
		"GET /v1/coupons/%zz HTTP/1.1\r\nHost: x\r\n\r\n":                                                                                                            400,
	} {
		conn, err := net.Dial("tcp", r.service.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(soon))
		fmt.Fprint(conn, raw)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || res.StatusCode != want {
			t.Errorf("%.40q: %v, %v, want %d", raw, res, err, want)
		}
		conn.Close()
	}
}

// FuzzClaimBody: no body makes a claim that a common JSON reader understands otherwise.
func FuzzClaimBody(f *testing.F) {
	for _, seed := range []string{`{"user_id":"u"}`, `{"user_id":"\u00e9\ud83c\udf75"}`, `{"user_id":"u","x":{}}`, "{\"user_id\":\"\xff\"}", `{}`, `[]`, ``} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequest("POST", "/", bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		user, err := readClaim(httptest.NewRecorder(), r, claimer{})
		if err != nil {
			if p := problem.From(err); !slices.Contains([]string{"malformed", "invalid", "too-large"}, p.Name) {
				t.Fatalf("%q: %v", body, err)
			}
			return
		}
		var want struct {
			UserID string `json:"user_id"`
		}
		strict := json.NewDecoder(bytes.NewReader(body))
		strict.DisallowUnknownFields()
		if err := strict.Decode(&want); err != nil || want.UserID != user || event.CheckUserID(user) != nil {
			t.Fatalf("%q is taken as user %q; encoding/json says %q, %v", body, user, want.UserID, err)
		}
	})
}

// FuzzDefinitionBody: no body makes a definition that the rules or the records cannot hold.
func FuzzDefinitionBody(f *testing.F) {
	for _, seed := range []string{`{"limit":1}`, `{"limit":1,"window":"daily","time_zone":"Asia/Seoul","opens_at":"2026-11-22T09:00:00Z"}`,
		`{"limit":1,"closes_at":"9999-12-31T23:59:59.999-12:00"}`, `{"limit":1,"time_zone":"\u0000"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequest("PUT", "/", bytes.NewReader(body))
		r.SetPathValue("id", "c")
		r.Header.Set("Content-Type", "application/json")
		d, err := readDefinition(httptest.NewRecorder(), r)
		if err != nil {
			if p := problem.From(err); !slices.Contains([]string{"malformed", "invalid", "too-large"}, p.Name) {
				t.Fatalf("%q: %v", body, err)
			}
			return
		}
		if _, err := defined(d).Message(event.Meta{Source: "/firstcome/gateway"}); err != nil || len(d.Validate()) > 0 {
			t.Fatalf("%q is taken as %+v: %v, %v", body, d, err, d.Validate())
		}
		_, _ = io.Copy(io.Discard, r.Body)
	})
}

// FuzzReadPage: no query makes a page without bounds.
func FuzzReadPage(f *testing.F) {
	for _, query := range []string{"", "limit=1000&after=tea", "limit=0", "limit=x", "after=%ff", "limit=1&limit=2000", "limit=99999999999999999999", "limit=%zz;"} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest("GET", "/v1/coupons", nil)
		r.URL.RawQuery = query
		limit, after, err := readPage(r)
		switch {
		case err != nil && problem.From(err).Name != problem.Invalid:
			t.Fatalf("%q: %v", query, err)
		case err == nil && (limit < 1 || limit > maxPage || after != "" && event.CheckCouponID(after) != nil):
			t.Fatalf("%q asks for %d after %q", query, limit, after)
		}
	})
}
