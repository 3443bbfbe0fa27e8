package simulation

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Errors that a call can end with.
var (
	errInjected = errors.New("injected")
	errEnded    = errors.New("the process has ended")
)

// fate is what becomes of a call.
type fate int

// The fates. "Fails" means that the caller gets an error; a crash ends the process that waits for the answer.
const (
	succeeds      fate = iota
	failsBefore        // it took no effect
	failsAfter         // it took effect
	landsLate          // fails, and takes effect at any time later
	landsInPart        // fails, and the first of its records took effect
	crashesBefore      // it took no effect
	crashesAfter       // it took effect
)

var fateTexts = [...]string{
	succeeds: "", failsBefore: ": fails before it took effect", failsAfter: ": takes effect, and the answer is lost",
	landsLate: ": fails, and may take effect later", landsInPart: ": fails, but some of it took effect",
	crashesBefore: ": its process crashes before", crashesAfter: ": takes effect, and its process crashes",
}

var fateNames = [...]string{
	succeeds: "done", failsBefore: "fails before", failsAfter: "fails after", landsLate: "lands late", landsInPart: "lands in part",
	crashesBefore: "crashes before", crashesAfter: "crashes after",
}

// call is one I/O of a process: it waits until the scheduler lets it happen.
type call struct {
	what      fmt.Stringer // for the trace
	kind      string
	partition int32
	writes    bool             // may take effect after its caller gave up
	ready     func() bool      // nil: always
	empty     func() bool      // nothing is going to come of it: not worth a line
	stale     func() bool      // its caller may have given it up: then it need not happen at all
	do        func() error     // lets it take effect; what it found is kept for the caller
	part      func(choose int) // lets some of it take effect; nil where it is all or nothing
	answer    func(error)      // lets the caller go on: with what do found, or with an error
	answered  func(error)      // is told the answer; may be nil
}

// sayable is a text that is only made if somebody reads it.
type sayable struct {
	format string
	args   []any
}

func (s sayable) String() string { return fmt.Sprintf(s.format, s.args...) }

// perform lets a call happen.
func (w *World) perform(p *process, c *call, f fate) {
	if f != succeeds || c.empty == nil || !c.empty() {
		w.say("%s: %v%s", p.name, c.what, fateTexts[f])
	}
	switch f {
	case failsAfter:
		c.take()
		c.answer(errInjected)
	case failsBefore:
		c.answer(errInjected)
	case landsLate:
		w.late = append(w.late, delayed{p.name, c})
		c.answer(errInjected)
	case landsInPart:
		c.part(w.rng.IntN(1 << 10))
		c.answer(errInjected)
	case crashesBefore:
		p.crash()
		c.answer(errEnded)
	case crashesAfter:
		c.take()
		p.crash()
		c.answer(errEnded)
	default:
		c.answer(c.do())
	}
	w.saw(fateNames[f] + ": " + c.kind)
}

// take lets a call take effect whose answer nobody gets.
func (c *call) take() { _ = c.do() }

// delayed is a call that may still take effect though nobody waits for it any more.
type delayed struct {
	of   string
	call *call
}

// ask is a call from a goroutine of a process: it returns when the scheduler has let it happen, or when ctx ends.
func ask[T any](ctx context.Context, p *process, c *call, do func() (T, error)) (T, error) {
	var found, nothing T
	answered := make(chan error, 1)
	c.do = func() (err error) { found, err = do(); return err }
	c.answer = func(err error) {
		if c.answered != nil {
			c.answered(err)
		}
		answered <- err
	}
	if !p.submit(c) {
		return nothing, errEnded
	}
	select {
	case err := <-answered:
		if err != nil {
			return nothing, err
		}
		return found, nil
	case <-ctx.Done():
		p.withdraw(c) // it may still take effect: found is not looked at any more
		return nothing, ctx.Err()
	}
}

func (p *process) submit(c *call) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.alive {
		return false
	}
	// By partition, since goroutines that woke at the same time come in any order, and one seed must give one run.
	at := len(p.calls)
	for at > 0 && p.calls[at-1].partition > c.partition {
		at--
	}
	p.calls = slices.Insert(p.calls, at, c)
	return true
}

func (p *process) withdraw(c *call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at := slices.Index(p.calls, c); at >= 0 {
		p.calls = slices.Delete(p.calls, at, at+1)
	}
}
