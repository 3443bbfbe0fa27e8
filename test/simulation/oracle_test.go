package simulation

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/gateway/verdict"
	"github.com/firstcome/firstcome/services/ledger/posting"
)

// After a run in which nothing went wrong something is made wrong: each comparison has to notice its own.
func TestOracle(t *testing.T) {
	for name, c := range map[string]struct {
		tamper func(p *place, g event.CouponGranted)
		want   string
	}{
		"nothing": {func(*place, event.CouponGranted) {}, ""},
		"Postgres lacks everything": {func(p *place, _ event.CouponGranted) {
			p.w.postgres.restore(0)
		}, "Postgres has the grants []"},
		"Postgres has one more": {func(p *place, g event.CouponGranted) {
			g.Source.Offset, g.Sequence, g.UserID = 1<<20, g.Sequence+1, "nobody"
			insert(p, posting.Batch{Grants: []event.CouponGranted{g}})
		}, "Postgres has the grants"},
		"Postgres has one more definition": {func(p *place, g event.CouponGranted) {
			d := event.CouponDefined{CouponID: g.CouponID, Source: &event.Source{Partition: p.number, Offset: 1 << 20}}
			insert(p, posting.Batch{Definitions: []event.CouponDefined{d}})
		}, "Postgres has the definitions"},
		"the journal lacks its last grant": {func(p *place, _ event.CouponGranted) {
			p.journal.records = p.journal.records[:last(p)]
		}, "the journal lacks that"},
		"the journal gives somebody a second one": {func(p *place, g event.CouponGranted) { forge(p, g) }, "somebody gets it twice"},
		"the journal gives one by nobody's request": {func(p *place, g event.CouponGranted) {
			g.UserID = "nobody"
			forge(p, g)
		}, "nobody asked for it"},
		"the journal leaves out a number": {func(p *place, g event.CouponGranted) {
			g.Sequence, g.Limit = g.Sequence+2, g.Limit+9
			forge(p, g)
		}, "not the next number of its window"},
		"Redis is elsewhere": {func(p *place, _ event.CouponGranted) {
			p.model.Store.State().Claim(1<<20, p.w.clock, p.coupons[0], "somebody else")
			p.model.Store.State().Define(1<<21, p.w.clock, fcfs.Definition{CouponID: "new", Limit: 1, Window: fcfs.WindowNone, TimeZone: "UTC", Rules: 1})
		}, "Redis is not what the log leads to"},
		"a good record is buried": {func(p *place, g event.CouponGranted) {
			p.model.Letters[g.Source.Offset]++
		}, "is a good one"},
		"a bad record is not buried": {func(p *place, _ event.CouponGranted) {
			clear(p.model.Letters)
		}, "is not among the dead letters"},
		"somebody was told granted and has nothing": {func(p *place, g event.CouponGranted) {
			delete(p.answers, g.Source.Offset)
			p.answers[refused(p)] = verdict.Verdict{Outcome: fcfs.Granted, Entry: &fcfs.Entry{Sequence: 1}}
		}, "was told granted"},
		"somebody was told another sequence": {func(p *place, g event.CouponGranted) {
			p.answers[g.Source.Offset] = verdict.Verdict{Outcome: fcfs.Granted, Entry: &fcfs.Entry{Sequence: g.Sequence + 1}}
		}, "was told granted"},
		"somebody was told sold out and has it": {func(p *place, g event.CouponGranted) {
			p.answers[g.Source.Offset] = verdict.Verdict{Outcome: fcfs.SoldOut}
		}, "was told sold_out"},
		"nobody is told":          {func(p *place, _ event.CouponGranted) { p.w.gateways[0].hear(p, 1<<20) }, "told to be pending"},
		"downstream lacks a fact": {func(p *place, _ event.CouponGranted) { p.delivery.most-- }, "were handled downstream"},
		"the rules are other ones": {func(p *place, g event.CouponGranted) {
			p.asked[g.Source.Offset].user = "somebody else"
		}, "the journal has that"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var r result
				w := orderly(&r)
				if p, g := aGrant(w); p == nil {
					t.Error("nothing was granted")
				} else {
					c.tamper(p, g)
				}
				w.judge()
				w.end(&r)
				if got := strings.Join(r.breaches, "\n"); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
					t.Errorf("it says %q, and should say %q", got, c.want)
				}
			})
		})
	}
}

// orderly is a world in which much was asked, nothing went wrong, and all is done.
func orderly(r *result) *World {
	p := planOf(7)
	for i := range p.steps {
		p.steps[i].tame = true
	}
	w := newWorld(p.seed, nil)
	w.play(p, &r.turns)
	return w
}

// aGrant is the last one of a partition that has some, and has refused something.
func aGrant(w *World) (*place, event.CouponGranted) {
	for _, p := range w.places {
		if len(p.model.Letters) == 0 {
			continue
		}
		if at := last(p); at >= 0 {
			e, _ := event.Decode(p.journal.records[at])
			return p, e.Data.(event.CouponGranted)
		}
	}
	return nil, event.CouponGranted{}
}

// insert writes into Postgres what the journal does not have.
func insert(p *place, b posting.Batch) {
	b.Partition, b.From, b.To = p.number, p.w.postgres.row(p.number), p.w.postgres.row(p.number)
	if err := p.w.postgres.Write(context.Background(), b, func(context.Context, posting.Refused) error { return nil }); err != nil {
		panic(err)
	}
}

// last is the last grant in a partition's journal; -1 without any.
func last(p *place) int {
	for at := len(p.journal.records) - 1; at >= 0; at-- {
		if e, _ := event.Decode(p.journal.records[at]); e.Type == event.TypeCouponGranted {
			return at
		}
	}
	return -1
}

func refused(p *place) int64 {
	for _, a := range p.order {
		if outcome, _ := p.model.Outcome(a.offset); outcome != fcfs.Granted {
			return a.offset
		}
	}
	return -1
}

// forge appends a grant to the journal, by a request that was never made.
func forge(p *place, g event.CouponGranted) {
	g.Source.Offset = 1 << 20
	g.GrantID = fcfs.GrantID(p.requests.name, fcfs.Source(g.Source))
	m, err := g.Message(event.Meta{ID: g.GrantID, Source: event.JournalSource(p.requests.name, p.number)})
	if err != nil {
		panic(err)
	}
	p.journal.append(0, message(m))
}
