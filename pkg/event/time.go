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
	s = strings.ToUpper(s)
	if !isRFC3339(s) {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || !writable(t) {
		return time.Time{}, false
	}
	return cut(t), true
}

// isRFC3339 holds the form, of which time.Parse and UnmarshalText are not strict (https://go.dev/issue/54580): they take
// a comma for the point, one digit for the hour, and offsets of more than a day.
func isRFC3339(s string) bool {
	const form = "0000-00-00T00:00:00"
	if len(s) <= len(form) || !hasForm(s[:len(form)], form) {
		return false
	}
	s = s[len(form):]
	if s[0] == '.' {
		digits := 1
		for digits < len(s) && s[digits] >= '0' && s[digits] <= '9' {
			digits++
		}
		if digits == 1 {
			return false
		}
		s = s[digits:]
	}
	if s == "Z" {
		return true
	}
	return (hasForm(s, "+00:00") || hasForm(s, "-00:00")) && s[1:3] < "24" && s[4:6] < "60"
}

// hasForm tells whether s has a digit wherever form has a 0, and else the same characters.
func hasForm(s, form string) bool {
	if len(s) != len(form) {
		return false
	}
	for i := range len(form) {
		digit := s[i] >= '0' && s[i] <= '9'
		if form[i] == '0' && !digit || form[i] != '0' && s[i] != form[i] {
			return false
		}
	}
	return true
}
