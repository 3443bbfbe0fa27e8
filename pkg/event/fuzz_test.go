package event_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/firstcome/firstcome/pkg/event"
)

// FuzzDecode: whatever stands in a topic, Decode answers with an event or with a reason; an event that was written anew
// is read as the same.
func FuzzDecode(f *testing.F) {
	for _, c := range goldenCases() {
		if c.data == nil {
			continue
		}
		m := message(f, event.Event{Meta: c.meta, Data: c.data})
		h := headersOf(m)
		f.Add(c.topic, m.Key, m.Value, h["ce_id"], h["ce_source"], h["ce_type"], h["ce_subject"], h["ce_time"], h["content-type"])
	}
	f.Add("x", []byte("a"), []byte(`{"coupon_id":"a","user_id":"\ud83d\ude00"}`), "1", "x", event.TypeClaimRequested, "", "2026-11-22t09:00:00.5+09:00", "application/json;a=b")
	f.Fuzz(func(t *testing.T, topic string, key, value []byte, id, source, kind, subject, at, content string) {
		r := event.Record{Topic: topic, Key: key, Value: value}
		for _, h := range [][2]string{
			{"ce_specversion", "1.0"}, {"ce_id", id}, {"ce_source", source}, {"ce_type", kind}, {"ce_subject", subject},
			{"ce_time", at}, {"content-type", content}, {"traceparent", id}, {"ce_correlationid", source},
		} {
			if h[1] != "" {
				r.Headers = append(r.Headers, event.Header{Key: h[0], Value: []byte(h[1])})
			}
		}
		e, err := event.Decode(r)
		if err != nil {
			var refused *event.DecodeError
			if !errors.As(err, &refused) || refused.Reason == "" || refused.Detail == "" || e.Data != nil {
				t.Fatalf("%#v with %#v", err, e)
			}
			event.DeadLetter(r, refused.Reason, refused.Detail)
			return
		}
		checkStable(t, topic, e)
	})
}

func checkStable(t *testing.T, topic string, e event.Event) {
	t.Helper()
	if e.Time.IsZero() {
		e.Time = requestedAt // absent; writing sets it
	}
	first := message(t, e)
	again, err := event.Decode(event.Record{Topic: topic, Key: first.Key, Value: first.Value, Headers: first.Headers})
	if err != nil {
		t.Fatalf("written as %s, not read: %v", first.Value, err)
	}
	if !reflect.DeepEqual(again.Data, e.Data) || again.Type != e.Type || again.ID != e.ID || again.Source != e.Source ||
		again.TraceParent != e.TraceParent || again.CorrelationID != e.CorrelationID {
		t.Fatalf("read   %+v\nwritten and read %+v", e, again)
	}
	if second := message(t, again); !reflect.DeepEqual(first, second) {
		t.Fatalf("%s then %s", first.Value, second.Value)
	}
}

// FuzzParseObject holds the reader against encoding/json: it takes what that takes, less what is ambiguous.
func FuzzParseObject(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"a":1,"b":[true,false,null,-0.5e+10,"x"]}`, `{"a":{"b":{"c":"\u00e9\ud83d\ude00\n"}}}`, `{"a":1,"a":2}`,
		`{"a":"\ud800"}`, `{"a":"\ud800\ud800\udc00"}`, "{\"a\":\"\xff\"}", `{"a":1}x`, ` { "a" : [ ] } `, `{"a":01}`, `{"a":[{"b":1,"b":1}]}`, `[]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := event.ParseObject(b)
		if want := strictly(b); want != (err == nil) {
			if err != nil && strings.Contains(err.Error(), "too deeply nested") {
				return
			}
			t.Fatalf("%q: %v, encoding/json says %v", b, err, want)
		}
		if err != nil {
			return
		}
		var members map[string]any
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		if err := d.Decode(&members); err != nil {
			t.Fatal(err)
		}
		for name, v := range members {
			if s, ok := v.(string); ok && o.String(name, true) != s {
				t.Fatalf("%q: %q is %q", b, name, o.String(name, true))
			}
			if !o.Has(name) {
				t.Fatalf("%q: no %q", b, name)
			}
		}
	})
}

// strictly is the slow and plain definition: JSON by encoding/json, UTF-8, no name twice, no lone surrogate, one object.
func strictly(b []byte) bool {
	if !json.Valid(b) || !utf8.Valid(b) || bytes.TrimLeft(b, " \t\r\n")[0] != '{' {
		return false
	}
	// encoding/json puts U+FFFD for a lone surrogate; those that were there before are counted.
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	type level struct {
		names  map[string]bool // nil in an array
		isName bool
	}
	var levels []level
	replaced := 0
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			panic(err)
		}
		if s, ok := token.(string); ok {
			replaced += strings.Count(s, "\ufffd")
			if l := len(levels) - 1; l >= 0 && levels[l].isName {
				if levels[l].names[s] {
					return false
				}
				levels[l].names[s], levels[l].isName = true, false
				continue
			}
		}
		switch token {
		case json.Delim('{'):
			levels = append(levels, level{map[string]bool{}, true})
			continue
		case json.Delim('['):
			levels = append(levels, level{})
			continue
		case json.Delim('}'), json.Delim(']'):
			levels = levels[:len(levels)-1]
		}
		if l := len(levels) - 1; l >= 0 && levels[l].names != nil {
			levels[l].isName = true
		}
	}
	return replaced == strings.Count(string(b), "\ufffd")+escapedReplacements(b)
}

// escapedReplacements counts the \ufffd that are written as an escape, not as the end of an escaped backslash.
func escapedReplacements(b []byte) (n int) {
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' {
			continue
		}
		if i+5 < len(b) && b[i+1] == 'u' && strings.EqualFold(string(b[i+2:i+6]), "fffd") {
			n++
		}
		i++
	}
	return n
}
