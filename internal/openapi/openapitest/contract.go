// Package openapitest holds what a service answers against its OpenAPI document, for the tests of services.
package openapitest

import (
	"context"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"net/http"
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

// Contract is a document, as somebody reads it who knows nothing else.
type Contract struct {
	Doc    *openapi3.T
	source []byte
	router routers.Router

	mu       sync.Mutex
	breaches []string // also of tests that do not look at the error
}

// Answer is what came of a request.
type Answer struct {
	Status int
	Header http.Header
	Text   string
}

// Load reads a document; it panics on one that cannot be read.
func Load(source []byte) *Contract {
	doc, err := openapi3.NewLoader().LoadFromData(source)
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
	for _, media := range []string{"text/csv", "application/x-ndjson"} {
		openapi3filter.RegisterBodyDecoder(media, openapi3filter.PlainBodyDecoder)
	}
	return &Contract{Doc: doc, source: source, router: router}
}

// Check holds one exchange of the tests against the document: the answer is one that it names, and a request that was
// answered with success is one that it allows.
func (c *Contract) Check(r *http.Request, body string, got Answer) error {
	err := c.Breach(r, body, got)
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%s %s answered %d %.300s: not as openapi.json has it: %w", r.Method, r.URL.RequestURI(), got.Status, got.Text, err)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.breaches = append(c.breaches, err.Error())
	return err
}

// Breach is Check, and keeps nothing.
func (c *Contract) Breach(r *http.Request, body string, got Answer) error {
	if r.Method == http.MethodOptions || r.Method == http.MethodHead {
		return nil // CORS and GET without its body are no operations of the document
	}
	asked := r.Clone(context.Background())
	asked.Body = io.NopCloser(strings.NewReader(body))
	route, params, err := c.router.FindRoute(asked)
	if err != nil {
		// Who is not let in does not learn either what there is.
		if !slices.Contains([]string{problem.NotFound, problem.MethodNotAllowed, problem.Unauthorized}, got.problem()) {
			return err
		}
		return nil
	}
	options := &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc}
	in := &openapi3filter.RequestValidationInput{Request: asked, PathParams: params, Route: route, Options: options}
	if got.Status/100 == 2 {
		if err := openapi3filter.ValidateRequest(context.Background(), in); err != nil {
			return fmt.Errorf("the request: %w", err)
		}
	}
	err = openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: got.Status, Header: got.Header, Body: io.NopCloser(strings.NewReader(got.Text)), Options: options,
	})
	if err != nil {
		return err
	}
	return undocumented(route.Operation.Responses.Status(got.Status).Value, got.Header)
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

func (a Answer) problem() string {
	var body struct{ Type string }
	_ = json.Unmarshal([]byte(a.Text), &body) // what is none has no type
	return strings.TrimPrefix(body.Type, problem.BaseURL)
}

// Breaches gives every exchange that was not as the document has it.
func (c *Contract) Breaches() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.breaches, "\n")
}

// Valid sees to it that the document is valid, and so is each of its examples.
func (c *Contract) Valid(t *testing.T) {
	t.Helper()
	doc := c.Doc
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

// RoutesInSource gives all texts of the package in this folder that are patterns of a ServeMux, since a mux does not tell its
// own.
func RoutesInSource(t *testing.T) (routes []string) {
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
	if len(routes) < 4 {
		t.Fatalf("found only %q", routes)
	}
	return routes
}

// Problems sees to it that each of these kinds is in the table of problems with its own status and title, and each but those of
// no route is an answer of some operation, under its status; and no other is.
func (c *Contract) Problems(t *testing.T, kinds []problem.Kind) {
	t.Helper()
	type row struct {
		Name, Title, When, Show string
		Status                  int
	}
	var table struct {
		Problems []row `json:"x-problems"`
	}
	if err := json.Unmarshal(c.source, &table); err != nil {
		t.Fatal(err)
	}
	if len(table.Problems) != len(kinds) {
		t.Errorf("the table has %d problems, and there are %d", len(table.Problems), len(kinds))
	}
	answered := c.answeredProblems()
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
func (c *Contract) answeredProblems() map[string]map[string]bool {
	answered := map[string]map[string]bool{}
	for _, item := range c.Doc.Paths.Map() {
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
