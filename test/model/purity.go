package model

import "fmt"

// Purity asks: does a Redis that was rebuilt from the journal up to any source, and then takes the requests above it, decide
// what the whole log decides? Of every log up to a given length, over two coupons, append times that go backwards, and
// windows whose people are dropped. internal/fcfs asks the same of the code; here each line of the rules can be taken away.
type Purity struct {
	FrozenByClaim   bool // window and time zone are frozen once a claim was decided, not once one was granted
	ReviveRetired   bool // a retired coupon may be defined again
	ForgetLogTime   bool // log time is not in the journal: a rebuild knows only the append times of its facts
	RetireByOwnTime bool // what is retired follows from each record's own append time
}

// purityRecord is a record of one of two coupons.
type purityRecord struct {
	Record
	coupon int8
}

// String tells what was asked.
func (r purityRecord) String() string { return fmt.Sprintf("%c: %v", 'X'+r.coupon, r.Record) }

const dayLength = 4

// window is what people hold a coupon in: a day, or the one that is for ever.
type window struct {
	granted int8
	holds   [2]int8
}

type purityCoupon struct {
	known         bool
	record        Record // definition in force
	total         int8   // ever granted
	decided       bool
	days          [3]window
	retiredByRule bool
}

type purityState struct {
	coupons [2]purityCoupon
	logTime int8
}

type purityFact struct {
	source, logTime int8
	record          purityRecord
}

func dayOf(r, d Record) int8 {
	if d.window == 0 {
		return 0
	}
	return r.time / dayLength
}

// retired tells whether a window's people are dropped.
func (p Purity) retired(d Record, day, now int8) bool {
	if d.closesAt != 0 && now >= d.closesAt+keep {
		return true
	}
	return d.window == 1 && now >= (day+1)*dayLength+keep
}

// take moves log time, and drops what is retired then.
func (p Purity) take(s purityState, logTime, own int8) purityState {
	s.logTime = max(s.logTime, logTime)
	now := s.logTime
	if p.RetireByOwnTime {
		now = own
	}
	for i := range s.coupons {
		c := &s.coupons[i]
		for day := range c.days {
			if c.known && p.retired(c.record, int8(day), now) {
				c.days[day] = window{}
			}
		}
		c.retiredByRule = c.known && c.record.closesAt != 0 && now >= c.record.closesAt+keep
	}
	return s
}

func (p Purity) decide(s purityState, r purityRecord, offset int8) (purityState, Outcome, *purityFact) {
	s = p.take(s, r.time, r.time)
	c := &s.coupons[r.coupon]
	f := &purityFact{offset, s.logTime, r}
	if p.ForgetLogTime {
		f.logTime = r.time
	}
	if r.kind == aDefinition {
		return p.redefine(s, r, f)
	}
	if !c.known {
		return s, UnknownCoupon, nil
	}
	c.decided = true
	now := s.logTime
	if p.RetireByOwnTime {
		now = r.time
	}
	day := dayOf(r.Record, c.record)
	w := &c.days[day]
	switch {
	case p.retired(c.record, day, now) || c.record.closesAt != 0 && r.time >= c.record.closesAt:
		return s, Closed, nil
	case w.holds[r.user] != 0:
		return s, AlreadyIssued, nil
	case w.granted >= c.record.limit:
		return s, SoldOut, nil
	}
	c.grant(day, r.user, offset)
	return s, Granted, f
}

func (c *purityCoupon) grant(day, user, offset int8) {
	c.total++
	c.days[day].granted++
	c.days[day].holds[user] = offset + 1
}

func (p Purity) redefine(s purityState, r purityRecord, f *purityFact) (purityState, Outcome, *purityFact) {
	c := &s.coupons[r.coupon]
	frozen := c.total > 0
	if p.FrozenByClaim {
		frozen = c.decided
	}
	switch {
	case c.known && c.retiredByRule && !p.ReviveRetired:
		return s, Retired, nil
	case c.known && frozen && r.window != c.record.window:
		return s, Conflict, nil
	}
	c.known, c.record = true, r.Record
	return s, Changed, f
}

// restore takes a fact as a rebuild does.
func (p Purity) restore(s purityState, f purityFact) purityState {
	s = p.take(s, f.logTime, f.logTime)
	c := &s.coupons[f.record.coupon]
	if f.record.kind == aDefinition {
		c.known, c.record = true, f.record.Record
		return s
	}
	c.decided = true
	c.grant(dayOf(f.record.Record, c.record), f.record.user, f.source)
	return s
}

// Check gives what is wrong with a log, if anything.
func (p Purity) Check(log []purityRecord) string {
	s := purityState{}
	outcomes := make([]Outcome, 0, 8)
	facts := make([]purityFact, 0, 8)
	for o, r := range log {
		var outcome Outcome
		var f *purityFact
		s, outcome, f = p.decide(s, r, int8(o))
		outcomes = append(outcomes, outcome)
		if f != nil {
			facts = append(facts, *f)
		}
	}
	if bad := p.twice(facts); bad != "" {
		return bad
	}
	s = purityState{}
	for k := range len(facts) + 1 {
		from := 0
		if k > 0 {
			s = p.restore(s, facts[k-1])
			from = int(facts[k-1].source) + 1
		}
		if bad := p.replay(s, log, outcomes, from); bad != "" {
			return bad
		}
	}
	return ""
}

// twice holds that nobody gets a coupon twice in a window (of a coupon without days: ever).
func (p Purity) twice(facts []purityFact) string {
	for i, f := range facts {
		for _, g := range facts[:i] {
			a, b := f.record, g.record
			if a.kind == aClaim && b.kind == aClaim && a.coupon == b.coupon && a.user == b.user && p.sameWindow(facts, f, g) {
				return fmt.Sprintf("u%d is granted coupon %c twice, at %d and %d", a.user+1, 'X'+a.coupon, g.source, f.source)
			}
		}
	}
	return ""
}

func (p Purity) sameWindow(facts []purityFact, f, g purityFact) bool {
	var d Record
	for _, h := range facts {
		if h.record.kind == aDefinition && h.record.coupon == f.record.coupon && h.source < g.source {
			d = h.record.Record
		}
	}
	return d.window == 0 || f.record.time/dayLength == g.record.time/dayLength
}

func (p Purity) replay(s purityState, log []purityRecord, outcomes []Outcome, from int) string {
	for o := from; o < len(log); o++ {
		var outcome Outcome
		s, outcome, _ = p.decide(s, log[o], int8(o))
		if outcome != outcomes[o] {
			return fmt.Sprintf("offset %d was %v; after a rebuild from the journal up to source %d it is %v", o, outcomes[o], from-1, outcome)
		}
	}
	return ""
}

// Search tries all logs up to a length, shortest first, until one is wrong.
func (p Purity) Search(alphabet []purityRecord, longest int) (log []purityRecord, bad string, tried int) {
	for n := 1; n <= longest; n++ {
		at, log := make([]int, n), make([]purityRecord, n)
		for more := true; more; more = advance(at, len(alphabet)) {
			for i, x := range at {
				log[i] = alphabet[x]
			}
			tried++
			if bad := p.Check(log); bad != "" {
				return log, bad, tried
			}
		}
	}
	return nil, "", tried
}

// advance counts up, and tells whether there was a next number.
func advance(digits []int, base int) bool {
	for i := len(digits) - 1; i >= 0; i-- {
		if digits[i]++; digits[i] < base {
			return true
		}
		digits[i] = 0
	}
	return false
}
