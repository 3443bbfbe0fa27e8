package schema

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/firstcome/firstcome/pkg/event"
)

const asyncAPI = "../../docs/asyncapi.yaml"

// document is what this test looks at; that the whole is valid AsyncAPI, test/asyncapi/run holds.
type document struct {
	Channels map[string]struct {
		Address  string
		Messages map[string]ref
	}
	Operations map[string]struct {
		Channel  ref
		Messages []ref
	}
	Components struct {
		Messages map[string]apiMessage
	}
}

type ref struct {
	Ref string `yaml:"$ref"`
}

type apiMessage struct {
	Name             string
	Headers, Payload ref
	Examples         []struct {
		Name             string
		Headers, Payload map[string]any
	}
}

func readAsyncAPI(t *testing.T) document {
	t.Helper()
	var d document
	if err := yaml.Unmarshal([]byte(readFile(t, asyncAPI)), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// message is the message that a channel means, in #/components.
func (d document) message(t *testing.T, of ref) apiMessage {
	t.Helper()
	m, ok := d.Components.Messages[strings.TrimPrefix(of.Ref, "#/components/messages/")]
	if !ok {
		t.Fatalf("%s is not there", of.Ref)
	}
	return m
}

// TestAsyncAPI_Examples: the document's examples are the golden records, all of them.
func TestAsyncAPI_Examples(t *testing.T) {
	shown := map[string]bool{}
	d := readAsyncAPI(t)
	for _, m := range d.Components.Messages {
		for _, e := range m.Examples {
			shown[e.Name] = true
			g := goldenNamed(t, e.Name)
			var value map[string]any
			if err := json.Unmarshal([]byte(g.Value), &value); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(likeJSON(t, e.Payload), value) {
				t.Errorf("%s: payload %v, want %v", e.Name, e.Payload, value)
			}
			if headers := likeJSON(t, e.Headers); len(headers) != len(g.headers()) {
				t.Errorf("%s: headers %v", e.Name, headers)
			} else {
				for name, text := range g.headers() {
					if headers[name] != text {
						t.Errorf("%s: header %s is %v, want %q", e.Name, name, headers[name], text)
					}
				}
			}
			if kind := g.header("ce_type"); m.Name != kind && g.topic != event.TopicDeadLetters {
				t.Errorf("%s is an example of %s", e.Name, m.Name)
			}
		}
	}
	for _, g := range readGoldens(t) {
		if !shown[g.name] {
			t.Errorf("%s is no example", g.name)
		}
	}
}

func likeJSON(t *testing.T, v map[string]any) map[string]any {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var again map[string]any
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	return again
}

// TestAsyncAPI_Schemas: each record of each topic is a message of its channel, by its schemas, and some operation has it.
func TestAsyncAPI_Schemas(t *testing.T) {
	d := readAsyncAPI(t)
	operated := map[string]bool{}
	for _, o := range d.Operations {
		for _, m := range o.Messages {
			operated[m.Ref] = true
		}
	}
	found := map[string][]string{} // topic to schemas
	for name, c := range d.Channels {
		for key, of := range c.Messages {
			m := d.message(t, of)
			if reference := "#/channels/" + name + "/messages/" + key; !operated[reference] {
				t.Errorf("no operation has %s", reference)
			}
			if want := schemas + "/" + c.Address + "/headers.json"; m.Headers.Ref != want {
				t.Errorf("%s: headers by %s, want %s", of.Ref, m.Headers.Ref, want)
			}
			if c.Address != event.TopicDeadLetters {
				want := schemas + "/" + c.Address + "/" + strings.TrimPrefix(m.Name, "firstcome.") + ".json"
				if m.Payload.Ref != want {
					t.Errorf("%s: payload by %s, want %s", of.Ref, m.Payload.Ref, want)
				}
			}
			found[c.Address] = append(found[c.Address], m.Name)
		}
	}
	checkSame(t, "asyncapi.yaml", slices.Sorted(maps.Keys(found)), []string{event.TopicDeadLetters, event.TopicGrants, event.TopicRequests})
	for topic, names := range found {
		files, err := filepath.Glob("../../pkg/event/schema/" + topic + "/*.json")
		if err != nil || len(files) != len(names)+1 && topic != event.TopicDeadLetters { // and the headers
			t.Errorf("%s has %d messages, and %d schemas: %v", topic, len(names), len(files), err)
		}
	}
}

const schemas = "../pkg/event/schema"
