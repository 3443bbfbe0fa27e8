package fetch

import (
	"encoding/binary"

	"github.com/segmentio/kafka-go"
)

// answer reads an answer front to back. Once the bytes end too early it is
// broken, and all that it reads is zero.
type answer struct {
	rest   []byte
	broken bool
}

func (a *answer) take(n int) []byte {
	if n < 0 || n > len(a.rest) {
		a.broken, a.rest = true, nil
		return nil
	}
	taken := a.rest[:n:n]
	a.rest = a.rest[n:]
	return taken
}

func (a *answer) int16() int16 {
	if b := a.take(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (a *answer) int32() int32 {
	if b := a.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (a *answer) int64() int64 {
	if b := a.take(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

// count is the length of an array, no more than there are bytes left.
func (a *answer) count() int {
	n := int(a.int32())
	if n > len(a.rest) {
		a.broken = true
		return 0
	}
	return max(n, 0)
}

func (a *answer) string() string { return string(a.take(int(a.int16()))) }

func (a *answer) partition() (Response, kafka.Error) {
	code := kafka.Error(a.int16())
	var r Response
	r.HighWatermark = a.int64()
	a.int64() // last stable offset
	r.LogStart = a.int64()
	for range a.count() { // aborted transactions
		a.int64()
		a.int64()
	}
	a.int32() // preferred replica: only with a rack
	if n := a.int32(); n > 0 {
		r.Records = a.take(int(n))
	}
	return r, code
}
