package simulation

import (
	"slices"
	"testing"
	"time"
)

// A failure that needs three of a thousand turns, one of them wild, is shrunk to those three, the others tame.
func TestShrink(t *testing.T) {
	p := planOf(1)
	for len(p.steps) < 1000 {
		p.steps = append(p.steps, step{seed: uint64(len(p.steps))})
	}
	needed := []step{p.steps[17], p.steps[500], p.steps[801]}
	runs := 0
	small := shrink(p, func(p plan) (int, bool) {
		runs++
		at := 0
		for i, s := range p.steps {
			if at < len(needed) && s.seed == needed[at].seed && (at != 1 || !s.tame) {
				if at++; at == len(needed) {
					return i + 1, true
				}
			}
		}
		return len(p.steps), false
	}, time.Now().Add(time.Minute))
	needed[0].tame, needed[2].tame = true, true
	if !slices.Equal(small.steps, needed) {
		t.Errorf("%d turns are left: %v", len(small.steps), small.steps)
	}
	if runs > 500 {
		t.Errorf("it took %d runs", runs)
	}
}
