package partitiontest

import (
	"context"
	"slices"
	"time"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/services/issuer/partition"
)

// Fault is what happens to one action.
type Fault int

// The faults. A crash ends the process that does the action, a failure only the action; Before and After say whether it
// took effect. An emission may also land in part, or late: with the answer that nobody knows.
const (
	None Fault = iota
	FailBefore
	FailAfter
	CrashBefore
	CrashAfter
	LandPart
	LandLate
)

// Owner is a process that believes to own the partition.
type Owner struct {
	Machine *partition.Machine
	Number  int
	World   *World
	Pending []partition.Action // given out, not done
	results []partition.Result // done, not yet delivered
	Late    [][]fcfs.Fact      // produced, may land at any time
	Crashed bool
	Notices []partition.Notice
	config  partition.Config
}

// NewOwner starts a process; the group gives it the partition.
func NewOwner(w *World, number int, cfg partition.Config) *Owner {
	o := &Owner{World: w, Number: number, config: cfg}
	o.start()
	return o
}

func (o *Owner) start() {
	cfg := o.config
	cfg.Notice = func(n partition.Notice) { o.Notices = append(o.Notices, n) }
	o.Machine = partition.New(cfg)
	o.World.Owner = o.Number
}

// Restart is a new process in the place of one that ended. What the old one had on the way may still arrive.
func (o *Owner) Restart() {
	for _, a := range o.Pending {
		if a.Kind == partition.Emit {
			o.Late = append(o.Late, a.Facts)
		}
	}
	o.Pending, o.results, o.Crashed, o.Notices = nil, nil, false, nil
	o.start()
}

// Step lets the machine say what it wants to be done.
func (o *Owner) Step(now time.Time) {
	if !o.Crashed {
		o.Pending = append(o.Pending, o.Machine.Step(now)...)
	}
}

// Do does one of the pending actions, with a fault.
func (o *Owner) Do(i int, fault Fault) partition.Action {
	a := o.Pending[i]
	o.Pending = slices.Delete(o.Pending, i, i+1)
	r := partition.Result{Action: a, Err: ErrInjected}
	if a.Kind == partition.Decide {
		r.Answer.Err = ErrInjected
	}
	switch {
	case fault == None:
		r = partition.Do(context.Background(), o.World.Ports(o.Number), a)
	case fault == FailAfter || fault == CrashAfter:
		partition.Do(context.Background(), o.World.Ports(o.Number), a)
	case fault == LandPart && a.Kind == partition.Emit:
		o.World.Land(a.Facts[:len(a.Facts)/2]...)
	case fault == LandLate && a.Kind == partition.Emit:
		o.Late = append(o.Late, a.Facts)
	}
	if fault == CrashBefore || fault == CrashAfter {
		o.Crashed = true
		return a
	}
	o.results = append(o.results, r)
	return a
}

// Deliver brings the machine a result; Results says how many there are.
func (o *Owner) Deliver(i int) {
	r := o.results[i]
	o.results = slices.Delete(o.results, i, i+1)
	o.Machine.Done(r)
}

// Results is how many results can be delivered.
func (o *Owner) Results() int { return len(o.results) }

// Arrive lets a late emission land, wholly or up to a place.
func (o *Owner) Arrive(i, upTo int) {
	facts := o.Late[i]
	o.Late = slices.Delete(o.Late, i, i+1)
	o.World.Land(facts[:min(upTo, len(facts))]...)
}

// StoppedFor is what the partition stopped for, or nothing.
func (o *Owner) StoppedFor() string { return o.Machine.Status().Stopped }

// Settled tells whether all is done: decided, emitted, committed, and given up by the outbox.
func (o *Owner) Settled() bool {
	s, w := o.Machine.Status(), o.World
	loaded, err := w.Ports(o.Number).Store.Load(context.Background())
	return err == nil && s.Waits == "" && s.Waiting == 0 && s.Progress.Offset == w.End-1 && loaded.Progress == s.Progress &&
		len(loaded.Outbox) == 0 && w.taken == len(w.facts) && (w.Committed.Offset == w.End || w.End == 0)
}

// Settle does everything in order, without faults, until all is done, the partition has stopped for something that stays,
// or it takes far too long. fault may be nil; it is asked for each action by its number.
func (o *Owner) Settle(now time.Time, fault func(number int, a partition.Action) Fault) (end time.Time, settled bool) {
	number := 0
	for range 20_000 {
		if o.Crashed || o.Machine.Over() {
			o.Restart()
		}
		o.Step(now)
		switch {
		case len(o.Pending) > 0:
			f := None
			if fault != nil {
				f = fault(number, o.Pending[0])
			}
			number++
			o.Do(0, f)
		case o.Results() > 0:
			o.Deliver(0)
		}
		if len(o.Pending) == 0 && o.Results() == 0 || o.onlyFetches() {
			if o.Settled() {
				return now, true
			}
			if o.StoppedFor() != "" && o.rechecks() > 1 {
				return now, false
			}
			now = o.next(now)
		}
	}
	o.World.breach("never settles: %+v", o.Machine.Status())
	return now, false
}

// onlyFetches: an owner with nothing to do fetches all the time.
func (o *Owner) onlyFetches() bool {
	return len(o.Pending) == 1 && o.Results() == 0 && o.Pending[0].Kind == partition.Fetch && o.Pending[0].Offset >= o.World.End
}

func (o *Owner) rechecks() int {
	n := 0
	for _, notice := range o.Notices {
		if notice.Kind == partition.Recheck {
			n++
		}
	}
	return n
}

func (o *Owner) next(now time.Time) time.Time {
	if at := o.Machine.Wake(); at.After(now) {
		return at
	}
	return now.Add(10 * time.Millisecond)
}
