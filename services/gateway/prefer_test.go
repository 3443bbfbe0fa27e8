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
