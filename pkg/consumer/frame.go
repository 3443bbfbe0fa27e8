package consumer

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/internal/recordbatch"
)

const (
	// deadValue is what is kept of a batch that can't be read.
	deadValue = 512 << 10
	// maxBatch is the largest batch that is believed to be one.
	maxBatch = 128 << 20
)

// frame is an answer to a fetch while it is handed out.
type frame struct {
	next    int64                // offset that comes next
	content *recordbatch.Content // of the batch that is being read
	last    int64                // its last offset
	rest    []byte               // the batches after it
	start   int64
	end     int64
	size    int // bytes of all batches
	asked   int // bytes that were asked for
	need    int // bytes to ask for, where not even the first batch is whole
}

func (a *frame) left() bool { return a.content != nil || len(a.rest) > 0 }

// handOut reads as many batches of the frame as make up one Fetched.
func (f *Fetcher) handOut(offset int64) Fetched {
	a := &f.ahead
	out := Fetched{Start: a.start}
	if a.content != nil || len(a.rest) > 0 {
		claimed := recordbatch.Count(a.rest)
		if a.content != nil {
			claimed += a.content.Len()
		}
		out.Records = make([]event.Record, 0, min(f.cfg.MaxRecords, claimed))
	}
	for len(out.Records) < f.cfg.MaxRecords && f.step(&out.Records) {
	}
	out.Next = a.next
	out.End = max(a.end, a.next)
	return out
}

// step reads the next piece; false at the frame's end.
func (f *Fetcher) step(records *[]event.Record) bool {
	a := &f.ahead
	if a.content != nil {
		return f.read(records)
	}
	if len(a.rest) == 0 {
		return false
	}
	b, rest, err := recordbatch.Next(a.rest)
	var truncated *recordbatch.TruncatedError
	if errors.As(err, &truncated) {
		return f.truncated(records, truncated)
	}
	if err != nil {
		return f.damaged(records, b, rest, err)
	}
	f.suspect = -1
	a.rest = rest
	if b.LastOffset < a.next {
		return true
	}
	a.last = b.LastOffset
	if b.Control() {
		a.next = b.LastOffset + 1
		return true
	}
	content, err := recordbatch.Open(b)
	if err == nil {
		a.content = content
		err = f.readInto(records)
	}
	if err != nil {
		f.unreadable(records, b, max(a.next, b.BaseOffset), b.LastOffset, err)
	}
	return true
}

func (f *Fetcher) read(records *[]event.Record) bool {
	// A batch that can't be read says so when it is begun.
	return f.readInto(records) == nil
}

func (f *Fetcher) readInto(records *[]event.Record) error {
	a := &f.ahead
	read, err := f.decoder.Read(*records, a.content, a.next, f.cfg.MaxRecords-len(*records))
	if err != nil {
		a.content = nil
		return err
	}
	if len(read) > len(*records) {
		a.next = read[len(read)-1].Offset + 1
	}
	if *records = read; a.content.Len() == 0 {
		a.content = nil
		a.next = a.last + 1
	}
	return nil
}

// truncated is the usual end of a frame. Where the very first batch is cut
// off, more must be asked for; if that was done already, it is no batch.
func (f *Fetcher) truncated(records *[]event.Record, t *recordbatch.TruncatedError) bool {
	a := &f.ahead
	switch first := len(a.rest) == a.size; {
	case !first:
	case t.Need > maxBatch || t.Need <= a.asked:
		f.unreadable(records, recordbatch.Batch{Bytes: a.rest}, a.next, a.next, fmt.Errorf("%w: %w", recordbatch.ErrMalformed, t))
	default:
		a.need = t.Need
	}
	a.rest = nil
	return false
}

// damaged takes a batch whose header or checksum is wrong. That may have
// happened on its way, so it is asked for once more, on a new connection.
// Nothing in such a batch can be trusted, nor what seems to follow it.
func (f *Fetcher) damaged(records *[]event.Record, b recordbatch.Batch, rest []byte, err error) bool {
	a := &f.ahead
	a.rest = nil
	if f.suspect != a.next {
		f.suspect = a.next
		if f.conn != nil {
			f.conn.Close()
			f.conn = nil
		}
		return false
	}
	f.suspect = -1
	last := a.next
	if following, _, err := recordbatch.Next(rest); err == nil && following.BaseOffset > last {
		last = following.BaseOffset - 1
	} else if b.LastOffset > last && b.LastOffset < a.end {
		last = b.LastOffset
	}
	f.unreadable(records, b, a.next, last, err)
	return false
}

// unreadable lets one record stand for a batch.
func (f *Fetcher) unreadable(records *[]event.Record, b recordbatch.Batch, first, last int64, err error) {
	reason := event.ReasonMalformed
	if errors.Is(err, recordbatch.ErrTooLarge) {
		reason = event.ReasonTooLarge
	}
	r := event.Record{
		Topic: f.topic, Partition: f.partition,
		Offset: first, LastOffset: last,
		LogAppendTime: b.LogAppendTime(),
		Value:         bytes.Clone(b.Bytes[:min(len(b.Bytes), deadValue)]),
		Err:           &event.DecodeError{Reason: reason, Detail: err.Error()},
	}
	if b.MaxTime > 0 { // not where the checksum is wrong
		r.Time = time.UnixMilli(b.MaxTime).UTC()
	}
	*records = append(*records, r)
	f.ahead.next = last + 1
}
