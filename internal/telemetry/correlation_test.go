package telemetry

import (
	"context"
	"strings"
	"testing"
)

func TestValidCorrelationID(t *testing.T) {
	for id, want := range map[string]bool{
		"":                        false,
		"a":                       true,
		"order 7/8 {x} ~":         true,
		strings.Repeat("x", 128):  true,
		strings.Repeat("x", 129):  false,
		"tab\t":                   false,
		"line\nbreak":             false,
		"\x7f":                    false,
		"naïve":                   false,
		"\x00":                    false,
		NewCorrelationID():        true,
		strings.Repeat("é", 64):   false,
		" ":                       true,
		"quote\"and\\backslash<>": true,
	} {
		if got := ValidCorrelationID(id); got != want {
			t.Errorf("%q: %v", id, got)
		}
	}
	if a, b := NewCorrelationID(), NewCorrelationID(); a == b {
		t.Errorf("%s twice", a)
	}
}

const (
	traceID  = "4bf92f3577b34da6a3ce929d0e0e4736"
	parentID = "00f067aa0ba902b7"
	sampled  = "00-" + traceID + "-" + parentID + "-01"
)

// https://www.w3.org/TR/trace-context-1/#traceparent-header
func TestParseTraceParent(t *testing.T) {
	for _, tt := range []struct{ name, header, want string }{
		{"sampled", sampled, sampled},
		{"not sampled", sampled[:53] + "00", sampled[:53] + "00"},
		{"flags nobody knows yet", sampled[:53] + "ff", sampled[:53] + "ff"},
		{"none", "", ""},
		{"capitals", strings.ToUpper(sampled), ""},
		{"a capital in the version", "0A" + sampled[2:], ""},
		{"trace id of zeros", "00-" + strings.Repeat("0", 32) + "-" + parentID + "-01", ""},
		{"parent id of zeros", "00-" + traceID + "-" + strings.Repeat("0", 16) + "-01", ""},
		{"not hex", sampled[:10] + "g" + sampled[11:], ""},
		{"short trace id", "00-" + traceID[1:] + "-" + parentID + "-01", ""},
		{"short flags", sampled[:54], ""},
		{"flags not hex", sampled[:53] + "0x", ""},
		{"other separators", strings.ReplaceAll(sampled, "-", "_"), ""},
		{"version 00 with more", sampled + "-more", ""},
		{"version ff", "ff" + sampled[2:], ""},
		{"version not hex", "0x" + sampled[2:], ""},
		{"a later version", "cc" + sampled[2:], sampled},
		{"a later version with more", "cc" + sampled[2:] + "-what-comes", sampled},
		{"a later version with more, not parted", "cc" + sampled[2:] + "x", ""},
		{"a later version's flags", "cc" + sampled[2:53] + "fe", sampled[:53] + "00"},
		{"spaces around", " " + sampled, ""},
	} {
		got, ok := ParseTraceParent(tt.header)
		if got != tt.want || ok != (tt.want != "") {
			t.Errorf("%s: %q, %v", tt.name, got, ok)
		}
	}
}

func FuzzParseTraceParent(f *testing.F) {
	f.Add(sampled)
	f.Add("cc" + sampled[2:] + "-what-comes")
	f.Fuzz(func(t *testing.T, header string) {
		got, ok := ParseTraceParent(header)
		if !ok {
			return
		}
		if again, ok := ParseTraceParent(got); !ok || again != got || len(got) != 55 {
			t.Errorf("%q gives %q, which gives %q %v", header, got, again, ok)
		}
	})
}

func TestWith(t *testing.T) {
	ctx := With(context.Background(), "c1", sampled)
	if CorrelationID(ctx) != "c1" || TraceParent(ctx) != sampled {
		t.Errorf("%q %q", CorrelationID(ctx), TraceParent(ctx))
	}
	ctx = With(ctx, "line\nbreak", "nonsense")
	if CorrelationID(ctx) != "" || TraceParent(ctx) != "" {
		t.Errorf("%q %q", CorrelationID(ctx), TraceParent(ctx))
	}
	none := context.Background()
	if CorrelationID(none) != "" || TraceParent(none) != "" {
		t.Error("ids out of nowhere")
	}
	Annotate(none)  // nobody listens
	Fail(none, nil) // nobody listens
}

func TestHash(t *testing.T) {
	if got := Hash("u1"); got != "bb82030dbc2b" || got == Hash("u2") {
		t.Errorf("u1 is %s", got)
	}
}
