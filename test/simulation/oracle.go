package simulation

import (
	"slices"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/issuer/partition/partitiontest"
)

// committed looks at each commit the moment that it is made.
func (w *World) committed(g *group, p int32) {
	place, c := w.places[p], g.offsets[p]
	switch g {
	case w.requests:
		place.model.Committed.Offset = c.Offset.Offset
		if !place.model.Covered(c.Offset.Offset) {
			w.breach("offset %d of partition %d is committed, and the journal lacks a fact below", c.Offset.Offset, p)
		}
	case w.downstreams:
		if below := place.below(c.Offset.Offset); below > place.delivery.most {
			w.breach("offset %d of the journal of partition %d is committed, with %d records below, and %d were handled", c.Offset.Offset, p, below, place.delivery.most)
		}
	case w.ledgers:
		if row := w.postgres.most[p]; place.below(c.Offset.Offset) > place.below(row) {
			w.breach("offset %d of the journal of partition %d is committed, and Postgres never had more than %d", c.Offset.Offset, p, row)
		}
	}
}

// judge compares everything with everything, when all is done.
func (w *World) judge() {
	for _, p := range w.places {
		if p.stoppedFor() != "" {
			p.justify()
		}
		granted := p.journaled()
		p.promises(granted)
		p.judgeGrants(granted)
		p.judgeRedis()
		p.judgeLetters()
		p.judgePostgres(granted)
		p.everybodyAsks()
		p.judgeAnswers(granted)
		if has := p.below(p.journal.end); p.delivery.most != has {
			w.breach("%d records of the journal of partition %d were handled downstream, and it has %d", p.delivery.most, p.number, has)
		}
	}
}

// justify: a partition may only stop where something was truly lost.
func (p *place) justify() {
	if p.model.Whole(p.model.Store.Progress().Offset) {
		p.w.breach("partition %d stops although nothing was lost: %s", p.number, p.stoppedFor())
	}
}

// unique is the journal as a consumer sees it that drops what is not above the highest source.
func (p *place) unique() (records []event.Record) {
	highest := int64(-1)
	for _, r := range p.journal.records {
		s, ok := event.SourceOf(r)
		if !ok {
			p.w.breach("the journal of partition %d holds at %d what has no source", p.number, r.Offset)
		}
		if s.Offset > highest {
			highest = s.Offset
			records = append(records, r)
		}
	}
	return records
}

// journaled is the grants of the journal.
func (p *place) journaled() (grants []grant) {
	for _, r := range p.unique() {
		e, err := event.Decode(r)
		if err != nil && e.Type != newerType {
			p.w.breach("the journal of partition %d holds at %d what cannot be read: %v", p.number, r.Offset, err)
		}
		if g, ok := e.Data.(event.CouponGranted); ok {
			grants = append(grants, grant{g.Source.Offset, g.CouponID, g.Window, g.UserID, g.Sequence, g.Limit})
		}
	}
	return grants
}

// decided is the records that were decided: all, or of a partition that stopped those up to where the journal ends.
func (p *place) decided(granted []grant) []*asked {
	if p.stoppedFor() == "" {
		return p.order
	}
	last := int64(-1)
	if n := len(granted); n > 0 {
		last = granted[n-1].offset
	}
	return slices.DeleteFunc(slices.Clone(p.order), func(a *asked) bool { return a.offset > last })
}

// judgeGrants: the journal has exactly the grants that the log leads to (G1, G3).
func (p *place) judgeGrants(granted []grant) {
	want := expected(p.decided(granted))
	for i := range max(len(want), len(granted)) {
		switch {
		case i >= len(granted):
			p.w.breach("partition %d: the journal lacks that %v", p.number, want[i])
		case i >= len(want):
			p.w.breach("partition %d: the journal has, and must not, that %v", p.number, granted[i])
		case want[i] != granted[i]:
			p.w.breach("partition %d: the journal has that %v, and should have that %v", p.number, granted[i], want[i])
		default:
			continue
		}
		return
	}
}

