package partitiontest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/firstcome/firstcome/services/issuer/partition"
)

// Budget is how often each fault may happen in a walk.
type Budget struct{ Fail, Crash, Steal, Empty, Rewind, Truncate, Late int }

// Walk is a random walk: two processes, of which either may believe to own the partition while the other does, and
// everything that can go wrong, at any point between two actions. The same seed gives the same walk.
type Walk struct {
	World  *World
	Owners [2]*Owner
	Now    time.Time

	rng    *rand.Rand
	left   Budget
	rarely int // one of so many actions fails, as long as the budget lasts; disasters are rarer than usual by rarely/often
	saved  []func()
	Trace  []string
	config partition.Config
}

const often = 12

// NewWalk prepares a walk over a random log of so many records.
func NewWalk(seed uint64, records int, b Budget) *Walk {
	w := &Walk{World: NewWorld(0), Now: time.Unix(1_800_000_000, 0), rng: rand.New(rand.NewPCG(seed, 7)), left: b, rarely: often}
	w.config = partition.Config{
		MaxBatch: 1 + w.rng.IntN(4), MaxInFlight: 1 + w.rng.IntN(3), MaxBuffered: 4 + w.rng.IntN(8),
		MaxWaiting: 1 + w.rng.IntN(12), MaxEmit: 1 + w.rng.IntN(4),
		CommitEvery: time.Duration(1+w.rng.IntN(400)) * time.Millisecond, LookEvery: time.Duration(1+w.rng.IntN(2000)) * time.Millisecond,
	}
	history := RandomHistory(w.rng, records)
	for _, q := range history {
		w.append(q)
	}
	w.Owners[0] = NewOwner(w.World, 0, w.config)
	return w
}

// NewLongWalk prepares a walk over a world that may have another store, with larger batches; its log is appended by Append
// while it walks.
func NewLongWalk(world *World, rng *rand.Rand, b Budget) *Walk {
	w := &Walk{World: world, Now: time.Unix(1_800_000_000, 0), rng: rng, left: b, rarely: 200}
	w.config = partition.Config{
		Partition: world.Partition, MaxBatch: 1 + rng.IntN(60), MaxInFlight: 1 + rng.IntN(3), MaxEmit: 1 + rng.IntN(60),
		CommitEvery: time.Duration(1+rng.IntN(400)) * time.Millisecond, LookEvery: time.Duration(1+rng.IntN(2000)) * time.Millisecond,
	}
	w.Owners[0] = NewOwner(world, 0, w.config)
	return w
}

// Append adds requests, with gaps between some of them.
func (w *Walk) Append(requests ...partition.Request) {
	for _, q := range requests {
		w.append(q)
	}
}

func (w *Walk) append(q partition.Request) {
	gap := int64(0)
	if w.rng.IntN(10) == 0 {
		gap = 1 + int64(w.rng.IntN(2))
	}
	w.World.Append(gap, q)
}

// Run walks, and then lets the owner finish without faults. It returns what was breached.
func (w *Walk) Run(steps int) []string {
	for range steps {
		w.Step()
		if len(w.World.Breaches) > 0 {
			return w.World.Breaches
		}
	}
	w.Finish()
	return w.World.Breaches
}

// Step does one thing.
func (w *Walk) Step() {
	o := w.Owners[w.rng.IntN(2)]
	if o == nil {
		o = w.Owners[0]
	}
	switch n := w.rng.IntN(100); {
	case n < 30:
		w.life(o)
		o.Step(w.Now)
	case n < 62:
		w.act(o)
	case n < 85:
		if o.Results() > 0 && !o.Crashed {
			o.Deliver(w.rng.IntN(o.Results()))
		}
	case n < 90:
		w.Now = w.Now.Add(time.Duration(w.rng.IntN(1500)) * time.Millisecond)
	case n < 92 && len(o.Late) > 0:
		w.Trace = append(w.Trace, "a late emission lands")
		o.Arrive(w.rng.IntN(len(o.Late)), 1+w.rng.IntN(4))
	case w.rng.IntN(w.rarely/often) == 0:
		w.disaster()
	}
}

// life: a process that ended begins again; a stale one learns that it is stale, sooner or later.
func (w *Walk) life(o *Owner) {
	switch {
	case o.Crashed || o.Machine.Over():
		if w.World.Owner == o.Number || w.rng.IntN(4) == 0 {
			w.trace("owner %d starts (%v)", o.Number, o.Machine.Err())
			w.restart(o)
		}
	case w.World.Owner != o.Number && w.rng.IntN(40) == 0:
		w.trace("owner %d learns that it is none", o.Number)
		o.Crashed = true
	}
}

