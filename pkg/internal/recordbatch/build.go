package recordbatch

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"

	"github.com/firstcome/firstcome/pkg/event"
)

// HeaderSize is what a batch takes besides its records.
const HeaderSize = headerSize

// framePrefix is the length that stands before the batches in a request.
const framePrefix = 4

// Builder puts a batch together. The zero value is an empty one.
type Builder struct {
	buf      []byte
	count    int32
	baseTime int64
	maxTime  int64
}

// Reset begins a new batch in buf's memory.
func (b *Builder) Reset(buf []byte) {
	if cap(buf) < framePrefix+headerSize {
		buf = make([]byte, 0, 64<<10)
	}
	*b = Builder{buf: buf[:framePrefix+headerSize]}
}

// Count is how many records have been appended.
func (b *Builder) Count() int { return int(b.count) }

// Size is what the batch takes so far.
func (b *Builder) Size() int { return len(b.buf) - framePrefix }

// Append adds a record; m.Time is set.
func (b *Builder) Append(m *event.Message) {
	if len(b.buf) == 0 {
		b.Reset(nil)
	}
	at := m.Time.UnixMilli()
	if b.count == 0 {
		b.baseTime, b.maxTime = at, at
	}
	b.maxTime = max(b.maxTime, at)
	delta := at - b.baseTime

	out := binary.AppendVarint(b.buf, int64(bodySize(m, delta, b.count)))
	out = append(out, 0) // attributes of a record: none are defined
	out = binary.AppendVarint(out, delta)
	out = binary.AppendVarint(out, int64(b.count))
	out = appendBytes(out, m.Key)
	out = appendBytes(out, m.Value)
	out = binary.AppendVarint(out, int64(len(m.Headers)))
	for i := range m.Headers {
		out = binary.AppendVarint(out, int64(len(m.Headers[i].Key)))
		out = append(out, m.Headers[i].Key...)
		out = appendBytes(out, m.Headers[i].Value)
	}
	b.buf = out
	b.count++
}

// Seal writes the header and returns the batch, whose bytes belong to the
// builder: whoever may still be reading an earlier sealing of it must have
// been given a copy.
func (b *Builder) Seal(p Producer, sequence int32) []byte {
	h := b.buf[framePrefix:]
	binary.BigEndian.PutUint32(b.buf, uint32(len(h)))
	binary.BigEndian.PutUint64(h, 0) // the broker puts the offset
	binary.BigEndian.PutUint32(h[8:], uint32(len(h)-prefixSize))
	binary.BigEndian.PutUint32(h[12:], 1<<32-1) // no leader epoch
	h[16] = 2
	binary.BigEndian.PutUint16(h[21:], 0)
	binary.BigEndian.PutUint32(h[23:], uint32(b.count-1))
	binary.BigEndian.PutUint64(h[27:], uint64(b.baseTime))
	binary.BigEndian.PutUint64(h[35:], uint64(b.maxTime))
	binary.BigEndian.PutUint64(h[43:], uint64(p.ID))
	binary.BigEndian.PutUint16(h[51:], uint16(p.Epoch))
	binary.BigEndian.PutUint32(h[53:], uint32(sequence))
	binary.BigEndian.PutUint32(h[57:], uint32(b.count))
	binary.BigEndian.PutUint32(h[17:], crc32.Checksum(h[crcFrom:], castagnoli))
	return h
}

// Frame is the sealed batch with its length before it, as requests have it.
func (b *Builder) Frame() []byte { return b.buf }

// Size is the most that a record of m takes in a batch.
func Size(m *event.Message) int {
	const most = 10 + 10 + 5 // length, time delta, offset delta
	return most + bodySize(m, 0, 0)
}

func bodySize(m *event.Message, timeDelta int64, offsetDelta int32) int {
	n := 1 + varintSize(timeDelta) + varintSize(int64(offsetDelta))
	n += bytesSize(m.Key) + bytesSize(m.Value) + varintSize(int64(len(m.Headers)))
	for i := range m.Headers {
		n += varintSize(int64(len(m.Headers[i].Key))) + len(m.Headers[i].Key) + bytesSize(m.Headers[i].Value)
	}
	return n
}

func bytesSize(b []byte) int {
	if b == nil {
		return 1
	}
	return varintSize(int64(len(b))) + len(b)
}

func appendBytes(out, b []byte) []byte {
	if b == nil {
		return append(out, 1) // -1: null
	}
	return append(binary.AppendVarint(out, int64(len(b))), b...)
}

func varintSize(v int64) int {
	zigzag := uint64(v)<<1 ^ uint64(v>>63)
	return (bits.Len64(zigzag|1) + 6) / 7
}

// NextSequence is the sequence that follows n records from sequence on; it
// goes round at 2^31 as the brokers' does.
func NextSequence(sequence int32, n int) int32 {
	return int32((int64(sequence) + int64(n)) & (1<<31 - 1))
}
