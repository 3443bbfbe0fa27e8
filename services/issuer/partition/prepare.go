package partition

import (
	"slices"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/internal/redislayout"
)

// mostTold bounds the offsets that one batch tells of: a batch of Kafka that could not be read may claim to have billions.
// Those who wait for one that is not told learn it from progress.
const mostTold = 1 << 16

// prepare makes the next batch out of requests above expected, and says how many it took: none if there are none.
//
// A batch ends after a definition, since what follows has to be prepared by it; and before a record whose log time drops
// a window, since drops come first in a batch.
func (c *catalog) prepare(partition int32, expected Progress, covered int64, requests []Request, most int) (*Batch, int) {
	p := preparation{
		catalog: c, partition: partition, groups: map[Window]int{},
		batch: &Batch{Expected: expected, Next: expected, Covered: covered},
	}
	taken := 0
	for i := range requests {
		q := &requests[i]
		if q.Last <= expected.Offset {
			taken++ // a fetch may begin earlier
			continue
		}
		if !p.fits(q, most) {
			break
		}
		p.add(q)
		taken++
		if q.Definition != nil {
			break
		}
	}
	p.batch.requests = requests[:taken]
	return p.batch, taken
}

type preparation struct {
	*catalog
	partition int32
	batch     *Batch
	groups    map[Window]int
	records   int
}

func (p *preparation) fits(q *Request, most int) bool {
	if p.records == 0 {
		return true
	}
	span := q.Last - p.batch.Expected.Offset
	return p.records < most && span <= mostTold && !p.dropsAt(max(p.batch.Next.LogTime, q.Time))
}

func (p *preparation) add(q *Request) {
	b := p.batch
	first := max(q.Offset, b.Next.Offset+1)
	logTime := max(b.Next.LogTime, q.Time)
	if p.records == 0 {
		b.Drops = p.due(logTime)
	}
	p.records++
	span := q.Last - first + 1
	if gap := first - b.Next.Offset - 1; gap+span <= mostTold {
		b.outcomes = append(b.outcomes, make([]fcfs.Outcome, gap)...) // None: no record there
	}
	outcome := p.decide(q, logTime)
	for range min(span, mostTold) {
		b.outcomes = append(b.outcomes, outcome)
	}
	b.Next = Progress{Offset: q.Last, AppendTime: q.Time, LogTime: logTime}
}

// decide gives the outcome as far as it is known: None where the store has the last word.
func (p *preparation) decide(q *Request, logTime fcfs.Millis) fcfs.Outcome {
	switch {
	case q.Refused != nil:
		p.batch.letters = true
		return fcfs.Invalid
	case q.Definition != nil:
		define, outcome := p.redefine(p.fact(q, logTime))
		p.batch.Define = define
		return outcome
	}
	coupon := p.coupons[q.CouponID]
	if coupon == nil {
		return fcfs.UnknownCoupon
	}
	day, refused := coupon.Admit(q.Time, logTime)
	if refused == fcfs.None {
		g := p.group(coupon, day)
		g.Claims = append(g.Claims, Claim{
			Offset: q.Offset, Time: q.Time, LogTime: logTime,
			UserID: q.UserID, CorrelationID: q.CorrelationID, TraceParent: q.TraceParent,
		})
	}
	return refused
}

func (p *preparation) fact(q *Request, logTime fcfs.Millis) fcfs.Fact {
	return fcfs.Fact{
		Source:        fcfs.Source{Partition: p.partition, Offset: q.Offset},
		CorrelationID: q.CorrelationID, TraceParent: q.TraceParent,
		RequestedAt: q.Time, LogTime: logTime, Defined: q.Definition,
	}
}

func (p *preparation) group(coupon *Defined, day string) *Group {
	w := Window{coupon.CouponID, day}
	if n := len(p.batch.Groups); n > 0 && p.batch.Groups[n-1].Window == w {
		return &p.batch.Groups[n-1]
	}
	at, ok := p.groups[w]
	if !ok {
		at = len(p.batch.Groups)
		p.groups[w] = at
		p.batch.Groups = append(p.batch.Groups, Group{
			Window: w, Limit: coupon.Limit, DropAt: p.dropDay(coupon, day), SoldOut: p.soldOut[w],
		})
	}
	return &p.batch.Groups[at]
}

// told is the outcomes of a decided batch, for those who wait.
func (b *Batch) told(facts []fcfs.Fact) redislayout.Outcomes {
	o := redislayout.Outcomes{First: b.Next.Offset - int64(len(b.outcomes)) + 1, Last: b.Next.Offset, Outcomes: b.outcomes}
	for i := range facts {
		if g := facts[i].Granted; g != nil {
			o.Sequences = append(o.Sequences, g.Sequence)
		}
	}
	return o
}

// decided takes the store's answer: the outcomes are complete then, and the facts are by source.
func (c *catalog) decided(partition int32, b *Batch, a Answer) []fcfs.Fact {
	facts := b.granted(partition, a, c.soldOut)
	if b.Define == nil {
		return facts
	}
	outcome := a.Define
	if outcome == fcfs.Created {
		c.take(b.Define)
		facts = append(facts, b.Define.Fact)
		if b.Define.Count > 1 {
			outcome = fcfs.Changed
		}
	}
	b.outcomes[len(b.outcomes)-1] = outcome
	return facts
}

func (b *Batch) granted(partition int32, a Answer, soldOut map[Window]bool) []fcfs.Fact {
	var facts []fcfs.Fact
	first := b.Next.Offset - int64(len(b.outcomes)) + 1
	for i := range b.Groups {
		g, got := &b.Groups[i], &a.Groups[i]
		sequence := got.Before
		for j, outcome := range got.Outcomes {
			claim := &g.Claims[j]
			b.outcomes[claim.Offset-first] = outcome
			if outcome != fcfs.Granted {
				continue
			}
			sequence++
			facts = append(facts, claim.fact(partition, g, sequence))
		}
		if sequence >= g.Limit {
			soldOut[g.Window] = true
		}
	}
	if len(b.Groups) > 1 {
		slices.SortFunc(facts, bySource)
	}
	return facts
}

func bySource(a, b fcfs.Fact) int { return int(a.Source.Offset - b.Source.Offset) }

func (c *Claim) fact(partition int32, g *Group, sequence int64) fcfs.Fact {
	return fcfs.Fact{
		Source:        fcfs.Source{Partition: partition, Offset: c.Offset},
		CorrelationID: c.CorrelationID, TraceParent: c.TraceParent,
		RequestedAt: c.Time, LogTime: c.LogTime,
		Granted: &fcfs.GrantFact{
			CouponID: g.CouponID, UserID: c.UserID, Window: g.Day, Sequence: sequence, Limit: g.Limit,
		},
	}
}
