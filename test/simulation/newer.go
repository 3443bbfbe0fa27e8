package simulation

import (
	"cmp"
	"slices"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/pkg/event"
)

// newerType is what only a later version of the programs knows.
const newerType = "firstcome.claim.withdrawn"

// newer plays an issuer of a later version that decides beside the others: it writes into the journal what came of a request
// that is a dead letter to them. Its records are in order too: nothing above is in the journal yet, and nothing below is
// missing.
func (p *place) newer() {
	if !p.w.config.newer || p.w.chance(4) {
		return
	}
	highest := int64(-1)
	if n := len(p.sources); n > 0 {
		highest = p.sources[n-1]
	}
	from, _ := slices.BinarySearchFunc(p.order, highest+1, func(a *asked, offset int64) int { return cmp.Compare(a.offset, offset) })
	for _, a := range p.order[from:] {
		if a.last > p.model.Store.Progress().Offset || !p.model.Covered(a.offset) {
			return
		}
		if a.kind == newerType {
			p.land(a)
			return
		}
	}
}

func (p *place) land(a *asked) {
	source := fcfs.Source{Partition: p.number, Offset: a.offset}
	logTime := p.model.UpTo(a.offset).LogTime().Time()
	m, err := event.CouponDefined{ // a record of the journal, of which the type is then another
		CouponID: p.coupons[0], Limit: 1, Window: event.WindowNone, TimeZone: "UTC",
		RequestedAt: a.time.Time(), LogTime: logTime, Source: (*event.Source)(&source),
	}.Message(event.Meta{ID: fcfs.GrantID(p.requests.name, source), Source: event.JournalSource(p.requests.name, p.number)})
	if err != nil {
		panic(err)
	}
	setType(&m, newerType)
	r := p.journal.append(0, message(m))
	p.first[a.offset] = &r
	p.sources = append(p.sources, a.offset)
	p.w.say("a newer issuer writes a record of source %d into the journal of partition %d, at %d", a.offset, p.number, r.Offset)
	p.w.saw("newer record in the journal")
}
