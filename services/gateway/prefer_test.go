package gateway

import (
	"net/http"
	"testing"
	"time"
)

func TestPreferredWait(t *testing.T) {
	for _, c := range []struct {
		lines []string
		want  time.Duration
	}{
		{nil, 0},
		{[]string{"wait=5"}, 5 * time.Second},
		{[]string{"Wait = 5"}, 5 * time.Second},
		{[]string{`wait="5"`}, 5 * time.Second},
		{[]string{"respond-async, wait=10"}, 10 * time.Second},
		{[]string{"respond-async", "wait=10"}, 10 * time.Second},
		{[]string{"wait=10; foo=bar"}, 10 * time.Second},
		{[]string{"wait=30"}, 30 * time.Second},
		{[]string{"wait=31"}, 30 * time.Second},
		{[]string{"wait=99999999999999999999999999"}, 30 * time.Second},
		{[]string{"wait=5, wait=9"}, 5 * time.Second},
		{[]string{"wait=x, wait=9"}, 0},
		{[]string{"wait=0"}, 0},
		{[]string{"wait=-5"}, 0},
		{[]string{"wait=+5"}, 0},
		{[]string{"wait=5.5"}, 0},
		{[]string{"wait=5s"}, 0},
		{[]string{"wait="}, 0},
		{[]string{`wait="`}, 0},
		{[]string{"wait"}, 0},
		{[]string{"waiting=5"}, 0},
		{[]string{",;=,"}, 0},
	} {
		if got := preferredWait(http.Header{"Prefer": c.lines}); got != c.want {
			t.Errorf("Prefer: %q waits %s, want %s", c.lines, got, c.want)
		}
	}
}

// FuzzPreferredWait: no header makes anybody wait for longer than allowed, nor for a part of a second.
func FuzzPreferredWait(f *testing.F) {
	for _, line := range []string{"wait=5", "wait=\"5\"", "respond-async, wait=10; x=y", "wait=99999999999999999999", "wait=-1", "WAIT = 007", ",;=,", "wait=\""} {
		f.Add(line, "wait=9")
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		alone, both := preferredWait(http.Header{"Prefer": {first}}), preferredWait(http.Header{"Prefer": {first, second}})
		if alone < 0 || alone > longestWait || alone%time.Second != 0 || alone != 0 && both != alone {
			t.Errorf("%q waits %s, with %q behind it %s", first, alone, second, both)
		}
	})
}
