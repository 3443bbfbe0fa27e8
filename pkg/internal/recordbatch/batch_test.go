package recordbatch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/segmentio/kafka-go/protocol"

	"github.com/firstcome/firstcome/pkg/event"
)

var someTime = time.Date(2026, 11, 22, 9, 30, 0, 123e6, time.UTC)

func someMessages() []event.Message {
	return []event.Message{
		{Key: []byte("k1"), Value: []byte(`{"a":1}`), Time: someTime, Headers: []event.Header{
			{Key: "ce_id", Value: []byte("x")}, {Key: "", Value: nil}, {Key: "empty", Value: []byte{}},
		}},
		{Key: nil, Value: nil, Time: someTime.Add(-time.Hour)},
		{Key: []byte{}, Value: bytes.Repeat([]byte("v"), 1000), Time: someTime.Add(time.Hour)},
	}
}

func build(messages []event.Message, p Producer, sequence int32) []byte {
	var b Builder
	b.Reset(nil)
	for i := range messages {
		b.Append(&messages[i])
	}
	return b.Seal(p, sequence)
}

// sealed fixes the checksum of a batch that was tampered with.
func sealed(batch []byte) []byte {
	binary.BigEndian.PutUint32(batch[17:], crc32.Checksum(batch[crcFrom:], castagnoli))
	return batch
}

// readAllOf decodes everything in data, most records at a time.
func readAllOf(data []byte, from int64, most int) (records []event.Record, err error) {
	d := Decoder{Topic: "t", Partition: 3}
	for len(data) > 0 {
		var b Batch
		if b, data, err = Next(data); err != nil {
			return records, err
		}
		c, err := Open(b)
		if err != nil {
			return records, err
		}
		for c.Len() > 0 {
			if records, err = d.Read(records, c, from, most); err != nil {
				return records, err
			}
		}
	}
	return records, nil
}

