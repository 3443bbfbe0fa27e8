package fcfs

import (
	"fmt"
	"time"
)

// Bounds of the rules. Changing one is a change of rules.
const (
	RulesVersion   = 1              // the highest version of the rules that this code decides by
	MaxLimit       = 100_000_000    // coupons of one window
	MaxDefinitions = 1000           // definitions of one coupon
	MaxPartitions  = 4096           // of the requests log: a grant id has 12 bits for the partition
	RetireAfter    = 24 * time.Hour // of log time, after closes_at or a day's end
)

const retireAfter = Millis(RetireAfter / time.Millisecond)

// Window says how often a coupon is given.
type Window string

const (
	WindowNone  Window = "none"  // once
	WindowDaily Window = "daily" // anew each day of its time zone: stock, per-person rule and sequence begin again
)

// Definition is what a coupon is. OpensAt and ClosesAt are absent when 0; a claim at OpensAt is in time, one at ClosesAt
// is late. The other functions of this package take only definitions that Validate finds nothing wrong with.
type Definition struct {
	CouponID          string
	Limit             int64
	Window            Window
	TimeZone          string
	OpensAt, ClosesAt Millis
	Rules             int // version of the rules it was defined under; a record without it means 1
}

// Problem is one thing that is wrong with a definition: Member as its record names it, Detail as a sentence.
type Problem struct{ Member, Detail string }

// Validate gives everything that is wrong with d, in the order of its members. The coupon id is not looked at: its pattern
// belongs to the record, not to the rules.
func (d Definition) Validate() []Problem {
	var ps []Problem
	add := func(member, format string, args ...any) {
		ps = append(ps, Problem{member, fmt.Sprintf(format, args...)})
	}
	if d.Limit < 1 || d.Limit > MaxLimit {
		add("limit", "must be from 1 to %d", MaxLimit)
	}
	if d.Window != WindowNone && d.Window != WindowDaily {
		add("window", "must be %q or %q", WindowNone, WindowDaily)
	}
	if _, err := LoadZone(d.TimeZone); err != nil {
		add("time_zone", `must be an IANA time zone such as "Asia/Seoul" or "UTC"`)
	}
	opens, closes := inRange(d.OpensAt), inRange(d.ClosesAt)
	if !opens {
		add("opens_at", "must lie in the years 1970 to 9999")
	}
	switch {
	case !closes:
		add("closes_at", "must lie in the years 1970 to 9999")
	case opens && d.OpensAt != 0 && d.ClosesAt != 0 && d.ClosesAt <= d.OpensAt:
		add("closes_at", "must be after opens_at")
	}
	if d.Rules < 1 || d.Rules > RulesVersion {
		add("rules", "version %d of the rules is not supported, the highest is %d", d.Rules, RulesVersion)
	}
	return ps
}

// inRange also takes 0, which is absent.
func inRange(m Millis) bool { return m >= 0 && m <= MaxTime }
