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
		if below := place.factsBelow(c.Offset.Offset); below > place.delivery.most {
			w.breach("offset %d of the journal of partition %d is committed, with %d facts below, and %d were handled", c.Offset.Offset, p, below, place.delivery.most)
		}
	case w.ledgers:
		if row := w.postgres.most[p]; place.factsBelow(c.Offset.Offset) > place.factsBelow(row) {
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
		p.judgeAnswers(granted)
		if facts := p.factsBelow(p.journal.end); p.delivery.most != facts {
			w.breach("%d facts of partition %d were handled downstream, the journal has %d", p.delivery.most, p.number, facts)
		}
	}
}

// justify: a partition may only stop where something was truly lost: where the log begins beyond a fact that is not in the
// journal, or beyond what was committed and what Redis has.
func (p *place) justify() {
	start := p.requests.start
	if p.model.Covered(start) && (p.model.Committed.Offset >= start || p.model.Store.Progress().Offset >= start-1) {
		p.w.breach("partition %d stops although nothing was lost: %s", p.number, p.stoppedFor())
	}
}

// journaled is the grants of the journal as a consumer sees them that drops what is not above the highest source.
func (p *place) journaled() (grants []grant) {
	highest := int64(-1)
	for _, r := range p.journal.records {
		e, err := event.Decode(r)
		s, ok := event.SourceOf(r)
		if err != nil || !ok {
			p.w.breach("the journal of partition %d holds at %d what cannot be read: %v", p.number, r.Offset, err)
			continue
		}
		if s.Offset <= highest {
			continue
		}
		highest = s.Offset
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

// promises holds what was promised against the journal alone, whatever any oracle says: never more than the limit (G1),
// nobody twice (G2), sequences and sources that only grow (G3).
func (p *place) promises(granted []grant) {
	given, holders, last := map[sum]int64{}, map[person]bool{}, int64(-1)
	for _, g := range granted {
		window, who := sum{g.coupon, g.window}, person{g.coupon, g.window, g.user}
		given[window]++
		a := p.asked[g.offset]
		switch {
		case g.sequence > g.limit:
			p.w.breach("partition %d: more than the limit: %v", p.number, g)
		case g.sequence != given[window]:
			p.w.breach("partition %d: number %d of its window: %v", p.number, given[window], g)
		case holders[who]:
			p.w.breach("partition %d: nobody gets it twice: %v", p.number, g)
		case g.offset <= last:
			p.w.breach("partition %d: not in the order of the log: %v after %d", p.number, g, last)
		case a == nil || a.coupon != g.coupon || a.user != g.user:
			p.w.breach("partition %d: nobody asked for it: %v", p.number, g)
		}
		holders[who], last = true, g.offset
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

// judgePostgres: the rows are the journal's facts, each once, and the sums are theirs.
func (p *place) judgePostgres(granted []grant) {
	t, rows, sums := p.w.postgres.now, 0, map[sum]int64{}
	for _, g := range granted {
		row, ok := t.grants[event.Source{Partition: p.number, Offset: g.offset}]
		if has := (grant{row.Source.Offset, row.CouponID, row.Window, row.UserID, row.Sequence, row.Limit}); !ok || has != g {
			p.w.breach("partition %d: Postgres lacks that %v", p.number, g)
		}
		sums[sum{g.coupon, g.window}]++
	}
	for s := range t.grants {
		if s.Partition == p.number {
			rows++
		}
	}
	if rows != len(granted) {
		p.w.breach("partition %d: Postgres has %d grants, the journal %d", p.number, rows, len(granted))
	}
	for s, n := range sums {
		if t.sums[s] != n {
			p.w.breach("partition %d: Postgres counts %d of %s %s, the journal %d", p.number, t.sums[s], s.coupon, s.window, n)
		}
	}
	p.judgeDefinitions()
}

func (p *place) judgeDefinitions() {
	have, want := 0, 0
	for s := range p.w.postgres.now.definitions {
		if s.Partition == p.number {
			have++
		}
	}
	below := p.factsBelow(p.journal.end)
	for _, f := range p.model.Facts()[:below] {
		if d := f.Defined; d != nil {
			want++
			row, ok := p.w.postgres.now.definitions[event.Source(f.Source)]
			if !ok || row.CouponID != d.CouponID || row.Limit != d.Limit || fcfs.FromTime(row.ClosesAt) != d.ClosesAt {
				p.w.breach("partition %d: Postgres lacks the definition of offset %d", p.number, f.Source.Offset)
			}
		}
	}
	if have != want {
		p.w.breach("partition %d: Postgres has %d definitions, the journal %d", p.number, have, want)
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
