// Package letter reads the dead letters' topic, and sends what was refused there once more.
package letter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/firstcome/firstcome/cli/internal/printed"
	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/event"
)

// Box is the dead letters' topic.
type Box struct {
	Client *broker.Client
	Topic  string // full name
}

// Entry is one refused record, however often its dead letter was written: without the bytes of it, so that there is room
// for many. What it says is what the newest copy says.
type Entry struct {
	Copies    []int64   // offsets of the dead letter, in order; the last one is the newest
	Topic     string    // where the record came from
	Partition int32     // of that topic
	From      int64     // its offset there
	To        int64     // the last offset, where it stands for a batch; else From
	Time      time.Time // of the record
	Reason    event.Reason
	Detail    string
	CouponID  string // the key, where that can be a coupon id
	Bytes     int    // of the value, before anything was cut
	Problem   error  // why it is no dead letter: then only Copies, Time and Bytes are known, as they stand in the topic
}

// Offset is that of the newest copy.
func (e Entry) Offset() int64 { return e.Copies[len(e.Copies)-1] }

// Name says in words which dead letter this is.
func (e Entry) Name() string {
	if e.Problem != nil {
		return fmt.Sprintf("offset %d", e.Offset())
	}
	return fmt.Sprintf("dead letter %d (%s, %s)", e.Offset(), e.Place(), printed.Clean(string(e.Reason)))
}

// Place is where the record came from.
func (e Entry) Place() string {
	if e.To > e.From {
		return fmt.Sprintf("%s/%d/%d-%d", printed.Clean(e.Topic), e.Partition, e.From, e.To)
	}
	return fmt.Sprintf("%s/%d/%d", printed.Clean(e.Topic), e.Partition, e.From)
}

// place tells records apart. A topic that was made anew under its old name has other records at the same offsets.
type place struct {
	topic     string
	partition int32
	offset    int64
	time      int64
}

// List gives what the topic holds now and the filter lets through, in the order in which it was written.
func (b Box) List(ctx context.Context, f Filter) ([]Entry, error) {
	if _, err := b.Client.Partitions(ctx, b.Topic); errors.Is(err, broker.ErrNoTopic) {
		return nil, fmt.Errorf("topic %s is not there: `firstcome topics create` makes it", b.Topic)
	} else if err != nil {
		return nil, err
	}
	start, end, err := b.Client.Bounds(ctx, b.Topic, 0)
	if err != nil {
		return nil, err
	}
	r := b.reader()
	defer r.fetcher.Close()
	known := make(map[place][]int64)
	var all []Entry
	for r.next = start; ; {
		record, ok, err := r.before(ctx, end)
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		e := entryOf(record)
		if e.Problem == nil {
			at := e.place()
			e.Copies = append(known[at], record.Offset)
			known[at] = e.Copies
		}
		if f.match(e) { // what the newest copy says counts, and it comes last
			all = append(all, e)
		}
	}
	return slices.DeleteFunc(all, func(e Entry) bool {
		return e.Problem == nil && len(known[e.place()]) > len(e.Copies)
	}), nil
}

func (e Entry) place() place { return place{e.Topic, e.Partition, e.From, e.Time.UnixMilli()} }

func entryOf(r event.Record) Entry {
	l, err := event.ReadDeadLetter(r)
	if err != nil {
		return Entry{Copies: []int64{r.Offset}, Time: r.Time, Bytes: len(r.Value), Problem: err}
	}
	e := Entry{
		Topic: l.Record.Topic, Partition: l.Record.Partition, From: l.Record.Offset, To: l.Record.LastOffset, Time: l.Record.Time,
		Reason: l.Reason, Detail: l.Detail, Bytes: max(len(l.Record.Value), l.ValueBytes),
	}
	if event.CheckCouponID(string(l.Record.Key)) == nil {
		e.CouponID = string(l.Record.Key)
	}
	return e
}

// Open reads the newest copies of entries once more, whole, and hands them over one by one. An error of take ends it.
func (b Box) Open(ctx context.Context, entries []Entry, take func(Entry, event.Record) error) error {
	r := b.reader()
	defer r.fetcher.Close()
	for _, e := range entries {
		record, err := r.at(ctx, e.Offset())
		if err != nil {
			return err
		}
		if err := take(e, record); err != nil {
			return err
		}
	}
	return nil
}

// reader reads the topic's only partition forwards.
type reader struct {
	fetcher *consumer.Fetcher
	next    int64 // to be fetched
	records []event.Record
}

func (b Box) reader() *reader {
	return &reader{fetcher: consumer.NewFetcher(b.Client, b.Topic, 0, consumer.FetchConfig{})}
}

// before gives the next record; false where the next one would be at end or later.
func (r *reader) before(ctx context.Context, end int64) (event.Record, bool, error) {
	for len(r.records) == 0 {
		if r.next >= end {
			return event.Record{}, false, nil
		}
		got, err := r.fetcher.Fetch(ctx, r.next)
		if err != nil {
			return event.Record{}, false, err
		}
		if got.Next == r.next && got.End < end {
			return event.Record{}, false, fmt.Errorf("the dead letters end at offset %d, and a moment ago they went on to %d", got.End, end)
		}
		r.next, r.records = got.Next, got.Records
	}
	head := r.records[0]
	r.records = r.records[1:]
	return head, head.Offset < end, nil
}

// at gives the record at an offset, which is beyond all that were given.
func (r *reader) at(ctx context.Context, offset int64) (event.Record, error) {
	if len(r.records) == 0 || r.next <= offset {
		r.next, r.records = offset, nil
	}
	for {
		record, ok, err := r.before(ctx, offset+1)
		switch {
		case err != nil:
			return event.Record{}, err
		case !ok:
			return event.Record{}, fmt.Errorf("the dead letter at offset %d is gone", offset)
		case record.Offset == offset:
			return record, nil
		}
	}
}
