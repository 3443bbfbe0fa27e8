package simulation

import (
	"cmp"
	"fmt"
	"slices"
	"testing/synctest"

	"github.com/firstcome/firstcome/services/issuer/partition/partitiontest"
)

// patience is how many seconds a healthy system may need until all is done; secondThoughts is how many a partition that
// stopped has to read everything again, a few times, since what was late has landed; and once more after a repair.
const (
	patience       = 200
	secondThoughts = 20
)

// finish lets nothing go wrong any more: everybody is healthy, what was late has landed or never will. Then all has to be
// done, soon; or a partition says openly what was lost.
func (w *World) finish() {
	w.say("nothing goes wrong any more")
	w.faulty, w.refuses, w.mute = false, refusals{}, mute{}
	for len(w.late) > 0 && !w.broken() {
		w.landLate()
	}
	for _, p := range w.processes {
		if !p.alive {
			p.start()
		}
		if p.paused {
			p.wake()
		}
	}
	for tick := 0; !w.broken(); tick++ {
		w.settle()
		for _, p := range w.processes {
			w.learn(p)
		}
		w.drain()
		undone := w.undone()
		if undone == "" && (tick >= 2*secondThoughts || !w.stopped()) {
			return
		}
		if tick == secondThoughts {
			w.repair()
		}
		if tick == patience {
			w.breach("after %d s without faults: %s", patience, undone)
			return
		}
		w.tick()
	}
}

// drain works until everybody waits for time to pass.
func (w *World) drain() {
	for range 20_000 {
		if !w.work() || w.broken() {
			return
		}
		synctest.Wait()
	}
	w.breach("they work and work, and never wait")
}

// repair is what an operator can do for a partition that stopped: restore the best backup of Redis, if one is good enough.
func (w *World) repair() {
	for _, p := range w.places {
		if p.stoppedFor() == "" || len(p.saved) == 0 {
			continue
		}
		best := slices.MaxFunc(p.saved, func(a, b partitiontest.Saved) int { return cmp.Compare(a.Progress.Offset, b.Progress.Offset) })
		if best.Progress.Offset >= p.requests.start-1 && best.Progress.Offset > p.model.Store.Progress().Offset {
			w.say("an operator restores a backup of Redis: partition %d to %d", p.number, best.Progress.Offset)
			p.model.Store.Rewind(best)
		}
	}
}

func (w *World) stopped() bool {
	return slices.ContainsFunc(w.places, func(p *place) bool { return p.stoppedFor() != "" })
}

// undone says what is not done yet; empty when all is, or will never be.
func (w *World) undone() string {
	for _, p := range w.places {
		if u := p.undone(); u != "" {
			return fmt.Sprintf("partition %d: %s", p.number, u)
		}
	}
	return ""
}

func (p *place) undone() string {
	if u := p.unconsumed(); u != "" {
		return u
	}
	if p.stoppedFor() != "" {
		return ""
	}
	store, end := p.model.Store, p.requests.end
	switch c := p.w.requests.offsets[p.number]; {
	case end == 0:
		return ""
	case store.Progress().Offset != end-1:
		return fmt.Sprintf("progress is %d, the log ends at %d: %s", store.Progress().Offset, end, p.status())
	case len(store.Outbox()) > 0:
		return "the outbox is not empty: " + p.status()
	case !p.model.Covered(end):
		return "the journal lacks facts: " + p.status()
	case c.Offset.Offset != end:
		return fmt.Sprintf("the issuers' group has committed %d of %d: %s", c.Offset.Offset, end, p.status())
	}
	return ""
}

// unconsumed says what of the journal has not come to its consumers.
func (p *place) unconsumed() string {
	end := p.journal.end
	if end == 0 {
		return ""
	}
	for _, g := range []*group{p.w.ledgers, p.w.downstreams} {
		if c := g.offsets[p.number]; c.Offset.Offset != end {
			return fmt.Sprintf("the %ss' group has committed %d of %d in the journal", g.name, c.Offset.Offset, end)
		}
	}
	// Duplicates alone do not move the row.
	if row := p.w.postgres.row(p.number); p.below(row.Next) != p.below(end) {
		return fmt.Sprintf("Postgres has the journal up to %d, and it ends at %d", row.Next, end)
	}
	return ""
}

// owner is whose partition it is.
func (p *place) owner() *owner {
	g := p.w.requests
	if g.owner[p.number] == nobody {
		return nil
	}
	for _, o := range g.members[g.owner[p.number]].role.(*issuing).owners {
		if o.partition == p.number && o.generation == g.generation[p.number] {
			return o
		}
	}
	return nil
}

func (p *place) status() string {
	if o := p.owner(); o != nil {
		return fmt.Sprintf("%+v", o.machine.Status())
	}
	return "nobody owns it"
}

// stoppedFor is what a partition has stopped for; empty if it has not.
func (p *place) stoppedFor() string {
	if o := p.owner(); o != nil {
		return o.machine.Status().Stopped
	}
	return ""
}