// promises holds what was promised against the journal alone, whatever any oracle says: only who asked for it, nobody twice
// (G2), and in the order of the log the numbers 1, 2, 3 (G3).
func (p *place) promises(granted []grant) {
	given, holders := map[[2]string]int64{}, map[[3]string]bool{}
	for _, g := range granted {
		window, who := [2]string{g.coupon, g.window}, [3]string{g.coupon, g.window, g.user}
		given[window]++
		a := p.asked[g.offset]
		for _, promise := range []struct {
			broken bool
			text   string
		}{
			{g.sequence != given[window], "not the next number of its window"},
			{holders[who], "somebody gets it twice"},
			{a == nil || a.coupon != g.coupon || a.user != g.user, "nobody asked for it"},
		} {
			if promise.broken {
				p.w.breach("partition %d: %s: %v", p.number, promise.text, g)
			}
		}
		holders[who] = true
	}
}

// judgeRedis: what it holds is what the log up to progress leads to.
func (p *place) judgeRedis() {
	store := p.model.Store
	if diff := partitiontest.Diff(store.State(), p.model.UpTo(store.Progress().Offset)); diff != "" {
		p.w.breach("partition %d: Redis is not what the log leads to: %s", p.number, diff)
	}
}

// judgeLetters: every record that nobody can take is among the dead letters, and no other.
func (p *place) judgeLetters() {
	for _, a := range p.order {
		buried := p.model.Letters[a.offset]
		if a.refused != "" && buried == 0 && a.last <= p.model.Store.Progress().Offset {
			p.w.breach("partition %d: the record at %d is not among the dead letters", p.number, a.offset)
		}
		if a.refused == "" && buried > 0 {
			p.w.breach("partition %d: the record at %d is among the dead letters, and is a good one", p.number, a.offset)
		}
	}
}

// judgePostgres: it has what the journal has, each once.
func (p *place) judgePostgres(granted []grant) {
	var rows []grant
	for _, r := range p.w.postgres.Grants() { // by source, as the journal is
		if r.Source.Partition == p.number {
			rows = append(rows, grant{r.Source.Offset, r.CouponID, r.Window, r.UserID, r.Sequence, r.Limit})
		}
	}
	if !slices.Equal(rows, granted) {
		p.w.breach("partition %d: Postgres has the grants %v, the journal %v", p.number, rows, granted)
	}
	var defined, want []event.CouponDefined
	for _, r := range p.w.postgres.Definitions() {
		if r.Source.Partition == p.number {
			r.Source = nil
			defined = append(defined, r)
		}
	}
	for _, r := range p.unique() {
		if e, _ := event.Decode(r); e.Type == event.TypeCouponDefined {
			d := e.Data.(event.CouponDefined)
			d.Source = nil
			want = append(want, d)
		}
	}
	if !slices.Equal(defined, want) {
		p.w.breach("partition %d: Postgres has the definitions %v, the journal %v", p.number, defined, want)
	}
}

// everybodyAsks once more, and nobody is left without an answer (G4).
func (p *place) everybodyAsks() {
	if p.stoppedFor() != "" {
		return
	}
	for _, a := range p.order {
		if a.refused == "" && p.w.gateways[0].answer(p, a).Outcome == fcfs.None {
			p.w.breach("partition %d: offset %d is decided, and told to be pending", p.number, a.offset)
		}
	}
}

// judgeAnswers: who was told granted has it, in the journal and in Postgres, with that sequence; who was told anything else
// was not granted it by that claim (G5). What was lost with the requests log is lost: then the partition has stopped.
func (p *place) judgeAnswers(granted []grant) {
	has := map[int64]grant{}
	for _, g := range granted {
		has[g.offset] = g
	}
	for _, a := range p.order {
		v, told := p.answers[a.offset]
		if !told {
			continue
		}
		g, ok := has[a.offset]
		switch {
		case v.Outcome == fcfs.Granted && !ok && p.stoppedFor() != "":
		case v.Outcome == fcfs.Granted && (!ok || g.sequence != v.Entry.Sequence):
			p.w.breach("partition %d: offset %d was told granted %d, and is not", p.number, a.offset, v.Entry.Sequence)
		case v.Outcome != fcfs.Granted && ok:
			p.w.breach("partition %d: offset %d was told %v, and is granted", p.number, a.offset, v.Outcome)
		}
	}
}
