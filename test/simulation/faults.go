package simulation

import (
	"math/rand/v2"

	"github.com/firstcome/firstcome/internal/fcfs"
)

// rates say how often calls fail, in thousandths, and what else may happen in a run. In each run only some of it may: where
// everything goes wrong all the time, nothing gets far enough to be interesting.
type rates struct {
	fail, crash, late int
	disasters         int // of a thousand turns
	kinds             []int
}

// disasters are what no call can help, by name, with how likely each is.
var disasters = []struct {
	name   string
	weight int
	happen func(w *World)
}{
	{"crash", 3, (*World).crashOne},
	{"pause", 3, (*World).pauseOne},
	{"hand over", 4, (*World).handOver},
	{"stop in order", 1, (*World).stopOne},
	{"empty Redis", 2, (*World).emptyRedis},
	{"rewind Redis", 4, (*World).rewindRedis},
	{"restore Postgres", 3, (*World).restorePostgres},
	{"restart a gateway", 2, (*World).restartGateway},
	{"late", 8, (*World).landLate},
	{"refuse", 2, (*World).refuse},
	{"clock", 2, (*World).stepClockBack},
	{"truncate", 8, (*World).truncate},
	{"truncate more", 2, (*World).truncateMore},
}

func randomRates(r *rand.Rand) rates {
	some := func(most int) int {
		if r.IntN(3) == 0 {
			return 0
		}
		return r.IntN(most + 1)
	}
	x := rates{fail: some(40), crash: some(10), late: some(60), disasters: some(80)}
	for at, d := range disasters {
		if r.IntN(2) == 0 || d.name == "truncate more" && r.IntN(2) > 0 {
			continue
		}
		for range d.weight {
			x.kinds = append(x.kinds, at)
		}
	}
	return x
}

func (w *World) disaster() {
	w.backUp()
	if kinds := w.config.rates.kinds; len(kinds) > 0 {
		disasters[kinds[w.rng.IntN(len(kinds))]].happen(w)
	}
}

