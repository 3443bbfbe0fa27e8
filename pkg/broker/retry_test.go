package broker

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestBackoff(t *testing.T) {
	const ms, s = time.Millisecond, time.Second
	for _, c := range []struct {
		backoff Backoff
		want    []time.Duration // each wait is this long, or down to half of it
	}{
		{Backoff{}, []time.Duration{50 * ms, 100 * ms, 200 * ms, 400 * ms, 800 * ms, s, s, s}},
		{Backoff{Min: s, Max: 5 * s}, []time.Duration{s, 2 * s, 4 * s, 5 * s, 5 * s}},
		{Backoff{Min: 3 * s}, []time.Duration{3 * s, 3 * s}},
		{Backoff{Max: 60 * ms}, []time.Duration{50 * ms, 60 * ms, 60 * ms}},
		{Backoff{Min: 2 * s, Max: s}, []time.Duration{s, s}},
		{Backoff{Min: 1, Max: 2}, []time.Duration{1, 2, 2}},
		{Backoff{Min: s, Max: 1<<63 - 1}, []time.Duration{s, 2 * s, 4 * s}},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := c.backoff
			for i, want := range c.want {
				began := time.Now()
				if err := b.Wait(t.Context()); err != nil {
					t.Fatal(err)
				}
				if have := time.Since(began); have > want || have < want/2 {
					t.Errorf("%+v: wait %d was %v, not up to %v", c.backoff, i, have, want)
				}
			}
			if b.Tries() != len(c.want) {
				t.Errorf("%d tries", b.Tries())
			}
		})
	}
	b := Backoff{Min: s, Max: 1<<63 - 1}
	for range 100 { // centuries
		if wait := b.next(); wait < s {
			t.Fatalf("after %d tries: %v", b.Tries(), wait)
		}
	}
}