func TestBuilder_readsBack(t *testing.T) {
	messages := someMessages()
	data := build(messages, Producer{ID: 77, Epoch: 5}, 1000)
	binary.BigEndian.PutUint64(data, 40) // as the broker does
	b, rest, err := Next(data)
	if err != nil || len(rest) != 0 {
		t.Fatalf("Next: %v, %d bytes left", err, len(rest))
	}
	if b.Producer != (Producer{77, 5}) || b.Sequence != 1000 || b.Count != 3 || b.BaseOffset != 40 || b.LastOffset != 42 {
		t.Errorf("header %+v", b)
	}
	records, err := readAllOf(data, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range messages {
		want := event.Record{
			Topic: "t", Partition: 3, Offset: 40 + int64(i), LastOffset: 40 + int64(i),
			Time: m.Time, Key: m.Key, Value: m.Value, Headers: m.Headers,
		}
		if !reflect.DeepEqual(records[i], want) {
			t.Errorf("record %d:\nhave %+v\nwant %+v", i, records[i], want)
		}
	}
}

func TestBuilder_kafkaGoReadsIt(t *testing.T) {
	messages := someMessages()
	data := build(messages, Producer{ID: -1, Epoch: -1}, -1)
	var set protocol.RecordSet
	framed := append(binary.BigEndian.AppendUint32(nil, uint32(len(data))), data...)
	if _, err := set.ReadFrom(bytes.NewReader(framed)); err != nil {
		t.Fatal(err)
	}
	for i, m := range messages {
		r, err := set.Records.ReadRecord()
		if err != nil {
			t.Fatal(err)
		}
		if !r.Time.Equal(m.Time) || len(r.Headers) != len(m.Headers) || !bytes.Equal(bytesOfReader(t, r.Value), m.Value) || !bytes.Equal(bytesOfReader(t, r.Key), m.Key) {
			t.Errorf("record %d: %+v", i, r)
		}
	}
}

func bytesOfReader(t *testing.T, b protocol.Bytes) []byte {
	if b == nil {
		return nil
	}
	data, err := io.ReadAll(b)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestBatch_appendTime(t *testing.T) {
	data := build(someMessages(), Producer{}, 0)
	binary.BigEndian.PutUint16(data[21:], attributeLogAppendTime)
	binary.BigEndian.PutUint64(data[35:], uint64(someTime.Add(time.Minute).UnixMilli()))
	records, err := readAllOf(sealed(data), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if !r.LogAppendTime || !r.Time.Equal(someTime.Add(time.Minute)) {
			t.Errorf("offset %d: %v, append time %v", r.Offset, r.Time, r.LogAppendTime)
		}
	}
}

func TestNext_truncated(t *testing.T) {
	data := build(someMessages(), Producer{}, 0)
	for n := range len(data) {
		_, _, err := Next(data[:n])
		var cut *TruncatedError
		if !errors.As(err, &cut) {
			t.Fatalf("%d of %d bytes: %v", n, len(data), err)
		}
		if n >= prefixSize && cut.Need != len(data) {
			t.Fatalf("%d of %d bytes: needs %d", n, len(data), cut.Need)
		}
	}
}

func TestNext_everyBitIsChecked(t *testing.T) {
	data := build(someMessages(), Producer{ID: 7}, 9)
	for i := 16; i < len(data); i++ { // offset and leader epoch are the broker's to change
		for bit := range 8 {
			data[i] ^= 1 << bit
			if _, _, err := Next(data); !errors.Is(err, ErrMalformed) {
				t.Fatalf("bit %d of byte %d: %v", bit, i, err)
			}
			data[i] ^= 1 << bit
		}
	}
}

func TestRead_lyingBatches(t *testing.T) {
	put32 := func(at int, v int32) func([]byte) []byte {
		return func(b []byte) []byte { binary.BigEndian.PutUint32(b[at:], uint32(v)); return b }
	}
	tests := []struct {
		name string
		lie  func([]byte) []byte
	}{
		{"length 0", put32(8, 0)},
		{"length -1", put32(8, -1)},
		{"length shorter than a header", put32(8, headerSize-prefixSize-1)},
		{"message format 1", func(b []byte) []byte { b[16] = 1; return b }},
		{"last offset delta -1", put32(23, -1)},
		{"last offset delta too small", put32(23, 1)},
		{"last offset beyond 2^63", func(b []byte) []byte { binary.BigEndian.PutUint64(b, math.MaxInt64); return b }},
		{"base offset negative", func(b []byte) []byte { binary.BigEndian.PutUint64(b, 1<<63); return b }},
		{"records -1", put32(57, -1)},
		{"more records than there are", put32(57, 4)},
		{"2^31-1 records", put32(57, math.MaxInt32)},
		{"fewer records than there are", put32(57, 2)},
		{"unknown compression", func(b []byte) []byte { b[22] = 7; return b }},
		{"compressed by name only", func(b []byte) []byte { b[22] = 1; return b }},
		{"record length 0", func(b []byte) []byte { b[headerSize] = 0; return b }},
		{"record length negative", func(b []byte) []byte { b[headerSize] = 1; return b }},
		{"record length beyond the end", func(b []byte) []byte { b[headerSize], b[headerSize+1] = 0xff, 0x7f; return b }},
		{"offset delta repeated", func(b []byte) []byte { return replaced(b, 1, func(r []byte) { r[6] = 0 }) }},
		{"varint without an end", func(b []byte) []byte {
			for i := headerSize; i < headerSize+11; i++ {
				b[i] = 0xff
			}
			return b
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, most := range []int{100, 1} {
				data := sealed(tt.lie(build(someMessages(), Producer{}, 0)))
				records, err := readAllOf(data, 0, most)
				if !errors.Is(err, ErrMalformed) {
					t.Errorf("%d at a time: %v", most, err)
				}
				if len(records) > 0 {
					t.Errorf("%d at a time: %d records of an unreadable batch were read", most, len(records))
				}
			}
		})
	}
}

// replaced changes bytes of the n-th record.
func replaced(b []byte, n int, change func(record []byte)) []byte {
	at := headerSize
	for range n {
		size, used := binary.Varint(b[at:])
		at += used + int(size)
	}
	change(b[at:])
	return b
}

func TestRead_fromOffsetAndInPieces(t *testing.T) {
	var messages []event.Message
	for range 100 {
		messages = append(messages, someMessages()...)
	}
	data := build(messages, Producer{}, 0)
	binary.BigEndian.PutUint64(data, 1000)
	for _, most := range []int{1, 2, 7, 299, 300, 1000} {
		for _, from := range []int64{0, 1000, 1001, 1150, 1299, 1300} {
			records, err := readAllOf(data, from, most)
			if err != nil {
				t.Fatal(err)
			}
			want := max(from, 1000)
			for _, r := range records {
				if r.Offset != want {
					t.Fatalf("%d at a time from %d: offset %d instead of %d", most, from, r.Offset, want)
				}
				want++
			}
			if want != 1300 {
				t.Fatalf("%d at a time from %d: ends at %d", most, from, want)
			}
		}
	}
}

func TestRead_appendingToOneNeverWritesIntoAnother(t *testing.T) {
	messages := someMessages()
	records, err := readAllOf(build(messages, Producer{}, 0), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	_ = append(records[0].Key, "overwritten"...)
	_ = append(records[0].Headers, event.Header{Key: "overwritten"})
	_ = append(records[0].Headers[0].Value, "overwritten"...)
	if !bytes.Equal(records[0].Value, messages[0].Value) || records[0].Headers[1].Key != "" {
		t.Error("records share memory beyond their ends")
	}
}

func TestSize_isEnough(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var b Builder
	b.Reset(nil)
	for range 5000 {
		m := event.Message{Time: time.UnixMilli(random.Int64()), Key: make([]byte, random.IntN(200)), Value: make([]byte, random.IntN(70_000))}
		for range random.IntN(10) {
			m.Headers = append(m.Headers, event.Header{Key: string(make([]byte, random.IntN(100))), Value: make([]byte, random.IntN(100))})
		}
		if b.Size() > 10<<20 {
			b.Reset(b.buf)
		}
		before := b.Size()
		b.Append(&m)
		if took := b.Size() - before; took > Size(&m) {
			t.Fatalf("took %d bytes, Size said %d", took, Size(&m))
		}
	}
}

func TestCount(t *testing.T) {
	one := build(someMessages(), Producer{}, 0)
	two := append(append([]byte(nil), one...), one...)
	lying := sealed(binary.BigEndian.AppendUint32(append([]byte(nil), one[:57]...), 1<<31-1))
	tests := []struct {
		name string
		data []byte
		want int
	}{
		{"nothing", nil, 0}, {"one", one, 3}, {"two", two, 6}, {"cut off", two[:len(two)-1], 3}, {"a header cut off", two[:len(one)+20], 3},
		{"length 0", make([]byte, 100), 0}, {"lying", lying, 0},
	}
	for _, tt := range tests {
		if have := Count(tt.data); have != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, have, tt.want)
		}
	}
}

func TestNextSequence(t *testing.T) {
	tests := []struct{ sequence, n, want int32 }{
		{0, 1, 1}, {5, 10, 15},
		{math.MaxInt32, 1, 0}, {math.MaxInt32 - 1, 1, math.MaxInt32}, {math.MaxInt32 - 2, 5, 2},
	}
	for _, tt := range tests {
		if have := NextSequence(tt.sequence, int(tt.n)); have != tt.want {
			t.Errorf("%d after %d: %d, want %d", tt.n, tt.sequence, have, tt.want)
		}
	}
}
