package partitiontest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/firstcome/firstcome/internal/fcfs"
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
	saved  []Saved
	Trace  []string
	config partition.Config
}

// NewWalk prepares a walk over a random log of so many records.
func NewWalk(seed uint64, records int, b Budget) *Walk {
	w := &Walk{World: NewWorld(0), Now: time.Unix(1_800_000_000, 0), rng: rand.New(rand.NewPCG(seed, 7)), left: b}
	w.config = partition.Config{
		MaxBatch: 1 + w.rng.IntN(4), MaxInFlight: 1 + w.rng.IntN(3), MaxBuffered: 4 + w.rng.IntN(8),
		MaxWaiting: 1 + w.rng.IntN(12), MaxEmit: 1 + w.rng.IntN(4),
		CommitEvery: time.Duration(1+w.rng.IntN(400)) * time.Millisecond, LookEvery: time.Duration(1+w.rng.IntN(2000)) * time.Millisecond,
	}
	history := RandomHistory(w.rng, records)
	for _, q := range history {
		gap := int64(0)
		if w.rng.IntN(10) == 0 {
			gap = 1 + int64(w.rng.IntN(2))
		}
		w.World.Append(gap, q)
	}
	w.Owners[0] = NewOwner(w.World, 0, w.config)
	return w
}

// Run walks, and then lets the owner finish without faults. It returns what was breached.
func (w *Walk) Run(steps int) []string {
	for range steps {
		w.step()
		if len(w.World.Breaches) > 0 {
			return w.World.Breaches
		}
	}
	w.finish()
	return w.World.Breaches
}

func (w *Walk) step() {
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
	default:
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
	w.trace("owner %d: %s (fault %d), progress %d, journal %d", o.Number, text, fault, w.World.Store.Progress().Offset, len(w.World.Journal))
}

func (w *Walk) fault(k partition.Kind) Fault {
	take := func(n *int) bool {
		if *n > 0 && w.rng.IntN(12) == 0 {
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
	s := w.World.Store
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
		w.saved = append(w.saved, s.Save())
	case 5:
		if len(w.saved) > 0 && take(&w.left.Rewind) {
			s.Rewind(w.saved[w.rng.IntN(len(w.saved))])
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

// finish: no more faults, one owner.
func (w *Walk) finish() {
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
	start := w.World.Start
	if w.World.Covered(start) && (w.World.Committed.Offset >= start || w.World.Store.Progress().Offset >= start-1) {
		w.World.breach("stops although nothing was lost: %s", o.StoppedFor())
	}
}

func (w *Walk) trace(format string, args ...any) {
	w.Trace = append(w.Trace, fmt.Sprintf(format, args...))
}

// RandomHistory is a log of few coupons and few people, so that everything meets: limits up and down, days, openings and
// closings, retirement, redefinition, records that are refused, clocks that go back.
func RandomHistory(rng *rand.Rand, records int) []partition.Request {
	const hour = fcfs.Millis(3600_000)
	t := fcfs.Millis(1_800_000_000_000)
	coupons := []string{"a", "b", "c"}
	var log []partition.Request
	for range records {
		t += fcfs.Millis(rng.Int64N(int64(hour)))
		switch rng.IntN(25) {
		case 0:
			t += 20 * hour
		case 1:
			t -= 5 * hour
		}
		id := coupons[rng.IntN(len(coupons))]
		switch n := rng.IntN(20); {
		case n < 4 || len(log) < 2:
			log = append(log, Define(t, randomDefinition(rng, id, t)))
		case n == 4 && rng.IntN(2) == 0:
			log = append(log, RefuseNewer(t))
		case n == 4:
			log = append(log, Refuse(t, 1+rng.Int64N(3)))
		default:
			log = append(log, Claim(t, id, people[rng.IntN(len(people))]))
		}
	}
	return log
}

// people have ids with everything in them that separates something somewhere.
var people = []string{"u0", "u1", "2:3", `4 "x"`, `5\\`, "여섯|+{}"}

func randomDefinition(rng *rand.Rand, id string, t fcfs.Millis) fcfs.Definition {
	const hour = fcfs.Millis(3600_000)
	d := fcfs.Definition{CouponID: id, Limit: 1 + rng.Int64N(4), Window: fcfs.WindowNone, TimeZone: "UTC", Rules: 1}
	if id == "b" || rng.IntN(6) == 0 {
		d.Window = fcfs.WindowDaily
	}
	if rng.IntN(4) == 0 {
		d.TimeZone = "Asia/Seoul"
	}
	if rng.IntN(3) == 0 {
		d.OpensAt = t + fcfs.Millis(rng.Int64N(int64(3*hour)))
	}
	if rng.IntN(3) == 0 {
		d.ClosesAt = max(t, d.OpensAt) + fcfs.Millis(rng.Int64N(int64(60*hour))) - 36*hour
		if d.ClosesAt <= d.OpensAt {
			d.ClosesAt = d.OpensAt + hour
		}
	}
	return d
}
