package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/firstcome/firstcome/internal/problem"
)

// contract is openapi.json, as somebody reads it who knows nothing else.
type contract struct {
	doc    *openapi3.T
	router routers.Router

	mu       sync.Mutex
	breaches []string // also of tests that do not look at the error
}

var published = sync.OnceValue(func() *contract {
	doc, err := openapi3.NewLoader().LoadFromData(openAPI)
	if err != nil {
		panic(err)
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		panic(err)
	}
	// RFC 3339 lets t and z be small, which the library does not know.
	openapi3.DefineStringFormatValidator("date-time", openapi3.NewCallbackValidator(func(text string) error {
		_, err := time.Parse(time.RFC3339, strings.ToUpper(text))
		return err
	}))
	openapi3filter.RegisterBodyDecoder("text/html", openapi3filter.PlainBodyDecoder)
	openapi3filter.RegisterBodyDecoder("text/event-stream", openapi3filter.PlainBodyDecoder)
	return &contract{doc: doc, router: router}
})

// Check holds one exchange of the tests against the document: the answer is one that it names, and a request that was
// answered with success is one that it allows.
func (c *contract) Check(r *http.Request, body string, got reply) error {
	err := c.check(r, body, got)
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%s %s answered %d %.300s: not as openapi.json has it: %w", r.Method, r.URL.RequestURI(), got.status, got.text, err)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.breaches = append(c.breaches, err.Error())
	return err
}

func (c *contract) check(r *http.Request, body string, got reply) error {
	if r.Method == http.MethodOptions || r.Method == http.MethodHead {
		return nil // CORS and GET without its body are no operations of the document
	}
	asked := r.Clone(context.Background())
	asked.Body = io.NopCloser(strings.NewReader(body))
	route, params, err := c.router.FindRoute(asked)
	if err != nil {
		name := strings.TrimPrefix(got.string("type"), problem.BaseURL)
		if name != problem.NotFound && name != problem.MethodNotAllowed {
			return err
		}
		return nil
	}
	options := &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc}
	in := &openapi3filter.RequestValidationInput{Request: asked, PathParams: params, Route: route, Options: options}
	if got.status/100 == 2 {
		if err := openapi3filter.ValidateRequest(context.Background(), in); err != nil {
			return fmt.Errorf("the request: %w", err)
		}
	}
	err = openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: got.status, Header: got.header, Body: io.NopCloser(strings.NewReader(got.text)), Options: options,
	})
	if err != nil {
		return err
	}
	return undocumented(route.Operation.Responses.Status(got.status).Value, got.header)
}

// undocumented finds headers that clients go by, and that the document says nothing of.
func undocumented(documented *openapi3.Response, h http.Header) error {
	for _, name := range []string{"Location", "Retry-After", "Preference-Applied", "WWW-Authenticate", "X-Correlation-ID"} {
		if _, known := documented.Headers[name]; !known && h.Get(name) != "" {
			return fmt.Errorf("the header %s is not there", name)
		}
	}
	return nil
}

// Breaches gives every exchange that was not as the document has it.
func (c *contract) Breaches() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.breaches, "\n")
}

// The document is valid, and so is each of its examples.
func TestOpenAPI_Valid(t *testing.T) {
	doc := published().doc
	if err := doc.Validate(context.Background(), openapi3.EnableExamplesValidation(), openapi3.EnableSchemaFormatValidation()); err != nil {
		t.Error(err)
	}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			for status, response := range op.Responses.Map() {
				examplesOf(t, method+" "+path+" "+status, response.Value.Content, status != "204")
			}
			if op.RequestBody != nil {
				examplesOf(t, method+" "+path, op.RequestBody.Value.Content, true)
			}
			for _, p := range append(slices.Clone(op.Parameters), item.Parameters...) {
				if p.Value.Description == "" {
					t.Errorf("%s %s: parameter %s has no description", method, path, p.Value.Name)
				}
			}
		}
	}
}

