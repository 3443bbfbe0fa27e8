package issuer

import (
	"context"
	"sync"

	"github.com/firstcome/firstcome/services/issuer/partition"
)

// job is an action, with the context of its session.
type job struct {
	context.Context
	partition.Action
}

// lane does jobs one after another, in a goroutine of its own. Giving it one never blocks: a loop that waited for a lane
// that waits for the loop would stand still.
type lane struct {
	mu      sync.Mutex
	waiting []job
	more    chan struct{} // room for one: something came
}

func newLane() *lane { return &lane{more: make(chan struct{}, 1)} }

func (l *lane) give(j job) {
	l.mu.Lock()
	l.waiting = append(l.waiting, j)
	l.mu.Unlock()
	select {
	case l.more <- struct{}{}:
	default:
	}
}

// run calls do with all that has gathered, until ctx ends.
func (l *lane) run(ctx context.Context, do func(jobs []job)) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.more:
		}
		l.mu.Lock()
		jobs := l.waiting
		l.waiting = nil
		l.mu.Unlock()
		if len(jobs) > 0 { // else they came with those before
			do(jobs)
		}
	}
}