// restart: calls of the old process that have not reached Redis may reach it later; they are done by nobody's hand.
func (w *Walk) restart(o *Owner) {
	for i := len(o.Pending) - 1; i >= 0; i-- {
		if k := o.Pending[i].Kind; (k == partition.Decide || k == partition.RestoreFacts || k == partition.Commit) && w.rng.IntN(2) == 0 {
			o.Do(i, None)
		}
	}
	o.Restart()
}

func (w *Walk) act(o *Owner) {
	if len(o.Pending) == 0 {
		return
	}
	i := w.rng.IntN(len(o.Pending))
	if o.Pending[i].Kind == partition.Decide && w.rng.IntN(20) > 0 {
		// In order, but for once in a while: then the store finds another progress.
		i = slices.IndexFunc(o.Pending, func(a partition.Action) bool { return a.Kind == partition.Decide })
	}
	fault := w.fault(o.Pending[i].Kind)
	if o.Crashed && fault != None {
		fault = None // arrives after its process
	}
	text := o.Pending[i].String()
	o.Do(i, fault)
	w.trace("owner %d: %s (fault %d), progress %d, journal %d", o.Number, text, fault, w.World.losable().Progress().Offset, len(w.World.Journal))
}

func (w *Walk) fault(k partition.Kind) Fault {
	take := func(n *int) bool {
		if *n > 0 && w.rng.IntN(w.rarely) == 0 {
			*n--
			return true
		}
		return false
	}
	switch {
	case take(&w.left.Fail):
		return FailBefore + Fault(w.rng.IntN(2))
	case take(&w.left.Crash):
		return CrashBefore + Fault(w.rng.IntN(2))
	case k == partition.Emit && take(&w.left.Late):
		return LandPart + Fault(w.rng.IntN(2))
	}
	return None
}

func (w *Walk) disaster() {
	take := func(n *int) bool {
		if *n > 0 {
			*n--
			return true
		}
		return false
	}
	s := w.World.losable()
	switch w.rng.IntN(24) {
	case 0:
		if take(&w.left.Steal) {
			w.steal()
		}
	case 1:
		if take(&w.left.Empty) {
			w.trace("Redis is emptied")
			s.Empty()
		}
	case 2, 3, 4:
		if w.left.Rewind > 0 {
			w.saved = append(w.saved, s.Snapshot())
		}
	case 5:
		if len(w.saved) > 0 && take(&w.left.Rewind) {
			w.saved[w.rng.IntN(len(w.saved))]()
			w.trace("Redis is rewound to %d", s.Progress().Offset)
		}
	case 6:
		if take(&w.left.Truncate) {
			w.truncate()
			w.trace("retention drops up to %d", w.World.Start)
		}
	}
}

// truncate drops mostly what was committed, as retention does if somebody looks after it.
func (w *Walk) truncate() {
	start := w.World.Start + int64(w.rng.IntN(6))
	if w.rng.IntN(5) > 0 {
		start = w.World.Committed.Offset - int64(w.rng.IntN(2))
	}
	w.World.Drop(start)
}

func (w *Walk) steal() {
	for i, o := range w.Owners {
		if o == nil {
			w.Owners[i] = NewOwner(w.World, i, w.config)
			w.trace("the group gives the partition to %d", i)
			return
		}
	}
	o := w.Owners[1-w.World.Owner]
	w.trace("the group gives the partition to %d", o.Number)
	w.restart(o)
}

// Finish lets the owner end it all without faults.
func (w *Walk) Finish() {
	o := w.Owners[w.World.Owner]
	for _, other := range w.Owners {
		if other != nil {
			for len(other.Late) > 0 {
				other.Arrive(0, w.rng.IntN(5))
			}
		}
	}
	if o.Crashed {
		w.restart(o)
	}
	now, settled := o.Settle(w.Now, nil)
	w.Now = now
	if most := w.config.MaxWaiting + 2*w.config.MaxBatch*(w.config.MaxInFlight+1); w.World.Store.Longest > most {
		w.World.breach("the outbox held %d facts, more than %d", w.World.Store.Longest, most)
	}
	if !settled && len(w.World.Breaches) == 0 {
		w.justify(o)
	}
}

// justify: a partition may only stop where something was lost.
func (w *Walk) justify(o *Owner) {
	if w.World.Whole(w.World.losable().Progress().Offset) {
		w.World.breach("stops although nothing was lost: %s", o.StoppedFor())
	}
}

func (w *Walk) trace(format string, args ...any) {
	w.Trace = append(w.Trace, fmt.Sprintf(format, args...))
}
