package compare

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/firstcome/firstcome/strategy/strategytest"
)

// trial is the strategytest.T of a command: what testing.T is to a test.
type trial struct {
	ctx context.Context // ends with the trial
	run context.Context // goes on: where it has ended, somebody interrupted

	mu       sync.Mutex
	over     bool
	cleanups []func()
	errors   []string
}

var _ strategytest.T = (*trial)(nil)

// dying is how long a trial that was interrupted may take to notice.
const dying = 10 * time.Second

// try does what may go wrong, and gives the errors. If ctx ends before it is done, what it started is ended, and with it
// whatever it waits for.
func try(ctx context.Context, do func(t *trial)) []string {
	run := ctx
	ctx, cancel := context.WithCancel(run)
	defer cancel()
	t := &trial{ctx: ctx, run: run}
	done := make(chan struct{})
	go func() {
		defer close(done) // also after Fatalf
		do(t)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		t.end()
		select {
		case <-done:
		case <-time.After(dying):
		}
	}
	cancel()
	t.end()
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.errors)
}

// end calls what was registered, last first; it may register more.
func (t *trial) end() {
	for {
		t.mu.Lock()
		n := len(t.cleanups)
		if n == 0 {
			t.over = true
			t.mu.Unlock()
			return
		}
		last := t.cleanups[n-1]
		t.cleanups = t.cleanups[:n-1]
		t.mu.Unlock()
		apartFrom(last)
	}
}

// apartFrom waits for f, which may end its goroutine.
func apartFrom(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}

func (t *trial) Helper()                  {}
func (t *trial) Context() context.Context { return t.ctx }
func (t *trial) Logf(string, ...any)      {}

// Cleanup calls f at the end; at once where that has been.
func (t *trial) Cleanup(f func()) {
	t.mu.Lock()
	over := t.over
	if !over {
		t.cleanups = append(t.cleanups, f)
	}
	t.mu.Unlock()
	if over {
		apartFrom(f)
	}
}

func (t *trial) Errorf(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.errors = append(t.errors, fmt.Sprintf(format, args...))
}

// Fatalf does not return: it ends the goroutine, as testing's does.
func (t *trial) Fatalf(format string, args ...any) {
	t.Errorf(format, args...)
	runtime.Goexit()
}
