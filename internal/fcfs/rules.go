// Package fcfs holds the rules of first come, first served: pure functions of the requests log. No clock, no I/O, no
// configuration, nothing but the standard library; the time zones are embedded.
//
// A claim is decided by Admit (the rules about time) and then Grant (the rules about people); a definition by Redefine.
// Log puts them together into the dumb model of one partition, against which everything faster is proven.
package fcfs

// Admit holds the rules that come before the person's, for a claim with append time t: a retired window is closed, then
// not_open before opens_at, then closed from closes_at on. None: go on with Grant, in this window. logTime is the highest
// append time so far, t included.
func (d Definition) Admit(t, logTime Millis) (window string, refused Outcome) {
	window = d.WindowAt(t)
	// A day ends after each of its instants, so a claim this fresh needs no look at the calendar.
	fresh := t <= lastDayStart && logTime < t+retireAfter && !d.CouponRetired(logTime)
	switch {
	case !fresh && d.WindowRetired(window, logTime):
		return window, Closed
	case d.OpensAt != 0 && t < d.OpensAt:
		return window, NotOpen
	case d.ClosesAt != 0 && t >= d.ClosesAt:
		return window, Closed
	}
	return window, None
}

// Grant holds the person's rules, for a claim that was admitted: holds tells whether the person has the coupon in this
// window, granted is how many were given in it. The sequence is 0 unless granted.
func Grant(holds bool, granted, limit int64) (outcome Outcome, sequence int64) {
	switch {
	case holds:
		return AlreadyIssued, 0
	case granted >= limit:
		return SoldOut, 0
	}
	return Granted, granted + 1
}

// Redefine decides about a valid definition: old is the one in force (nil: none), definitions how many took effect so
// far, issued whether anything was ever granted. In this order: a retired coupon cannot come back; window and time zone
// cannot change once something was granted; there are at most MaxDefinitions (Invalid). Only Created and Changed take
// effect, also where nothing differs. logTime is the highest append time so far, the definition's own included.
func Redefine(old *Definition, definitions int, issued bool, next Definition, logTime Millis) Outcome {
	switch {
	case old == nil:
		return Created
	case old.CouponRetired(logTime):
		return Retired
	case issued && (next.Window != old.Window || next.TimeZone != old.TimeZone):
		return Conflict
	case definitions >= MaxDefinitions:
		return Invalid
	}
	return Changed
}
