package fcfs

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
)

// Log is the dumb model of one partition: the state that its requests lead to. It is the oracle of tests and of the
// audit, and what Redis has to agree with at each progress. Feed it the log by Define, Claim and Invalid, or a journal's
// facts by Apply and then the log above Progress: both decide the same. Not safe for concurrent use.
type Log struct {
	partition int32
	progress  int64
	appended  Millis
	logTime   Millis
	coupons   map[string]*Coupon
	nextDrop  Millis // no window is to be dropped before this log time; 0: none at all
}

// Decision is the outcome of one claim. Window and Limit are 0 for an unknown coupon, Sequence unless granted, Earlier
// unless already_issued.
type Decision struct {
	Outcome  Outcome
	Window   string
	Sequence int64
	Limit    int64
	Earlier  Entry
}

// NewLog is a partition of which nothing was read.
func NewLog(partition int32) *Log {
	return &Log{partition: partition, progress: -1, coupons: map[string]*Coupon{}}
}

// Define decides about a definition. Other than for Redefine it need not be valid. The fact is nil unless it took effect.
func (l *Log) Define(offset int64, t Millis, d Definition) (Outcome, *Fact) {
	defer l.dropRetired()
	l.advance(offset, t)
	if len(d.Validate()) > 0 {
		return Invalid, nil
	}
	var old *Definition
	c := l.coupons[d.CouponID]
	if c == nil {
		c = newCoupon()
	} else {
		current := c.Current()
		old = &current
	}
	outcome := Redefine(old, len(c.definitions), c.total > 0, d, l.logTime)
	if outcome != Created && outcome != Changed {
		return outcome, nil
	}
	l.define(c, offset, d)
	return outcome, l.fact(Fact{Defined: &d})
}

// Claim decides about a claim. The fact is nil unless it was granted.
func (l *Log) Claim(offset int64, t Millis, couponID, userID string) (Decision, *Fact) {
	defer l.dropRetired()
	l.advance(offset, t)
	c := l.coupons[couponID]
	if c == nil {
		return Decision{Outcome: UnknownCoupon}, nil
	}
	d := c.Current()
	window, refused := d.Admit(t, l.logTime)
	decision := Decision{Outcome: refused, Window: window, Limit: d.Limit}
	if refused != None {
		return decision, nil
	}
	var holds bool
	decision.Earlier, holds = c.Entry(window, userID)
	decision.Outcome, decision.Sequence = Grant(holds, c.Count(window), d.Limit)
	if decision.Outcome != Granted {
		return decision, nil
	}
	l.grant(c, window, userID, Entry{decision.Sequence, offset})
	return decision, l.fact(Fact{Granted: &GrantFact{
		CouponID: couponID, UserID: userID, Window: window, Sequence: decision.Sequence, Limit: d.Limit,
	}})
}

// Invalid takes a record that cannot be read or does not belong: it moves progress and log time, and nothing else.
func (l *Log) Invalid(offset int64, t Millis) {
	l.advance(offset, t)
	l.dropRetired()
}

// Apply takes a journal fact into the state, as a rebuild does. A fact not above progress is a duplicate and changes
// nothing. An error says why these facts are no journal of this partition; then nothing has changed either.
func (l *Log) Apply(f Fact) error {
	if f.Source.Partition != l.partition {
		return fmt.Errorf("a fact of partition %d in the journal of partition %d", f.Source.Partition, l.partition)
	}
	if f.Source.Offset <= l.progress {
		return nil
	}
	change, err := l.change(f)
	if err != nil {
		return fmt.Errorf("fact of offset %d: %w", f.Source.Offset, err)
	}
	l.advance(f.Source.Offset, f.RequestedAt)
	l.logTime = max(l.logTime, f.LogTime)
	change()
	l.dropRetired()
	return nil
}

// change looks whether f can follow the state, and gives what it then changes.
func (l *Log) change(f Fact) (func(), error) {
	switch {
	case f.Defined != nil && f.Granted == nil:
		d := *f.Defined
		if ps := d.Validate(); len(ps) > 0 {
			return nil, fmt.Errorf("definition of %s: %s %s", d.CouponID, ps[0].Member, ps[0].Detail)
		}
		c := l.coupons[d.CouponID]
		if c == nil {
			c = newCoupon()
		}
		return func() { l.define(c, f.Source.Offset, d) }, nil
	case f.Granted != nil && f.Defined == nil:
		g := *f.Granted
		c := l.coupons[g.CouponID]
		if c == nil {
			return nil, fmt.Errorf("grant of %s, which was never defined", g.CouponID)
		}
		if want := c.Count(g.Window) + 1; g.Sequence != want {
			return nil, fmt.Errorf("grant of %s with sequence %d where %d comes next", g.CouponID, g.Sequence, want)
		}
		return func() { l.grant(c, g.Window, g.UserID, Entry{g.Sequence, f.Source.Offset}) }, nil
	}
	return nil, errors.New("neither a definition nor a grant")
}

// Progress is the last offset taken, -1 before the first.
func (l *Log) Progress() int64 { return l.progress }

// AppendTime is the append time of the record at Progress, 0 before the first.
func (l *Log) AppendTime() Millis { return l.appended }

// LogTime is the highest append time so far, 0 before the first.
func (l *Log) LogTime() Millis { return l.logTime }

// Coupon gives the state of a coupon, nil for an unknown one. It stays true until the log goes on.
func (l *Log) Coupon(id string) *Coupon { return l.coupons[id] }

// Coupons gives all coupons, ordered by id.
func (l *Log) Coupons() iter.Seq2[string, *Coupon] {
	return func(yield func(string, *Coupon) bool) {
		for _, id := range slices.Sorted(maps.Keys(l.coupons)) {
			if !yield(id, l.coupons[id]) {
				return
			}
		}
	}
}

func (l *Log) advance(offset int64, t Millis) {
	if offset <= l.progress {
		panic(fmt.Sprintf("fcfs: offset %d after offset %d", offset, l.progress))
	}
	l.progress, l.appended, l.logTime = offset, t, max(l.logTime, t)
}

func (l *Log) fact(f Fact) *Fact {
	f.Source = Source{l.partition, l.progress}
	f.RequestedAt, f.LogTime = l.appended, l.logTime
	return &f
}

func (l *Log) define(c *Coupon, offset int64, d Definition) {
	c.definitions = append(c.definitions, Defined{offset, d})
	l.coupons[d.CouponID] = c
	for window := range c.people {
		l.dropNotBefore(c, window)
	}
}

func (l *Log) grant(c *Coupon, window, userID string, e Entry) {
	c.total++
	c.counts[window] = e.Sequence
	if c.people[window] == nil {
		c.people[window] = map[string]Entry{}
		l.dropNotBefore(c, window)
	}
	c.people[window][userID] = e
}

func (l *Log) dropNotBefore(c *Coupon, window string) {
	if at, ever := c.Current().DropAt(window); ever && (l.nextDrop == 0 || at < l.nextDrop) {
		l.nextDrop = at
	}
}

// dropRetired comes after each record, so that the state at a progress does not depend on what comes next. No decision
// looks at it: Admit refuses the claims of a retired window before anyone asks who holds what.
func (l *Log) dropRetired() {
	if l.nextDrop == 0 || l.logTime < l.nextDrop {
		return
	}
	l.nextDrop = 0
	for _, c := range l.coupons {
		for window := range c.people {
			if at, ever := c.Current().DropAt(window); ever && l.logTime >= at {
				c.drop(window)
			} else {
				l.dropNotBefore(c, window)
			}
		}
	}
}
