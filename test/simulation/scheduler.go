package simulation

import (
	"cmp"
	"slices"
	"testing/synctest"
	"time"
)

// step is one turn of the scheduler: everything that it chooses follows from the seed. A tame one lets no fault happen.
type step struct {
	seed uint64
	tame bool
}

// item is something that can be done next.
type item struct {
	process   *process
	partition int32
	kind      string
	call      *call  // to be performed
	run       func() // or this
}

// weight orders items for a turn by what they are, not by where they stand among others: so a turn still does the same in a
// run that was shortened, if that still waits to be done.
func (it *item) weight(turn uint64) uint64 {
	const prime = 1099511628211 // FNV-1a
	h := turn ^ uint64(it.process.number)<<32 ^ uint64(it.partition)<<16
	for i := range len(it.kind) {
		h = (h ^ uint64(it.kind[i])) * prime
	}
	h ^= h >> 29
	h *= 0xbf58476d1ce4e5b9 // splitmix64
	return h ^ h>>32
}

// turn does one thing: mostly what some process waits for, sometimes what people, time or misfortune do.
func (w *World) turn(s step) {
	w.source.Seed(s.seed, 1)
	w.faulty = !s.tame
	switch n := w.rng.IntN(1000); {
	case n < 25:
		for range 1 + w.rng.IntN(5) {
			w.append()
		}
	case n < 75:
		w.tick()
	case n < 115:
		w.life()
	case n < 165:
		w.ask()
	case n < 165+w.config.rates.disasters:
		if w.faulty {
			w.disaster()
		}
	default:
		w.work()
	}
	synctest.Wait()
}

// tick lets a second pass for the processes. Never less: production code waits with jitter, of which a whole second sees
// nothing.
func (w *World) tick() {
	w.ticks.Add(1)
	time.Sleep(time.Second)
	synctest.Wait()
	for _, p := range w.processes {
		if p.alive && !p.paused {
			p.role.tick()
		}
	}
}

// work does one thing that some process waits for; false if there is none.
func (w *World) work() bool {
	items := w.items()
	if len(items) == 0 {
		return false
	}
	turn := w.rng.Uint64()
	it := slices.MaxFunc(items, func(a, b item) int { return cmp.Compare(a.weight(turn), b.weight(turn)) })
	if it.run != nil {
		it.run()
		return true
	}
	c := it.call
	it.process.withdraw(c)
	if c.stale != nil && c.stale() && w.chance(2) {
		w.say("%s: %v: given up", it.process.name, c.what)
		c.answer(errEnded)
		return true
	}
	w.perform(it.process, c, w.fate(c))
	return true
}

// items is everything that the healthy processes wait for.
func (w *World) items() []item {
	w.ready = w.ready[:0]
	for _, p := range w.processes {
		if !p.alive || p.paused || w.mute.processes(p.group.name) {
			continue
		}
		p.mu.Lock()
		for _, c := range p.calls {
			if !w.mute.partition(c.partition) && (c.ready == nil || c.ready()) {
				w.ready = append(w.ready, item{process: p, partition: c.partition, kind: c.kind, call: c})
			}
		}
		p.mu.Unlock()
		p.role.items(func(it item) {
			if it.process = p; !w.mute.partition(it.partition) {
				w.ready = append(w.ready, it)
			}
		})
	}
	return w.ready
}

// fate says what becomes of a call.
func (w *World) fate(c *call) fate {
	r := w.config.rates
	if !w.faulty {
		return succeeds
	}
	switch n := w.rng.IntN(1000); {
	case n < r.fail:
		return failsBefore + fate(w.rng.IntN(2))
	case n < r.fail+r.crash:
		return crashesBefore + fate(w.rng.IntN(2))
	case c.writes && n < r.fail+r.crash+r.late:
		return landsLate
	case c.part != nil && n < r.fail+r.crash+2*r.late:
		return landsInPart
	}
	return succeeds
}

// life is what repairs itself, sooner or later: processes that ended start again, the group notices who is gone, a paused
// process goes on, and learns what it has lost.
func (w *World) life() {
	for _, p := range w.processes {
		switch {
		case !p.alive && w.chance(2):
			p.start()
		case p.paused && w.chance(6):
			p.wake()
		case p.alive && !p.paused && w.chance(3):
			w.learn(p)
		}
	}
	if w.chance(2) {
		w.settle()
	}
}

// learn tells a process which partitions are not its own any more.
func (w *World) learn(p *process) {
	for _, place := range w.places {
		if p.role.stale(place.number) {
			w.say("%s learns that partition %d is not its own any more", p.name, place.number)
			p.role.disown(place.number)
		}
	}
}

func (p *process) wake() {
	p.paused = false
	p.w.say("%s goes on after a pause", p.name)
}
