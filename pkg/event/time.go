package event

import (
	"strings"
	"time"
)

const timeLayout = "2006-01-02T15:04:05.000Z"

// earliest and latest are the Unix milliseconds of the years 0 and 9999, which RFC 3339 can write.
var (
	earliest = time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	latest   = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli() - 1
)

// cut drops what is finer than a millisecond: append times, which all times are compared with, have no more.
func cut(t time.Time) time.Time { return time.UnixMilli(t.UnixMilli()).UTC() }

func writable(t time.Time) bool {
	return t.UnixMilli() >= earliest && t.UnixMilli() <= latest
}

// appendTime writes RFC 3339 in UTC with milliseconds. The zero time is written as the Unix epoch: a record of a
// CreateTime topic may have the timestamp 0, and it must come back as that.
func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		t = time.UnixMilli(0)
	}
	return cut(t).AppendFormat(b, timeLayout)
}

// parseTime reads RFC 3339 with any offset, in UTC, cut to milliseconds.
func parseTime(s string) (time.Time, bool) {
	var t time.Time
	// UnmarshalText is strict where time.Parse is not: no comma, no single digits, no offset of 99 hours.
	if t.UnmarshalText([]byte(strings.ToUpper(s))) != nil || !writable(t) {
		return time.Time{}, false
	}
	return cut(t), true
}
