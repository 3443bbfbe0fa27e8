package ledger

import (
	"bytes"
	"html"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/firstcome/firstcome/internal/openapi/openapitest"
	"github.com/firstcome/firstcome/internal/problem"
	"github.com/firstcome/firstcome/internal/telemetry"
)

// published is openapi.json, as the tests hold every exchange against it.
var published = sync.OnceValue(func() *openapitest.Contract { return openapitest.Load(openAPI) })

func TestOpenAPI_Valid(t *testing.T) { published().Valid(t) }

// Each kind of problem that the ledger's code names is in the table, and no other.
func TestOpenAPI_Problems(t *testing.T) {
	published().Problems(t, slices.DeleteFunc(problem.Kinds(), func(k problem.Kind) bool {
		return !slices.Contains([]string{problem.Malformed, problem.Unauthorized, problem.UnknownCoupon, problem.NotFound, problem.MethodNotAllowed,
			problem.Retired, problem.Invalid, problem.Internal, problem.Unavailable}, k.Name)
	}))
}

// The document has each route of the ledger, and no other.
func TestOpenAPI_Routes(t *testing.T) {
	handler := (&api{anonymous: true, log: quiet, store: &brokenStore{err: http.ErrAbortHandler}}).handler(telemetry.NewHTTPMetrics(prometheus.NewRegistry(), "ledger"))
	documented := map[string]bool{}
	for path, item := range published().Doc.Paths.Map() {
		for method := range item.Operations() {
			documented[method+" "+path] = true
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, httptest.NewRequest(method, strings.ReplaceAll(path, "{id}", ".x"), nil))
			if w.Code == http.StatusNotFound && strings.Contains(w.Body.String(), problem.NotFound) {
				t.Errorf("the document has %s %s, which the ledger does not serve", method, path)
			}
		}
	}
	for _, route := range openapitest.RoutesInSource(t) {
		if !documented[route] {
			t.Errorf("the ledger has %s, which is not in the document", route)
		}
	}
}

// The document is served as it is, and so is the page, with all that the document has.
func TestAPI_Documents(t *testing.T) {
	server := serve(t, &api{})
	if res, body := ask(t, "GET", server.URL+"/openapi.json", nil); !bytes.Equal(body, openAPI) || res.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%v, %d bytes of %d", res.Header, len(body), len(openAPI))
	}
	res, page := ask(t, "GET", server.URL+"/docs", nil)
	if !strings.Contains(res.Header.Get("Content-Security-Policy"), "default-src 'none'; style-src 'sha256-") {
		t.Errorf("the policy is %q", res.Header.Get("Content-Security-Policy"))
	}
	text := html.UnescapeString(string(page))
	for path, item := range published().Doc.Paths.Map() {
		for method, op := range item.Operations() {
			for _, want := range []string{method + " " + path, op.Summary, op.Description} {
				if !strings.Contains(text, want) {
					t.Errorf("the page does not have %q", want)
				}
			}
		}
	}
}

// What the document does not have is noticed.
func TestContract_Notices(t *testing.T) {
	for _, c := range []struct {
		path, text string
		status     int
		breach     bool
	}{
		{"/v1/grants", `{"grants":[],"next":null}`, 200, false},
		{"/v1/grants", `{"grants":[]}`, 200, true},
		{"/v1/grants", `{"grants":[],"next":null,"x":1}`, 200, true},
		{"/v1/grants?limit=0", `{"grants":[],"next":null}`, 200, true},
		{"/v1/grants", `{"grants":[],"next":null}`, 204, true},
		{"/v1/coupons/tea/summary", `{"coupon_id":"tea","windows":[{"window":"","limit":1,"granted":0}]}`, 200, false},
		{"/v1/coupons/tea/summary", `{"coupon_id":"tea","windows":[{"window":"","limit":1}]}`, 200, true},
	} {
		header := http.Header{"Content-Type": {"application/json"}, "X-Correlation-Id": {"x"}}
		r := httptest.NewRequest("GET", "http://127.0.0.1:1"+c.path, nil)
		if err := published().Breach(r, "", openapitest.Answer{Status: c.status, Header: header, Text: c.text}); (err != nil) != c.breach {
			t.Errorf("%s %s: %v", c.path, c.text, err)
		}
	}
}
