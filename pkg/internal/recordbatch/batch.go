// Package recordbatch reads and writes Kafka's record batches (message format
// 2, https://kafka.apache.org/documentation/#recordbatch). kafka-go's own
// readers drop the broker's append time, and its writers know no producer id.
//
// What is read came from outside: no length in it is believed before it has
// been compared with the bytes that are there.
package recordbatch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// The batch header, big endian:
//
//	 0 base offset            8    21 attributes         2    51 producer epoch    2
//	 8 length from here on    4    23 last offset delta  4    53 base sequence     4
//	12 leader epoch           4    27 base timestamp     8    57 number of records 4
//	16 magic                  1    35 max timestamp      8    61 records
//	17 crc of all that follow 4    43 producer id        8
const (
	prefixSize = 12 // base offset and length: what the length does not count
	headerSize = 61
	crcFrom    = 21
)

// The attribute bits.
const (
	attributeCodec         = 0x07
	attributeLogAppendTime = 0x08
	attributeControl       = 0x20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrMalformed means that the bytes are not a batch, or not the one they claim to be.
var ErrMalformed = errors.New("malformed batch")

// ErrTooLarge means that a batch is sound as far as it was read, and unpacks to
// more than is read.
var ErrTooLarge = errors.New("batch too large")

// TruncatedError means that the bytes end before the batch does, as the last
// batch of a fetch often does.
type TruncatedError struct{ Need int } // bytes of the whole batch

func (e *TruncatedError) Error() string { return fmt.Sprintf("batch of %d bytes is cut off", e.Need) }

// Producer identifies an idempotent producer.
type Producer struct {
	ID    int64
	Epoch int16
}

// Batch is the header of a batch, and its bytes.
type Batch struct {
	BaseOffset int64
	LastOffset int64
	Attributes int16
	BaseTime   int64 // Unix milliseconds
	MaxTime    int64
	Producer   Producer
	Sequence   int32 // of the first record
	Count      int32
	Bytes      []byte // the whole batch as it came
}

// LogAppendTime tells that the broker stamped the batch: MaxTime is then the
// time of each of its records.
func (b *Batch) LogAppendTime() bool { return b.Attributes&attributeLogAppendTime != 0 }

// Control tells that the batch has no records of a producer, but markers of
// transactions.
func (b *Batch) Control() bool { return b.Attributes&attributeControl != 0 }

// Next reads the header of the first batch in data, checks its checksum, and
// returns the bytes after it.
//
// With a TruncatedError nothing of the batch is known. With ErrMalformed, the
// batch has BaseOffset, Bytes (at least one, so that a reader moves on) and
// what LastOffset claims where that is no nonsense, else BaseOffset.
func Next(data []byte) (b Batch, rest []byte, err error) {
	if len(data) < prefixSize {
		return b, data, &TruncatedError{Need: headerSize}
	}
	b.BaseOffset = int64(binary.BigEndian.Uint64(data))
	b.LastOffset = b.BaseOffset
	length := int64(int32(binary.BigEndian.Uint32(data[8:])))
	if length < headerSize-prefixSize {
		b.Bytes = data
		return b, nil, fmt.Errorf("%w: a length of %d", ErrMalformed, length)
	}
	if size := prefixSize + length; size > int64(len(data)) {
		return b, data, &TruncatedError{Need: int(size)}
	}
	b.Bytes, rest = data[:prefixSize+length], data[prefixSize+length:]
	return b, rest, b.parse()
}

// Count is how many records the batches in data claim to have, for setting
// memory aside: it believes every header.
func Count(data []byte) int {
	total := 0
	for len(data) >= headerSize {
		size := prefixSize + int64(int32(binary.BigEndian.Uint32(data[8:])))
		if size < headerSize || size > int64(len(data)) {
			break
		}
		total += max(0, int(int32(binary.BigEndian.Uint32(data[57:]))))
		data = data[size:]
	}
	return total
}

func (b *Batch) parse() error {
	h := b.Bytes
	if h[16] != 2 {
		return fmt.Errorf("%w: message format %d", ErrMalformed, int8(h[16]))
	}
	delta := int32(binary.BigEndian.Uint32(h[23:]))
	if delta >= 0 && b.BaseOffset >= 0 && b.BaseOffset+int64(delta) >= 0 {
		b.LastOffset = b.BaseOffset + int64(delta)
	}
	if want, have := binary.BigEndian.Uint32(h[17:]), crc32.Checksum(h[crcFrom:], castagnoli); want != have {
		return fmt.Errorf("%w: checksum %08x instead of %08x", ErrMalformed, have, want)
	}
	b.Attributes = int16(binary.BigEndian.Uint16(h[21:]))
	b.BaseTime = int64(binary.BigEndian.Uint64(h[27:]))
	b.MaxTime = int64(binary.BigEndian.Uint64(h[35:]))
	b.Producer.ID = int64(binary.BigEndian.Uint64(h[43:]))
	b.Producer.Epoch = int16(binary.BigEndian.Uint16(h[51:]))
	b.Sequence = int32(binary.BigEndian.Uint32(h[53:]))
	b.Count = int32(binary.BigEndian.Uint32(h[57:]))
	if b.BaseOffset < 0 || delta < 0 || b.BaseOffset+int64(delta) < 0 || b.Count < 0 {
		return fmt.Errorf("%w: base offset %d, last offset delta %d, %d records", ErrMalformed, b.BaseOffset, delta, b.Count)
	}
	return nil
}
