package gateway

import (
	"sort"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/services/gateway/internal/redisstore"
)

// verdict is what can be told about a claim that is in the log.
type verdict struct {
	// Outcome is None while the claim is pending, Retired where the people of its window were dropped from Redis.
	Outcome  fcfs.Outcome
	Window   string
	Entry    *fcfs.Entry // of the grant: the claim's own with Granted, an earlier one with AlreadyIssued
	Position int64       // of a pending claim: at most so many are in front, this one included
}

// judge tells what the log decided about a claim from one atomic reading; heard is the progress that was known to have
// been reached before it. It never says what the log does not: a state below heard is an old one, coming back, and tells
// nothing; and a state at progress p knows all about the offsets up to p, whatever came later.
func judge(t ticket, r redisstore.Reading, heard int64) verdict {
	v := verdict{Window: r.Window}
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
func retired(d fcfs.Definition, r redisstore.Reading) bool {
	d.ClosesAt = r.Definitions[len(r.Definitions)-1].ClosesAt
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

// windowOf is the window of a claim, by the definition in force at its offset; "" while that one is not known.
func windowOf(t ticket) func([]fcfs.Defined) string {
	return func(definitions []fcfs.Defined) string {
		d, _ := inForce(definitions, t.Offset)
		return d.WindowAt(t.AppendTime)
	}
}

// border is how near a gateway's clock may be to a border of time before it leaves the decision to the broker's.
const border fcfs.Millis = 2000

// ruling applies the rules about time at the door, by the gateway's own clock.
func ruling(now fcfs.Millis) func(*fcfs.Definition) redisstore.Ruling {
	return func(d *fcfs.Definition) redisstore.Ruling {
		if d == nil {
			return redisstore.Ruling{}
		}
		window, refused := d.Admit(now, now)
		return redisstore.Ruling{Window: window, Refused: refused, Near: nearBorder(*d, now)}
	}
}

func nearBorder(d fcfs.Definition, now fcfs.Millis) bool {
	near := func(at fcfs.Millis) bool { return at != 0 && now-at <= border && at-now <= border }
	return near(d.OpensAt) || near(d.ClosesAt) || d.WindowAt(now-border-1) != d.WindowAt(now+border)
}
