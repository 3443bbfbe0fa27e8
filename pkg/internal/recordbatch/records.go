package recordbatch

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/firstcome/firstcome/pkg/event"
)

const (
	// minRecord is the smallest record: seven varints of one byte.
	minRecord = 7
	// maxHeaders is what one record may have; its batch is too large beyond.
	// Without it 64 MiB of two-byte headers would take gigabytes.
	maxHeaders = 1000
	// maxNames bounds the header names that a decoder remembers.
	maxNames = 1000
	slabSize = 1024
)

// Decoder turns batches into records of one partition. It is not safe for
// concurrent use.
type Decoder struct {
	Topic     string
	Partition int32

	names map[string]string
	usual []string // the names of the record before, in their order
	slab  []event.Header
}

// Content is the records of a batch that are still to be read.
type Content struct {
	batch     Batch
	rest      []byte
	remaining int32
	last      int64 // offset of the last record read
	checked   bool
}

// Open unpacks a batch. The error is ErrMalformed or ErrTooLarge.
func Open(b Batch) (*Content, error) {
	if b.Count == 0 {
		return &Content{}, nil // what compaction leaves of a batch: a header alone
	}
	body, err := unpack(b.Attributes&attributeCodec, b.Bytes[headerSize:])
	if err != nil {
		return nil, err
	}
	if int64(b.Count)*minRecord > int64(len(body)) {
		return nil, fmt.Errorf("%w: %d records in %d bytes", ErrMalformed, b.Count, len(body))
	}
	return &Content{batch: b, rest: body, remaining: b.Count, last: b.BaseOffset - 1}, nil
}

// Len is how many records are still to be read.
func (c *Content) Len() int { return int(c.remaining) }

// Read appends the next records of c to dst, at most so many, and fewer where
// they have more than eight headers each, but one if there is one. Records
// below the offset from are left out: a broker answers with whole batches.
// Keys, values and headers point into the batch's bytes, or into what they
// were unpacked to.
//
// A batch is read wholly or not at all: with an error, which only the first
// call can return, nothing was appended.
func (d *Decoder) Read(dst []event.Record, c *Content, from int64, most int) ([]event.Record, error) {
	if !c.checked && int(c.remaining) > most {
		if err := c.check(); err != nil {
			return dst, err
		}
	}
	before := len(dst)
	for headers := 8 * most; c.remaining > 0 && len(dst)-before < most && headers > 0; {
		dst = append(dst, event.Record{})
		r := &dst[len(dst)-1]
		if err := c.next(d, r); err != nil {
			clear(dst[before:])
			return dst[:before], err
		}
		headers -= len(r.Headers)
		if r.Offset < from {
			dst[len(dst)-1] = event.Record{}
			dst = dst[:len(dst)-1]
		}
	}
	if c.remaining == 0 && len(c.rest) > 0 {
		clear(dst[before:])
		return dst[:before], c.trailing()
	}
	return dst, nil
}

// check walks over all that is left without keeping any of it.
func (c *Content) check() error {
	walk := *c
	var scratch event.Record
	for walk.remaining > 0 {
		if err := walk.next(nil, &scratch); err != nil {
			return err
		}
	}
	if len(walk.rest) > 0 {
		return walk.trailing()
	}
	c.checked = true
	return nil
}

func (c *Content) trailing() error {
	return fmt.Errorf("%w: %d bytes after the last record", ErrMalformed, len(c.rest))
}

// next reads one record; without a decoder it keeps no headers.
func (c *Content) next(d *Decoder, r *event.Record) error {
	size, body, ok := varint(c.rest)
	if !ok || size < 1 || size > int64(len(body)) {
		return c.broken("length")
	}
	c.rest, body = body[size:], body[1:size] // the attributes of a record mean nothing
	timeDelta, body, ok1 := varint(body)
	offsetDelta, body, ok2 := varint(body)
	offset := c.batch.BaseOffset + offsetDelta
	if !ok1 || !ok2 || offsetDelta < 0 || offset <= c.last || offset > c.batch.LastOffset {
		return c.broken("offset")
	}
	if r.Key, body, ok = bytesOf(body); !ok {
		return c.broken("key")
	}
	if r.Value, body, ok = bytesOf(body); !ok {
		return c.broken("value")
	}
	if err := c.headers(d, r, body); err != nil {
		return err
	}
	c.last = offset
	c.remaining--
	if d != nil {
		r.Topic, r.Partition = d.Topic, d.Partition
	}
	r.Offset, r.LastOffset = offset, offset
	r.LogAppendTime = c.batch.LogAppendTime()
	at := c.batch.BaseTime + timeDelta
	if r.LogAppendTime {
		at = c.batch.MaxTime
	}
	r.Time = time.UnixMilli(at).UTC()
	return nil
}

func (c *Content) headers(d *Decoder, r *event.Record, body []byte) error {
	count, body, ok := varint(body)
	if !ok || count < 0 || count*2 > int64(len(body)) {
		return c.broken("header count")
	}
	if count > maxHeaders {
		return fmt.Errorf("%w: a record with %d headers", ErrTooLarge, count)
	}
	var headers []event.Header
	if d != nil && count > 0 {
		headers = d.room(int(count))
	}
	for i := range int(count) {
		var key, value []byte
		if key, body, ok = bytesOf(body); !ok || key == nil {
			return c.broken("header")
		}
		if value, body, ok = bytesOf(body); !ok {
			return c.broken("header")
		}
		if d != nil {
			headers = append(headers, event.Header{Key: d.name(i, key), Value: value})
		}
	}
	if len(body) > 0 {
		return c.broken("length")
	}
	r.Headers = headers
	return nil
}

func (c *Content) broken(what string) error {
	return fmt.Errorf("%w: the %s of record %d of %d can't be right", ErrMalformed, what, c.batch.Count-c.remaining+1, c.batch.Count)
}

// room is an empty slice for n headers out of a larger piece of memory: one
// allocation for many records.
func (d *Decoder) room(n int) []event.Header {
	if len(d.slab) < n {
		d.slab = make([]event.Header, max(slabSize, n))
	}
	headers := d.slab[:0:n]
	d.slab = d.slab[n:]
	return headers
}

// name keeps the few names that come again and again, so that they cost no
// allocation; mostly in the same order, so that they cost no look-up either.
func (d *Decoder) name(i int, key []byte) string {
	if i < len(d.usual) && d.usual[i] == string(key) {
		return d.usual[i]
	}
	name := d.known(key)
	if i < len(d.usual) {
		d.usual[i] = name
	} else if i < 16 {
		d.usual = append(d.usual, name)
	}
	return name
}

func (d *Decoder) known(key []byte) string {
	if name, ok := d.names[string(key)]; ok {
		return name
	}
	if d.names == nil {
		d.names = make(map[string]string)
	}
	name := string(key)
	if len(d.names) < maxNames && len(name) <= 64 {
		d.names[name] = name
	}
	return name
}

func varint(b []byte) (v int64, rest []byte, ok bool) {
	v, n := binary.Varint(b)
	if n <= 0 {
		return 0, nil, false
	}
	return v, b[n:], true
}

// bytesOf reads a length and so many bytes; nil for the length -1. The bytes'
// capacity ends with them, so that appending to one never writes into another.
func bytesOf(b []byte) (value, rest []byte, ok bool) {
	n, rest, ok := varint(b)
	if !ok || n < -1 || n > int64(len(rest)) {
		return nil, nil, false
	}
	if n < 0 {
		return nil, rest, true
	}
	return rest[:n:n], rest[n:], true
}
