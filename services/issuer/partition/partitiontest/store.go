package partitiontest

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/internal/redislayout"
	"github.com/firstcome/firstcome/services/issuer/partition"
)

// Store is a Redis that holds the dumb model. It can be emptied, saved and rewound.
type Store struct {
	world    *World
	progress partition.Progress
	outbox   []partition.Decided
	changes  []func(*fcfs.Log) // that led here: replayed, they give the state again
	state    *fcfs.Log

	Longest int // how many facts the outbox ever held
}

func kept(outbox []partition.Decided) int {
	n := 0
	for _, d := range outbox {
		n += len(d.Facts)
	}
	return n
}

// Saved is what a store had at one moment.
type Saved struct {
	Progress partition.Progress
	outbox   []partition.Decided
	changes  []func(*fcfs.Log)
}

func newStore(w *World) *Store {
	s := &Store{world: w}
	s.Empty()
	return s
}

// Progress is where the store is.
func (s *Store) Progress() partition.Progress { return s.progress }

// Outbox is what waits for the journal.
func (s *Store) Outbox() []partition.Decided { return s.outbox }

// State is what the log up to progress led to; not to be changed.
func (s *Store) State() *fcfs.Log { return s.state }

// Empty loses everything.
func (s *Store) Empty() { s.Rewind(Saved{Progress: partition.Nothing}) }

// Snapshot remembers everything, until it is rewound to.
func (s *Store) Snapshot() (rewind func()) {
	saved := s.Save()
	return func() { s.Rewind(saved) }
}

// Save remembers everything.
func (s *Store) Save() Saved {
	return Saved{s.progress, slices.Clone(s.outbox), slices.Clone(s.changes)}
}

// Rewind goes back to what was saved.
func (s *Store) Rewind(to Saved) {
	s.progress, s.outbox, s.changes = to.Progress, slices.Clone(to.outbox), slices.Clone(to.changes)
	s.state = fcfs.NewLog(s.world.Partition)
	for _, change := range s.changes {
		change(s.state)
	}
}

// move notes a change that was made, and looks whether it may have been.
func (s *Store) move(to partition.Progress, change func(*fcfs.Log)) {
	s.changes = append(s.changes, change)
	s.progress = to
	s.world.Reached(to)
	s.check()
}

// check holds what is true at every moment: the state is what the log leads to, and every fact up to progress is in the
// journal or in the outbox.
func (s *Store) check() {
	w := s.world
	if diff := difference(describeState(s.state), w.stateAt(s.progress.Offset)); diff != "" {
		w.breach("Redis at progress %d is not what the log up to there leads to: %s", s.progress.Offset, diff)
	}
	w.Keeps(s.progress.Offset, s.outbox)
}

// stateAt describes the state that the log up to an offset leads to: it is asked for again and again.
func (w *World) stateAt(offset int64) map[string]string {
	state, ok := w.states[offset]
	if !ok {
		state = describeState(w.UpTo(offset))
		w.states[offset] = state
	}
	return state
}

// Keeps notes a breach where a fact up to progress is neither in the journal nor in an outbox, or the outbox has others.
func (w *World) Keeps(progress int64, outbox []partition.Decided) {
	kept, last := map[int64]bool{}, int64(-1)
	for _, d := range outbox {
		for _, f := range d.Facts {
			kept[f.Source.Offset] = true
			if f.Source.Offset <= last || f.Source.Offset > d.Progress.Offset {
				w.breach("the outbox is out of order at offset %d", f.Source.Offset)
			}
			last = f.Source.Offset
			if !w.known(f) {
				w.breach("the outbox holds a fact that the log never led to: %s", describe(f))
			}
		}
	}
	for _, f := range w.facts[w.taken:] {
		if f.Source.Offset <= progress && !kept[f.Source.Offset] {
			w.breach("the fact of offset %d is neither in the journal nor in the outbox", f.Source.Offset)
		}
	}
}

// UpTo is the state that the log up to an offset leads to.
func (w *World) UpTo(offset int64) *fcfs.Log {
	scratch := *w
	scratch.oracle, scratch.outcomes, scratch.sequence = fcfs.NewLog(w.Partition), map[int64]fcfs.Outcome{}, map[int64]int64{}
	for _, q := range w.Log {
		if q.Last <= offset {
			scratch.decide(q)
		}
	}
	return scratch.oracle
}

// Diff says where two states differ, or nothing. Progress and log time are not compared.
func Diff(a, b *fcfs.Log) string { return difference(describeState(a), describeState(b)) }

func difference(have, want map[string]string) string {
	for id := range want {
		if have[id] != want[id] {
			return fmt.Sprintf("coupon %s is %s, not %s", id, have[id], want[id])
		}
	}
	if len(have) != len(want) {
		return fmt.Sprintf("%d coupons, not %d", len(have), len(want))
	}
	return ""
}

func describeState(l *fcfs.Log) map[string]string {
	coupons := map[string]string{}
	for id, c := range l.Coupons() {
		text := fmt.Sprintf("%v total %d", c.Definitions(), c.Total())
		for _, window := range c.Windows() {
			people := maps.Collect(c.People(window))
			text += fmt.Sprintf(" %q: %d %v", window, c.Count(window), people)
		}
		coupons[id] = text
	}
	return coupons
}

// Load gives progress and outbox.
func (s *Store) Load(context.Context) (partition.Loaded, error) {
	return partition.Loaded{Progress: s.progress, Outbox: slices.Clone(s.outbox)}, nil
}

