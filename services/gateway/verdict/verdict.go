// Package verdict says what may be told about a claim or a definition that is in the log, and what about a claim at the
// door, from what Redis held at one moment. It is pure: no clock and no I/O.
package verdict

import (
	"sort"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/internal/redislayout"
)

// Ticket is one claim that is in the log: everything that its answer is told from. Nothing else is kept of a claim; the
// ticket travels sealed, as the claim id.
type Ticket struct {
	Partition  int32
	Offset     int64
	AppendTime fcfs.Millis
	CouponID   string
	UserID     string
}

// Reading is one atomic look at a coupon.
type Reading struct {
	Progress    redislayout.Progress // its offset is -1 where Redis has none
	Definitions []fcfs.Defined       // by offset, none for an unknown coupon. Not to be changed: others read them too.
	Window      string
	Granted     int64 // in Window
	Total       int64 // ever, in all windows
	Entry       *fcfs.Entry
}

// Verdict is what can be told about a claim that is in the log.
type Verdict struct {
	// Outcome is None while the claim is pending, Retired where the people of its window were dropped from Redis.
	Outcome  fcfs.Outcome
	Window   string
	Entry    *fcfs.Entry // of the grant: the claim's own with Granted, an earlier one with AlreadyIssued
	Position int64       // of a pending claim: at most so many are in front, this one included
}

// Judge tells what the log decided about a claim from one atomic reading; heard is the progress that was known to have
// been reached before it. It never says what the log does not: a state below heard is an old one, coming back, and tells
// nothing; and a state at progress p knows all about the offsets up to p, whatever came later.
func Judge(t Ticket, r Reading, heard int64) Verdict {
	v := Verdict{Window: r.Window}
	if r.Progress.Offset < t.Offset || r.Progress.Offset < heard {
		v.Position = max(1, t.Offset-r.Progress.Offset)
		return v
	}
	d, known := inForce(r.Definitions, t.Offset)
	switch {
	case !known:
		v.Outcome = fcfs.UnknownCoupon
		return v
	case retired(d, r):
		v.Outcome = fcfs.Retired
		return v
	case r.Entry != nil && r.Entry.Offset == t.Offset:
		v.Outcome, v.Entry = fcfs.Granted, r.Entry
		return v
	}
	// The log time at the claim was at least its append time, and no later than now, when the window is not yet retired:
	// so it was not retired then, and the append time alone decides the rules about time.
	if _, v.Outcome = d.Admit(t.AppendTime, t.AppendTime); v.Outcome != fcfs.None {
		return v
	}
	if r.Entry != nil && r.Entry.Offset < t.Offset {
		v.Outcome, v.Entry = fcfs.AlreadyIssued, r.Entry
		return v
	}
	v.Outcome = fcfs.SoldOut // an entry of a later offset: the limit was raised, and the person asked again
	return v
}

// retired tells whether the people of the claim's window were dropped. It is the definition in force now that says when
// the coupon closes, and the one in force at the claim that says which day the window was.
func retired(d fcfs.Definition, r Reading) bool {
	d.ClosesAt = r.Current().ClosesAt
	return d.WindowRetired(r.Window, r.Progress.LogTime)
}

// inForce is the definition by which an offset was decided.
func inForce(definitions []fcfs.Defined, offset int64) (fcfs.Definition, bool) {
	after := sort.Search(len(definitions), func(i int) bool { return definitions[i].Offset > offset })
	if after == 0 {
		return fcfs.Definition{}, false
	}
	return definitions[after-1].Definition, true
}

// WindowOf is the window of a claim, by the definition in force at its offset; "" while that one is not known.
func WindowOf(t Ticket) func([]fcfs.Defined) string {
	return func(definitions []fcfs.Defined) string {
		d, _ := inForce(definitions, t.Offset)
		return d.WindowAt(t.AppendTime)
	}
}

// JudgeDefinition tells what the log decided about a definition from one atomic reading: None while it is pending. One
// that took effect stands among the definitions for ever; why another did not is found by the rules themselves.
func JudgeDefinition(d fcfs.Definition, offset int64, r Reading, heard int64) fcfs.Outcome {
	if r.Progress.Offset < offset || r.Progress.Offset < heard {
		return fcfs.None
	}
	before := 0
	for _, other := range r.Definitions {
		if other.Offset == offset && before == 0 {
			return fcfs.Created
		}
		if other.Offset == offset {
			return fcfs.Changed
		}
		if other.Offset < offset {
			before++
		}
	}
	if before == 0 {
		return fcfs.Retired // cannot be: the first definition always takes effect
	}
	old, logTime := r.Definitions[before-1].Definition, r.Progress.LogTime
	if before < len(r.Definitions) {
		logTime = 0 // others took effect after it, so the coupon was not retired: none that is comes back
	}
	return fcfs.Redefine(&old, before, r.Total > 0, d, logTime)
}

// border is how near a gateway's clock may be to a border of time before it leaves the decision to the broker's.
const border fcfs.Millis = 2000

// Ruling is what the rules about time say: the window, whether the claim is refused already (else None), and whether it
// is so near a border of time that only the log can tell.
type Ruling struct {
	Window  string
	Refused fcfs.Outcome
	Near    bool
}

// RulesAt applies the rules about time at the door, by the gateway's own clock. Of a coupon without definition (nil) they
// say nothing.
func RulesAt(now fcfs.Millis) func(*fcfs.Definition) Ruling {
	return func(d *fcfs.Definition) Ruling {
		if d == nil {
			return Ruling{}
		}
		window, refused := d.Admit(now, now)
		return Ruling{Window: window, Refused: refused, Near: nearBorder(*d, now)}
	}
}

func nearBorder(d fcfs.Definition, now fcfs.Millis) bool {
	_, endsDay := OtherDay(d, now)
	near := func(at fcfs.Millis) bool { return at != 0 && now-at <= border && at-now <= border }
	return near(d.OpensAt) || near(d.ClosesAt) || endsDay
}

// OtherDay is a moment in another window than now, so near to it that the broker's clock may be there already, or still.
// False: there is none.
func OtherDay(d fcfs.Definition, now fcfs.Millis) (fcfs.Millis, bool) {
	for _, at := range []fcfs.Millis{now - border - 1, now + border} {
		if d.WindowAt(at) != d.WindowAt(now) {
			return at, true
		}
	}
	return 0, false
}

// Current is the definition in force. Only for a coupon that is known.
func (r Reading) Current() fcfs.Definition { return r.Definitions[len(r.Definitions)-1].Definition }

// Dropped tells whether the people of Window were dropped: then Entry says nothing. Only for a coupon that is known.
func (r Reading) Dropped() bool { return retired(r.Current(), r) }
