package gateway

import (
	"net/http"
	"testing"
)

func TestPrefersStream(t *testing.T) {
	for _, c := range []struct {
		accept []string
		want   bool
	}{
		{nil, false},
		{[]string{""}, false},
		{[]string{"*/*"}, false},
		{[]string{"text/*"}, false},
		{[]string{"application/json"}, false},
		{[]string{"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}, false},
		{[]string{"text/event-stream"}, true},
		{[]string{"Text/Event-Stream"}, true},
		{[]string{"text/event-stream;charset=utf-8"}, true},
		{[]string{"text/event-stream, */*"}, true},
		{[]string{"text/event-stream;q=0.5, */*;q=0.1"}, true},
		{[]string{"text/event-stream;q=0.5, */*"}, false},
		{[]string{"text/event-stream;q=0.5, application/*;q=0.4, */*"}, true},
		{[]string{"text/event-stream, application/json"}, false},
		{[]string{"application/json", "text/event-stream"}, false},
		{[]string{"application/json;q=0.9", "text/event-stream"}, true},
		{[]string{"application/json;q=0.9, text/event-stream;q=0.8"}, false},
		{[]string{"application/json;q=0, text/event-stream;q=0.001"}, true},
		{[]string{"text/event-stream;q=0"}, false},
		{[]string{"text/event-stream;q=0, */*"}, false},
		{[]string{"text/event-stream;q=2"}, false},
		{[]string{"text/event-stream;q=NaN"}, false},
		{[]string{"text/event-stream;q=-1"}, false},
		{[]string{"text/event-stream;q="}, false},
		{[]string{`text/plain;a="x,text/event-stream"`}, false},
		{[]string{`text/plain;a="x\",y", text/event-stream`}, true},
		{[]string{`text/plain;a="text/event-stream`}, false},
		{[]string{",, text/event-stream ,"}, true},
		{[]string{"text/event-stream-2"}, false},
	} {
		if got := prefersStream(http.Header{"Accept": c.accept}); got != c.want {
			t.Errorf("Accept %q asks for a stream: %v", c.accept, got)
		}
	}
}

func FuzzPrefersStream(f *testing.F) {
	f.Add(`text/plain;a="x\",y", text/event-stream;q=0.5, */*;q=0.1`)
	f.Fuzz(func(t *testing.T, accept string) {
		alone := prefersStream(http.Header{"Accept": {accept}})
		if again := prefersStream(http.Header{"Accept": {"", accept}}); alone != again {
			t.Errorf("%q: %v, and after an empty line %v", accept, alone, again)
		}
		for _, r := range mediaRanges([]string{accept}) {
			if !(r.quality >= 0 && r.quality <= 1) {
				t.Errorf("%q: %v", accept, r)
			}
		}
	})
}