// Definitions gives pages of two coupons.
func (s *Store) Definitions(_ context.Context, expected partition.Progress, after string) (partition.Definitions, error) {
	d := partition.Definitions{Found: s.progress}
	if d.Found != expected {
		return d, nil
	}
	for id, c := range s.state.Coupons() {
		if id > after && len(d.Coupons) < 2 {
			d.Coupons = append(d.Coupons, partition.Defined{Definition: c.Current(), Count: len(c.Definitions())})
		}
	}
	return d, nil
}

// Windows gives pages of two windows.
func (s *Store) Windows(_ context.Context, expected partition.Progress, from int) (partition.Windows, error) {
	r := partition.Windows{Found: s.progress, Windows: map[partition.Window]fcfs.Millis{}}
	if r.Found != expected {
		return r, nil
	}
	at := 0
	for id, c := range s.state.Coupons() {
		for _, w := range WindowsOf(id, c, s.state.LogTime()) {
			if at++; at > from && at <= from+2 {
				drop, _ := c.Current().DropAt(w.Day)
				r.Windows[w] = drop
			}
		}
	}
	return r, nil
}

// WindowsOf are the windows of the retire set, at a log time.
func WindowsOf(id string, c *fcfs.Coupon, logTime fcfs.Millis) []partition.Window {
	var ws []partition.Window
	if c.Current().Window == fcfs.WindowNone {
		if drop, ever := c.Current().DropAt(""); ever && drop > logTime {
			ws = append(ws, partition.Window{CouponID: id})
		}
		return ws
	}
	for _, day := range c.Windows() {
		if day != "" {
			ws = append(ws, partition.Window{CouponID: id, Day: day})
		}
	}
	return ws
}

// Decide asks the dumb model for everything, and sees whether the batch had it the same.
func (s *Store) Decide(_ context.Context, batches ...*partition.Batch) []partition.Answer {
	answers := make([]partition.Answer, len(batches))
	for i, b := range batches {
		answers[i] = s.decide(b)
	}
	return answers
}

func (s *Store) decide(b *partition.Batch) partition.Answer {
	if s.progress != b.Expected {
		return partition.Answer{Found: s.progress}
	}
	s.audit(b)
	answer := partition.Answer{Found: s.progress, Groups: make([]partition.Outcomes, len(b.Groups))}
	for i, g := range b.Groups {
		if c := s.state.Coupon(g.CouponID); c != nil {
			answer.Groups[i].Before = c.Count(g.Day)
		}
	}
	outcomes, facts := map[int64]fcfs.Outcome{}, []fcfs.Fact(nil)
	change := func(l *fcfs.Log) {
		scratch := &World{oracle: l, outcomes: outcomes, sequence: map[int64]int64{}}
		facts = nil
		for _, q := range b.Requests() {
			if q.Last > b.Expected.Offset {
				if f := scratch.decide(q); f != nil {
					facts = append(facts, *f)
				}
			}
		}
	}
	change(s.state)
	s.outbox = s.trim(b.Covered)
	s.Longest = max(s.Longest, len(facts)+kept(s.outbox))
	if len(facts) > 0 {
		s.outbox = append(s.outbox, partition.Decided{Progress: b.Next, Facts: facts})
	}
	s.move(b.Next, change)
	for i, g := range b.Groups {
		for _, c := range g.Claims {
			answer.Groups[i].Outcomes = append(answer.Groups[i].Outcomes, outcomes[c.Offset])
		}
	}
	if b.Define != nil {
		if answer.Define = outcomes[b.Next.Offset]; answer.Define == fcfs.Changed {
			answer.Define = fcfs.Created
		}
	}
	return answer
}

func (s *Store) trim(covered int64) []partition.Decided {
	kept := s.outbox
	for len(kept) > 0 && kept[0].Progress.Offset <= covered {
		kept = kept[1:]
	}
	return slices.Clone(kept)
}

// Restore takes facts.
func (s *Store) Restore(_ context.Context, r *partition.Restore) (partition.Progress, error) {
	if s.progress != r.Expected {
		return s.progress, nil
	}
	if len(r.Drops) == 0 {
		s.auditDrops(nil, s.progress.LogTime, r.Next.LogTime)
	}
	change := func(l *fcfs.Log) {
		for _, f := range factsOf(s.world.Partition, r) {
			if err := l.Apply(f); err != nil {
				s.world.breach("the rebuild gives %v", err)
			}
		}
		if l.Progress() < r.Next.Offset {
			l.Invalid(r.Next.Offset, r.Next.LogTime)
		}
	}
	change(s.state)
	s.move(r.Next, change)
	return r.Expected, nil
}

// factsOf gives the facts of a piece of a rebuild back. No window is dropped within a piece, so all may have its log time.
func factsOf(p int32, r *partition.Restore) []fcfs.Fact {
	var facts []fcfs.Fact
	for _, d := range r.Defined {
		facts = append(facts, d.Fact)
	}
	for _, g := range r.Granted {
		for _, e := range g.Entries {
			facts = append(facts, fcfs.Fact{
				Source:  fcfs.Source{Partition: p, Offset: e.Offset},
				Granted: &fcfs.GrantFact{CouponID: g.CouponID, UserID: e.UserID, Window: g.Day, Sequence: e.Sequence},
			})
		}
	}
	slices.SortFunc(facts, func(a, b fcfs.Fact) int { return int(a.Source.Offset - b.Source.Offset) })
	for i := range facts {
		facts[i].LogTime = r.Next.LogTime
	}
	return facts
}

// Look compares and trims.
func (s *Store) Look(_ context.Context, expected partition.Progress, covered int64) (partition.Progress, error) {
	if s.progress == expected {
		s.outbox = s.trim(covered)
		s.world.Keeps(s.progress.Offset, s.outbox)
	}
	return s.progress, nil
}

// Publish notes what is told.
func (s *Store) Publish(_ context.Context, o redislayout.Outcomes) error {
	s.world.Published(o)
	return nil
}
