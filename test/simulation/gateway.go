package simulation

import (
	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/internal/redislayout"
	"github.com/firstcome/firstcome/services/gateway/verdict"
	"github.com/firstcome/firstcome/services/gateway/verdict/verdicttest"
)

// gateway tells people what the log decided: from one atomic reading of Redis, whatever that holds at the moment, and from
// the highest progress that it has heard of.
type gateway struct {
	w     *World
	name  string
	heard []int64
}

func newGateway(w *World, name string) *gateway {
	g := &gateway{w: w, name: name, heard: make([]int64, len(w.places))}
	g.start()
	return g
}

// start counts the end of each partition as heard: everything in the log may have been told by others.
func (g *gateway) start() {
	for i, p := range g.w.places {
		g.heard[i] = p.requests.end - 1
	}
}

func (g *gateway) hear(p *place, progress int64) {
	g.heard[p.number] = max(g.heard[p.number], progress)
}

// told is a message of the outcomes channel; some of them get lost.
func (w *World) told(p *place, o redislayout.Outcomes) {
	for _, g := range w.gateways {
		if !w.chance(4) {
			g.hear(p, o.Last)
		}
	}
}

// ask lets somebody ask a gateway about a record of theirs.
func (w *World) ask() {
	p := w.places[w.rng.IntN(len(w.places))]
	if len(p.order) == 0 || w.mute.partition(p.number) || w.mute.processes("gateway") {
		return
	}
	a, g := p.order[w.rng.IntN(len(p.order))], w.gateways[w.rng.IntN(len(w.gateways))]
	if a.refused == "" && w.chance(2) { // mostly people ask soon
		a = p.order[max(0, len(p.order)-1-w.rng.IntN(4))]
	}
	if a.refused == "" {
		g.answer(p, a)
	}
}

// answer is what the person is told, and looks at it: it must be what the log leads to, and what was told before.
func (g *gateway) answer(p *place, a *asked) verdict.Verdict {
	w := g.w
	t := verdict.Ticket{Partition: p.number, Offset: a.offset, AppendTime: a.time, CouponID: a.coupon, UserID: a.user}
	if g.heard[p.number] < 0 { // as partitions.Heard does
		g.heard[p.number] = p.requests.end - 1
	}
	heard := g.heard[p.number]
	r := verdicttest.Reading(p.model.Store.State(), t)
	r.Progress = p.model.Store.Progress()
	g.hear(p, r.Progress.Offset)
	var v verdict.Verdict
	if a.definition != nil {
		v.Outcome, v.Position = verdict.JudgeDefinition(*a.definition, a.offset, r, heard), 1
	} else {
		v = verdict.Judge(t, r, heard)
	}
	w.say("%s tells about offset %d of partition %d: %v %s", g.name, a.offset, p.number, v.Outcome, sequenceOf(v))
	w.saw("told: " + v.Outcome.String())
	p.compare(a, v)
	return v
}

func sequenceOf(v verdict.Verdict) string {
	if v.Entry == nil {
		return ""
	}
	return redislayout.Entry(*v.Entry).String()
}

func (p *place) compare(a *asked, v verdict.Verdict) {
	outcome, sequence := p.model.Outcome(a.offset)
	wrong := func(why string) {
		p.w.breach("offset %d of partition %d is told %v %s: %s", a.offset, p.number, v.Outcome, sequenceOf(v), why)
	}
	switch {
	case v.Outcome == fcfs.None:
		if v.Position < 1 {
			wrong("it is pending, and nobody is in front")
		}
		return
	case v.Outcome == fcfs.Retired && outcome != fcfs.Retired:
		if !p.retired(a) {
			wrong("its window is not retired")
		}
		return
	case v.Outcome != outcome:
		wrong("the log says " + outcome.String())
	case v.Outcome == fcfs.Granted && (v.Entry.Sequence != sequence || v.Entry.Offset != a.offset):
		wrong("the log gives it another place")
	case v.Outcome == fcfs.AlreadyIssued:
		if at, _ := p.model.Outcome(v.Entry.Offset); at != fcfs.Granted || p.asked[v.Entry.Offset].user != a.user {
			wrong("that is not a grant of theirs")
		}
	}
	before, told := p.answers[a.offset]
	if told && (before.Outcome != v.Outcome || sequenceOf(before) != sequenceOf(v)) {
		wrong("they were told " + before.Outcome.String() + " before")
	}
	if !told {
		p.answers[a.offset] = v
	}
}

// retired tells, in words of its own, whether the people of a claim's window were dropped by now, or its coupon is over.
func (p *place) retired(a *asked) bool {
	c, now := p.model.Store.State().Coupon(a.coupon), p.model.Store.Progress().LogTime
	if c == nil {
		return false
	}
	if closes := c.Current().ClosesAt; closes != 0 && now >= closes+aDay {
		return true
	}
	d, _ := c.InForce(a.offset)
	_, tomorrow := dayOf(a.time, d.TimeZone)
	return a.definition == nil && d.Window == fcfs.WindowDaily && now >= tomorrow+aDay
}
