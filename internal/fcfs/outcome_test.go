package fcfs

import "testing"

// Numbers and names go over the wire and into answers.
func TestOutcome(t *testing.T) {
	want := []string{
		"none", "granted", "already_issued", "sold_out", "not_open", "closed", "unknown_coupon", "invalid",
		"created", "changed", "conflict", "retired",
	}
	for n, name := range want {
		o := Outcome(n)
		if !o.Valid() || o.String() != name {
			t.Errorf("outcome %d: %q, valid %v, want %q", n, o, o.Valid(), name)
		}
		if back, ok := ParseOutcome(name); !ok || back != o {
			t.Errorf("ParseOutcome(%q): %d, %v", name, back, ok)
		}
	}
	if next := Outcome(len(want)); next.Valid() || next.String() != "outcome(?)" {
		t.Errorf("outcome %d: %q", next, next)
	}
	if _, ok := ParseOutcome("GRANTED"); ok {
		t.Error(`ParseOutcome("GRANTED") is ok`)
	}
}