// examplesOf checks each example by the schema beside it; each content has one.
func examplesOf(t *testing.T, where string, content openapi3.Content, wanted bool) {
	t.Helper()
	if wanted && len(content) == 0 {
		t.Errorf("%s: no content", where)
	}
	for media, m := range content {
		if len(m.Examples) == 0 {
			t.Errorf("%s: %s has no example", where, media)
		}
		for name, e := range m.Examples {
			if err := m.Schema.Value.VisitJSON(e.Value.Value, openapi3.EnableJSONSchema2020()); err != nil {
				t.Errorf("%s: example %s: %v", where, name, err)
			}
		}
	}
}

// The document has each route of the gateway, and no other.
func TestOpenAPI_Routes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	documented := map[string]bool{}
	for path, item := range published().doc.Paths.Map() {
		for method := range item.Operations() {
			documented[method+" "+path] = true
			asked := httptest.NewRequest(method, strings.ReplaceAll(path, "{id}", "x"), nil)
			r.service.routes().ServeHTTP(httptest.NewRecorder(), asked)
			if asked.Pattern != method+" "+path {
				t.Errorf("the document has %s %s, which the gateway serves as %q", method, path, asked.Pattern)
			}
		}
	}
	for _, route := range routesInSource(t) {
		if !documented[route] {
			t.Errorf("the gateway has %s, which is not in the document", route)
		}
	}
}

// routesInSource gives all texts of this package that are patterns of a ServeMux, since a mux does not tell its own.
func routesInSource(t *testing.T) (routes []string) {
	t.Helper()
	pattern := regexp.MustCompile(`^[A-Z]+ /`)
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if text, err := strconv.Unquote(lit.Value); err == nil && pattern.MatchString(text) {
					routes = append(routes, text)
				}
			}
			return true
		})
	}
	if len(routes) < 5 {
		t.Fatalf("found only %q", routes)
	}
	return routes
}

// Each kind of problem is in the table with its own status and title, and each but those of no route is an answer of some
// operation, under its status.
func TestOpenAPI_Problems(t *testing.T) {
	type row struct {
		Name, Title, When, Show string
		Status                  int
	}
	var table struct {
		Problems []row `json:"x-problems"`
	}
	if err := json.Unmarshal(openAPI, &table); err != nil {
		t.Fatal(err)
	}
	kinds := problem.Kinds()
	if len(table.Problems) != len(kinds) {
		t.Errorf("the table has %d problems, and there are %d", len(table.Problems), len(kinds))
	}
	answered := answeredProblems()
	for _, k := range kinds {
		i := slices.IndexFunc(table.Problems, func(r row) bool { return r.Name == k.Name })
		if i < 0 {
			t.Errorf("%s is not in the table", k.Name)
			continue
		}
		if p := table.Problems[i]; p.Status != k.Status || p.Title != k.Title || p.When == "" || p.Show == "" {
			t.Errorf("%s is in the table as %+v, want %+v, when it comes and what to show", k.Name, p, k)
		}
		if k.Name == problem.NotFound || k.Name == problem.MethodNotAllowed {
			continue
		}
		if got := slices.Sorted(maps.Keys(answered[k.Name])); !slices.Equal(got, []string{strconv.Itoa(k.Status)}) {
			t.Errorf("%s is an answer with status %v, want %d", k.Name, got, k.Status)
		}
	}
}

// answeredProblems gives the statuses under which the document has an example of each problem.
func answeredProblems() map[string]map[string]bool {
	answered := map[string]map[string]bool{}
	for _, item := range published().doc.Paths.Map() {
		for _, op := range item.Operations() {
			for status, response := range op.Responses.Map() {
				content := response.Value.Content["application/problem+json"]
				if content == nil {
					continue
				}
				for _, e := range content.Examples {
					kind, _ := e.Value.Value.(map[string]any)["type"].(string)
					name := strings.TrimPrefix(kind, problem.BaseURL)
					if answered[name] == nil {
						answered[name] = map[string]bool{}
					}
					answered[name][status] = true
				}
			}
		}
	}
	return answered
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
		if err := published().check(c.q, c.body, c.a); (err != nil) != c.breach {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}
