package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/firstcome/firstcome/internal/openapi/openapitest"
	"github.com/firstcome/firstcome/internal/problem"
)

// published is openapi.json, as the tests hold every exchange against it.
var published = sync.OnceValue(func() *openapitest.Contract { return openapitest.Load(openAPI) })

func (r reply) answer() openapitest.Answer {
	return openapitest.Answer{Status: r.status, Header: r.header, Text: r.text}
}

func TestOpenAPI_Valid(t *testing.T) { published().Valid(t) }

func TestOpenAPI_Problems(t *testing.T) { published().Problems(t, problem.Kinds()) }

// The document has each route of the gateway, and no other.
func TestOpenAPI_Routes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	documented := map[string]bool{}
	for path, item := range published().Doc.Paths.Map() {
		for method := range item.Operations() {
			documented[method+" "+path] = true
			asked := httptest.NewRequest(method, strings.ReplaceAll(path, "{id}", "x"), nil)
			r.service.routes().ServeHTTP(httptest.NewRecorder(), asked)
			if asked.Pattern != method+" "+path {
				t.Errorf("the document has %s %s, which the gateway serves as %q", method, path, asked.Pattern)
			}
		}
	}
	for _, route := range openapitest.RoutesInSource(t) {
		if !documented[route] {
			t.Errorf("the gateway has %s, which is not in the document", route)
		}
	}
}

// It is served as it is.
func TestGateway_OpenAPI(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	got := r.get("/openapi.json").is(t, 200, "")
	if !bytes.Equal([]byte(got.text), openAPI) || got.header.Get("Content-Type") != "application/json" {
		t.Errorf("got %s, %d bytes of %d", got.header.Get("Content-Type"), len(got.text), len(openAPI))
	}
}

// What the document does not have is noticed: the check of all tests' exchanges can fail.
func TestContract_Notices(t *testing.T) {
	request := func(method, path, body string) *http.Request {
		q := httptest.NewRequest(method, "http://127.0.0.1:1"+path, strings.NewReader(body))
		if body != "" {
			q.Header.Set("Content-Type", "application/json")
		}
		return q
	}
	answer := func(status int, body, header string) reply {
		a := reply{status: status, text: body, header: http.Header{"Content-Type": {"application/json"}, "X-Correlation-Id": {"x"}}}
		if strings.Contains(body, problem.BaseURL) {
			a.header.Set("Content-Type", "application/problem+json")
		}
		if name, value, ok := strings.Cut(header, ": "); ok {
			a.header.Set(name, value)
		}
		_ = json.Unmarshal([]byte(body), &a.body)
		return a
	}
	refusal := func(name string, status int) string {
		return fmt.Sprintf(`{"type":"%s%s","title":"x","status":%d,"correlation_id":"x"}`, problem.BaseURL, name, status)
	}
	held, claim := `{"coupon_id":"tea","user_id":"ada","window":"","sequence":1,"grant_id":"g"}`, `{"user_id":"ada"}`
	pending := `{"claim_id":"c","coupon_id":"tea","status":"pending"}`
	for _, c := range []struct {
		what   string
		q      *http.Request
		body   string
		a      reply
		breach bool
	}{
		{"as it is", request("GET", "/v1/coupons/tea/grant?user_id=ada", ""), "", answer(200, held, ""), false},
		{"a member more", request("GET", "/v1/coupons/tea/grant?user_id=ada", ""), "", answer(200, held[:len(held)-1]+`,"x":1}`, ""), true},
		{"a member less", request("GET", "/v1/coupons/tea/grant?user_id=ada", ""), "", answer(200, `{"coupon_id":"tea"}`, ""), true},
		{"another status", request("GET", "/v1/coupons/tea/grant?user_id=ada", ""), "", answer(202, held, ""), true},
		{"a problem of another call", request("GET", "/v1/coupons/tea/grant?user_id=ada", ""), "", answer(404, refusal("unknown-claim", 404), ""), true},
		{"no correlation id", request("GET", "/v1/coupons/tea/grant?user_id=ada", ""), "", answer(200, held, "X-Correlation-ID: "), true},
		{"another content", request("GET", "/v1/coupons/tea/grant?user_id=ada", ""), "", answer(200, held, "Content-Type: text/plain"), true},
		{"503 that does not say when", request("GET", "/v1/coupons/tea", ""), "", answer(503, refusal("unavailable", 503), ""), true},
		{"503 that does", request("GET", "/v1/coupons/tea", ""), "", answer(503, refusal("unavailable", 503), "Retry-After: 1"), false},
		{"a header that is not there", request("GET", "/v1/coupons/tea/grant?user_id=ada", ""), "", answer(200, held, "Location: /"), true},
		{"a path that is not there", request("GET", "/v1/nothing", ""), "", answer(200, `{}`, ""), true},
		{"and is not found", request("GET", "/v1/nothing", ""), "", answer(404, refusal("not-found", 404), ""), false},
		{"a claim", request("POST", "/v1/coupons/tea/claims", claim), claim, answer(202, pending, "Location: /v1/claims/c"), false},
		{"a claim that says nowhere to look", request("POST", "/v1/coupons/tea/claims", claim), claim, answer(202, pending, ""), true},
		{"a bad body that is taken", request("POST", "/v1/coupons/tea/claims", `{"x":1}`), `{"x":1}`, answer(202, pending, "Location: /v1/claims/c"), true},
		{"a bad id that is taken", request("POST", "/v1/coupons/.tea/claims", claim), claim, answer(202, pending, "Location: /v1/claims/c"), true},
	} {
		if err := published().Breach(c.q, c.body, c.a.answer()); (err != nil) != c.breach {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}
