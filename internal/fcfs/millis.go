package fcfs

import "time"

// Millis is an instant in Unix milliseconds, UTC; 0 means absent.
//
// The instant 1970-01-01T00:00:00.000Z itself cannot be told from "absent"; whoever reads times from outside refuses it.
type Millis int64

const (
	// MaxTime is 9999-12-31T23:59:59.999Z, the last instant that RFC 3339 can write.
	MaxTime Millis = 253402300799999

	second Millis = 1000
	day    Millis = 24 * 60 * 60 * second
)

// FromTime cuts t to whole milliseconds; the zero time.Time is absent.
func FromTime(t time.Time) Millis {
	if t.IsZero() {
		return 0
	}
	return Millis(t.UnixMilli())
}

// Time is the inverse of FromTime, in UTC.
func (m Millis) Time() time.Time {
	if m == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(m)).UTC()
}
