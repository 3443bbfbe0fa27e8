package issuer

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/firstcome/firstcome/services/issuer/partition"
)

// Lanes: what is in one is done in order, the lanes side by side. Decide has its own, since batches must reach Redis in
// the order of the log.
const (
	laneDecide = iota
	laneStore
	laneFetch
	laneLog
	laneJournal
	laneEmit
	laneLetters
	lanePublish
	lanes
)

var laneOf = map[partition.Kind]int{
	partition.ReadCommitted: laneLog, partition.Bounds: laneLog, partition.Commit: laneLog,
	partition.Load: laneStore, partition.LoadDefinitions: laneStore, partition.LoadWindows: laneStore,
	partition.RestoreFacts: laneStore, partition.LookAtProgress: laneStore,
	partition.JournalBounds: laneJournal, partition.ReadSources: laneJournal, partition.ReadFacts: laneJournal,
	partition.Fetch: laneFetch, partition.DeadLetter: laneLetters, partition.Decide: laneDecide,
	partition.Publish: lanePublish, partition.Emit: laneEmit,
}

// points are the names of effects, for the hook.
var points = map[partition.Kind]string{
	partition.Load: "loaded", partition.RestoreFacts: "restored", partition.DeadLetter: "dead_lettered",
	partition.Decide: "decided", partition.Publish: "published", partition.Emit: "emitted", partition.Commit: "committed",
}

// loop runs the machine of one partition: it does the machine's actions in goroutines, and brings it the results.
type loop struct {
	machine *partition.Machine
	ports   partition.Ports
	now     func() time.Time
	drain   time.Duration
	hook    func(point string) error
	report  func(partition.Status)
	observe func(partition.Result)

	lanes   [lanes]*lane
	results chan partition.Result
	session uint64
	live    context.Context // of the session
	end     context.CancelFunc
}

// run works until the machine is over; the end of ctx lets it finish what was decided, for as long as drain.
func (l *loop) run(ctx context.Context) error {
	own, stop := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	l.results = make(chan partition.Result, 64)
	l.live, l.end = context.WithCancel(own)
	defer func() { l.end() }()
	for i := range l.lanes {
		l.lanes[i] = newLane()
		running.Go(func() { l.lanes[i].run(own, func(jobs []job) { l.work(own, i, jobs) }) })
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	stopping, late := ctx.Done(), (<-chan time.Time)(nil)
	for {
		l.step(own)
		if l.machine.Over() {
			return l.machine.Err()
		}
		select {
		case r := <-l.results:
			if err := l.take(r); err != nil {
				return err
			}
		case <-l.wake(timer):
		case <-stopping:
			stopping, late = nil, time.After(l.drain)
			l.machine.Stop()
		case <-late:
			return nil
		}
	}
}

func (l *loop) wake(timer *time.Timer) <-chan time.Time {
	at := l.machine.Wake()
	if at.IsZero() {
		return nil
	}
	timer.Reset(at.Sub(l.now()))
	return timer.C
}

func (l *loop) step(own context.Context) {
	actions := l.machine.Step(l.now())
	if session := l.machine.Session(); session != l.session {
		l.session = session
		l.end()
		l.live, l.end = context.WithCancel(own)
	}
	for _, a := range actions {
		ctx := l.live
		if a.Kind == partition.Publish || a.Kind == partition.Commit {
			ctx = own // true whatever becomes of the session
		}
		l.lanes[laneOf[a.Kind]].give(job{ctx, a})
	}
	l.report(l.machine.Status())
}

// take brings the machine all results that are there.
func (l *loop) take(r partition.Result) error {
	for {
		if point := points[r.Kind]; point != "" && done(r) {
			if err := l.hook(point); err != nil {
				return fmt.Errorf("hook at %s: %w", point, err)
			}
		}
		l.observe(r)
		l.machine.Done(r)
		select {
		case r = <-l.results:
		default:
			return nil
		}
	}
}

// done tells whether an action took effect.
func done(r partition.Result) bool {
	switch {
	case r.Err != nil:
		return false
	case r.Kind == partition.Decide:
		return r.Answer.Found == r.Batch.Expected
	case r.Kind == partition.RestoreFacts:
		return r.Found == r.Restore.Expected
	}
	return true
}

func (l *loop) work(own context.Context, lane int, jobs []job) {
	if lane == laneDecide {
		l.decide(own, jobs)
		return
	}
	for _, j := range jobs {
		if j.Err() == nil {
			l.deliver(own, partition.Do(j, l.ports, j.Action))
		}
	}
}

// decide gives all batches that have gathered to the store in one call: no round trip between them.
func (l *loop) decide(own context.Context, jobs []job) {
	session := jobs[len(jobs)-1]
	var given []job
	var batches []*partition.Batch
	for _, j := range jobs {
		if j.Session == session.Session {
			given = append(given, j)
			batches = append(batches, j.Batch)
		}
	}
	if session.Err() != nil {
		return
	}
	for i, answer := range l.ports.Store.Decide(session, batches...) {
		l.deliver(own, partition.ResultOf(given[i].Action, answer))
	}
}

func (l *loop) deliver(own context.Context, r partition.Result) {
	select {
	case l.results <- r:
	case <-own.Done():
	}
}
