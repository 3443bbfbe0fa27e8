package fcfs

import (
	"sort"
	"time"
)

// lastDayStart keeps WindowAt within four-digit years in every time zone: 9999-12-31T00:00Z is no later than that day's
// afternoon anywhere. Only a topic with CreateTime can hold an append time beyond it.
const lastDayStart Millis = 253402214400000

// WindowAt is the window of a claim with append time t: "" where the window is none, else the day in the coupon's time
// zone, "2026-11-22". Every t has a window; one outside 1970..9999 counts as the nearest instant inside.
func (d Definition) WindowAt(t Millis) string {
	if d.Window != WindowDaily {
		return ""
	}
	t = min(max(t, 0), lastDayStart)
	return time.UnixMilli(int64(t)).In(d.zone()).Format(time.DateOnly)
}

// DayEnd is the first instant at which the day is over for good, in the coupon's time zone: the next day's midnight, or
// the first instant after it where that midnight does not exist. (Where clocks were put back just after midnight, a day
// comes to its end twice; the later end counts.) 0 where the window is none or not a day.
func (d Definition) DayEnd(window string) Millis {
	if d.Window != WindowDaily {
		return 0
	}
	date, err := time.Parse(time.DateOnly, window)
	if err != nil {
		return 0
	}
	return dayEnd(date.AddDate(0, 0, 1).Unix(), d.zone())
}

// dayEnd takes the next midnight as if the zone were UTC, in seconds. It looks backwards from where that midnight has
// passed in every zone for the last quarter of an hour that begins before it: clocks are never put back by less, so no
// part of the day can hide between. Other ways were tried: time.Date does not say which instant it gives for a local time
// that is skipped or comes twice, and ZoneBounds (of Go 1.26) ends the year a day early in leap years.
func dayEnd(midnight int64, zone *time.Location) Millis {
	const farthest, step = 16 * 60 * 60, 15 * 60 // no zone is 16 h from UTC
	over := func(sec int64) bool {
		_, offset := time.Unix(sec, 0).In(zone).Zone()
		return sec+int64(offset) >= midnight
	}
	from := midnight + farthest
	for over(from) {
		from -= step
	}
	end := from + int64(sort.Search(step, func(i int) bool { return over(from + int64(i)) }))
	return Millis(end) * second
}

// DropAt is the log time at which the window's people are dropped from Redis: 24 h after closes_at, of a day 24 h after
// its end. False: never, as the definition now stands.
func (d Definition) DropAt(window string) (Millis, bool) {
	if d.Window == WindowDaily {
		return d.DayEnd(window) + retireAfter, true
	}
	if d.ClosesAt == 0 {
		return 0, false
	}
	return d.ClosesAt + retireAfter, true
}

// CouponRetired tells whether the whole coupon is retired at this log time; then it can never come back.
func (d Definition) CouponRetired(logTime Millis) bool {
	return d.ClosesAt != 0 && logTime >= d.ClosesAt+retireAfter
}

// WindowRetired tells whether the window is retired at this log time, by its day's end or with the whole coupon.
func (d Definition) WindowRetired(window string, logTime Millis) bool {
	if d.CouponRetired(logTime) {
		return true
	}
	return d.Window == WindowDaily && logTime >= d.DayEnd(window)+retireAfter
}

func (d Definition) zone() *time.Location {
	loc, err := LoadZone(d.TimeZone)
	if err != nil {
		panic("fcfs: coupon " + d.CouponID + " was not validated: " + err.Error())
	}
	return loc
}
