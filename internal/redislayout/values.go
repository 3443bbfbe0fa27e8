package redislayout

import (
	"fmt"
	"math"
	"strings"

	"github.com/firstcome/firstcome/internal/fcfs"
)

// Progress is how far Redis has taken a partition's log. Where the key is absent nothing is known, which is not the same
// as Offset -1: a log that was looked at and had no record to apply.
type Progress struct {
	Offset     int64       // last offset applied
	AppendTime fcfs.Millis // of the record at Offset; 0 = unknown, as where progress was moved over a gap
	LogTime    fcfs.Millis // highest append time so far
}

// String is the value: "offset:append_ms:log_ms".
func (p Progress) String() string {
	return joinInts(p.Offset, int64(p.AppendTime), int64(p.LogTime))
}

// ParseProgress is the inverse of String.
func ParseProgress(value string) (Progress, error) {
	var offset, appended, logTime int64
	if err := parseInts(value, &offset, &appended, &logTime); err != nil || offset < -1 {
		return Progress{}, fmt.Errorf("%q is not a progress", value)
	}
	return Progress{offset, fcfs.Millis(appended), fcfs.Millis(logTime)}, nil
}

// Entry is a person's place in a window: fcfs.Entry as Redis holds it.
type Entry fcfs.Entry

// String is the value: "sequence:offset".
func (e Entry) String() string { return joinInts(e.Sequence, e.Offset) }

// ParseEntry is the inverse of String.
func ParseEntry(value string) (Entry, error) {
	var e Entry
	if err := parseInts(value, &e.Sequence, &e.Offset); err != nil || e.Sequence < 1 || e.Offset < 0 {
		return Entry{}, fmt.Errorf("%q is not an entry", value)
	}
	return e, nil
}

// PendingMark begins a guard whose append is under way; a random token follows, by which its owner knows it again.
const PendingMark = "?"

// Ticket is the value of a guard once the append is known: where the claim stands in the log.
type Ticket struct {
	Partition  int32
	Offset     int64
	AppendTime fcfs.Millis
}

// String is the value: "partition:offset:append_ms".
func (t Ticket) String() string {
	return joinInts(int64(t.Partition), t.Offset, int64(t.AppendTime))
}

// ParseTicket is the inverse of String; the value of a pending guard is an error.
func ParseTicket(value string) (Ticket, error) {
	var partition, offset, appended int64
	err := parseInts(value, &partition, &offset, &appended)
	if err != nil || partition < 0 || partition > math.MaxInt32 || offset < 0 {
		return Ticket{}, fmt.Errorf("%q is not a ticket", value)
	}
	return Ticket{int32(partition), offset, fcfs.Millis(appended)}, nil
}

// Remembered is the value of an idempotency key: what was asked with it first, and what became of it.
type Remembered struct {
	Request string // hash of the request: HashLength lower-case hex digits
	// Pending is PendingMark and a token while the append is under way, and "" once Ticket is known. It is the guard's
	// value of the same claim, by which its owner knows both again.
	Pending string
	Ticket  Ticket
}

// HashLength is that of the hashes in an idempotency key and its value: 128 bits in hex.
const HashLength = 32

// String is the value: the hash, a colon, and what the claim's guard holds.
func (r Remembered) String() string {
	if r.Pending != "" {
		return r.Request + ":" + r.Pending
	}
	return r.Request + ":" + r.Ticket.String()
}

// ParseRemembered is the inverse of String.
func ParseRemembered(value string) (Remembered, error) {
	request, guard, found := strings.Cut(value, ":")
	if !found || !isHash(request) {
		return Remembered{}, fmt.Errorf("%q is not what an idempotency key holds", value)
	}
	r := Remembered{Request: request}
	if len(guard) > len(PendingMark) && strings.HasPrefix(guard, PendingMark) {
		r.Pending = guard
		return r, nil
	}
	var err error
	r.Ticket, err = ParseTicket(guard)
	return r, err
}

func isHash(s string) bool {
	return len(s) == HashLength && strings.Trim(s, "0123456789abcdef") == ""
}
