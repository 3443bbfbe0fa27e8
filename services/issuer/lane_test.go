package issuer

import (
	"context"
	"testing"

	"github.com/firstcome/firstcome/services/issuer/partition"
)

// A lane does everything once and in order, however the giving falls between its wakings, and is never asked to do nothing.
func TestLane(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	l, ended := newLane(), make(chan struct{})
	const n = 10_000
	next, all := uint64(0), make(chan struct{})
	go func() {
		defer close(ended)
		l.run(ctx, func(jobs []job) {
			if len(jobs) == 0 {
				t.Error("nothing to do")
			}
			for _, j := range jobs {
				if j.Session != next {
					t.Errorf("%d after %d", j.Session, next)
				}
				next++
			}
			if next == n {
				close(all)
			}
		})
	}()
	for i := range uint64(n) {
		l.give(job{ctx, partition.Action{Session: i}})
	}
	<-all
	cancel()
	<-ended
}