// one chooses a process; nil where none fits.
func (w *World) one(fits func(*process) bool) *process {
	var all []*process
	for _, p := range w.processes {
		if fits(p) {
			all = append(all, p)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all[w.rng.IntN(len(all))]
}

func (w *World) crashOne() {
	if p := w.one(func(p *process) bool { return p.alive }); p != nil {
		w.say("%s is killed", p.name)
		p.crash()
	}
}

// pauseOne stops a process for a while, and the group gives its partitions to others.
func (w *World) pauseOne() {
	p := w.one(func(p *process) bool { return p.alive && !p.paused })
	if p == nil {
		return
	}
	w.say("%s is paused", p.name)
	w.saw("pause: " + p.group.name)
	p.paused = true
	if w.chance(4) {
		return // shorter than the session time-out
	}
	p.group.leave(p.member)
}

// handOver gives a partition to another, who has learned nothing of it when the new one begins.
func (w *World) handOver() {
	g := w.groups()[w.rng.IntN(len(w.groups()))]
	p := int32(w.rng.IntN(len(g.owner)))
	if to := w.one(func(m *process) bool { return m.group == g && m.alive && !m.paused && m.member != g.owner[p] }); to != nil {
		w.saw("hand-over: " + g.name)
		g.give(p, to.member)
	}
}

// stopOne lets a process end in order: what it has decided it gets into the journal.
func (w *World) stopOne() {
	p := w.one(func(p *process) bool { return p.alive && !p.paused })
	if p == nil {
		return
	}
	w.say("%s stops in order, and starts again", p.name)
	w.saw("stop in order: " + p.group.name)
	for _, place := range w.places {
		p.role.disown(place.number)
	}
	p.group.leave(p.member)
}

// backUp saves states that Redis and Postgres may be set back to.
func (w *World) backUp() {
	for _, p := range w.places {
		if w.chance(3) {
			p.saved = append(p.saved, p.model.Store.Save())
		}
	}
	if w.chance(4) {
		w.postgres.backUp()
	}
}

func (w *World) restorePostgres() {
	w.postgres.restore(w.rng.IntN(1 << 10))
	w.say("Postgres is restored from a backup, which has %d grants", len(w.postgres.Grants()))
	w.saw("Postgres restored")
}

func (w *World) restartGateway() {
	g := w.gateways[w.rng.IntN(len(w.gateways))]
	w.say("%s is killed, and starts again", g.name)
	w.saw("crash: gateway")
	g.start()
}

// emptyRedis empties it for one partition or, as mostly, for all.
func (w *World) emptyRedis() {
	w.say("Redis is emptied")
	w.saw("Redis emptied")
	w.somewhere(func(p *place) {
		p.disturbed()
		p.model.Store.Empty()
	})
}

func (w *World) rewindRedis() {
	w.somewhere(func(p *place) {
		if len(p.saved) > 0 {
			p.disturbed()
			p.model.Store.Rewind(p.saved[w.rng.IntN(len(p.saved))])
			w.say("Redis is rewound: partition %d to %d", p.number, p.model.Store.Progress().Offset)
			w.saw("Redis rewound")
		}
	})
}

// somewhere does something to one partition or to all.
func (w *World) somewhere(do func(*place)) {
	if w.chance(3) {
		do(w.places[w.rng.IntN(len(w.places))])
		return
	}
	for _, p := range w.places {
		do(p)
	}
}

func (w *World) landLate() {
	if len(w.late) == 0 {
		return
	}
	at := w.rng.IntN(len(w.late))
	d := w.late[at]
	w.late = append(w.late[:at:at], w.late[at+1:]...)
	switch n := w.rng.IntN(6); {
	case n == 0:
		w.say("%s: %v: never takes effect", d.of, d.call.what)
	case n < 3 && d.call.part != nil:
		w.say("%s: %v: some of it takes effect late", d.of, d.call.what)
		d.call.part(w.rng.IntN(1 << 10))
	default:
		w.say("%s: %v: takes effect late", d.of, d.call.what)
		d.call.take()
	}
	w.saw("late: " + d.call.kind)
}

func (w *World) refuse() {
	until := w.now() + 1 + w.rng.IntN(8)
	if w.chance(2) {
		w.refuses.journal = until
		w.say("the journal refuses what is appended, for a while")
	} else {
		w.refuses.letters = until
		w.say("the dead letters' topic refuses what is appended, for a while")
	}
}

func (w *World) stepClockBack() {
	most := 5 * hour
	if w.chance(3) {
		most = 60 * hour // beyond what a day or a coupon is retired after
	}
	w.clock -= fcfs.Millis(w.rng.Int64N(int64(most)))
	w.say("the broker's clock steps back to %s", w.clock.Time().Format("2006-01-02T15:04"))
	w.saw("clock stepped back")
}

// truncate drops what was committed, as retention does if somebody looks after it.
func (w *World) truncate() {
	p := w.places[w.rng.IntN(len(w.places))]
	w.retain(p, w.requests.offsets[p.number].Offset.Offset-int64(w.rng.IntN(2)))
}

// truncateMore drops what nobody may have looked at.
func (w *World) truncateMore() {
	p := w.places[w.rng.IntN(len(w.places))]
	w.retain(p, p.requests.start+w.rng.Int64N(8))
}

func (w *World) retain(p *place, start int64) {
	before := p.requests.start
	p.requests.drop(start)
	p.model.Drop(start)
	if p.requests.start > before {
		w.say("retention drops the requests of partition %d below %d", p.number, p.requests.start)
		w.saw("truncated")
	}
}

// disturbed notes what happens to Redis in the middle of a rebuild.
func (p *place) disturbed() {
	if p.rebuilding {
		p.w.saw("rebuild interrupted")
		p.rebuilding = false
	}
}
