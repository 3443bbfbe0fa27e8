// Package schema holds that one thing is said about records in five places: by the golden bytes (pkg/event/testdata), the Go
// types and their reader (pkg/event), the JSON Schemas (pkg/event/schema), docs/asyncapi.yaml and docs/events.md. It needs no
// server.
package schema

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/event/schema"
)

const goldens = "../../pkg/event/testdata"

// golden is a record as pkg/event keeps it: see golden_test.go there.
type golden struct {
	name      string // v1/coupon.grants/coupon.granted.last
	topic     string
	Timestamp string   `json:"timestamp"`
	Key       string   `json:"key"`
	Headers   []string `json:"headers"`
	Value     string   `json:"value"`
}

// readGoldens gives the golden records of every version.
func readGoldens(t testing.TB) []golden {
	t.Helper()
	files, err := filepath.Glob(goldens + "/v*/*/*.json")
	if err != nil || len(files) < 9 {
		t.Fatalf("%d golden files: that can't be all (%v)", len(files), err)
	}
	var all []golden
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name, err := filepath.Rel(goldens, file)
		if err != nil {
			t.Fatal(err)
		}
		g := golden{name: strings.TrimSuffix(filepath.ToSlash(name), ".json"), topic: filepath.Base(filepath.Dir(file))}
		if err := json.Unmarshal(text, &g); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all = append(all, g)
	}
	return all
}

func (g golden) header(name string) string { return g.headers()[name] }

func (g golden) headers() map[string]string {
	of := map[string]string{}
	for _, line := range g.Headers {
		name, value, _ := strings.Cut(line, ": ")
		of[name] = value
	}
	return of
}

// record is the golden record as it would be consumed.
func (g golden) record() event.Record {
	r := event.Record{Topic: g.topic, Key: []byte(g.Key), Value: []byte(g.Value)}
	for _, line := range g.Headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Headers = append(r.Headers, event.Header{Key: name, Value: []byte(value)})
	}
	return r
}

// compile reads a schema as a validator does that asserts formats.
func compile(t testing.TB, text []byte) *jsonschema.Schema { return compileWith(t, text, true) }

func compileWith(t testing.TB, text []byte, formats bool) *jsonschema.Schema {
	t.Helper()
	if text == nil {
		t.Fatal("there is no such schema")
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if formats {
		c.AssertFormat()
	}
	const url = "schema.json"
	if err := c.AddResource(url, document); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(url)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// valid asks a schema about JSON text; text that is no JSON is not valid.
func valid(s *jsonschema.Schema, text []byte) error {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return s.Validate(value)
}

func validHeaders(s *jsonschema.Schema, headers map[string]string) error {
	value := map[string]any{}
	for name, text := range headers {
		value[name] = text
	}
	return s.Validate(value)
}

func TestGoldensAreValid(t *testing.T) {
	for _, g := range readGoldens(t) {
		t.Run(g.name, func(t *testing.T) {
			if err := validHeaders(compile(t, schema.Headers(g.topic)), g.headers()); err != nil {
				t.Error(err)
			}
			if g.topic == event.TopicDeadLetters { // its value is somebody else's
				return
			}
			if err := valid(compile(t, schema.Value(g.topic, g.header("ce_type"))), []byte(g.Value)); err != nil {
				t.Error(err)
			}
		})
	}
}
