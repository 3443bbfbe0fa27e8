// Package consumertest tests a consumer.Handler without a broker: Drain hands it
// a Log, which is one partition of the journal in memory, with everything that a
// real one can hold.
package consumertest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/event"
)

// noon is when the first request of a Log was made; each later one came a
// millisecond after the one before.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// Log is one partition in memory, and a group's offset in it. It is a
// consumer.Log, and safe for concurrent use. The zero value is partition 0.
type Log struct {
	Partition int32
	// Piece is how many records are fetched at once; 0: all that there are.
	Piece int
	// NoGroup is true where there is no group to commit to.
	NoGroup bool

	mu       sync.Mutex
	records  []event.Record
	start    int64
	end      int64
	group    *broker.Offset
	refusal  error
	source   int64            // of the next journal record
	sequence map[string]int64 // by coupon
}

// Append writes records. Their place is filled in; what else they have stays as
// it is: time, and Err for a batch that can't be read.
func (l *Log) Append(records ...event.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range records {
		if r.Topic == "" {
			r.Topic = event.TopicGrants
		}
		r.Partition, r.Offset, r.LastOffset = l.Partition, l.end, l.end
		l.records = append(l.records, r)
		l.end++
	}
}

// Grant writes the next grant of a coupon.
func (l *Log) Grant(couponID, userID string) event.CouponGranted {
	l.mu.Lock()
	if l.sequence == nil {
		l.sequence = make(map[string]int64)
	}
	l.sequence[couponID]++
	source, at := l.next()
	g := event.CouponGranted{
		GrantID: id(source), CouponID: couponID, UserID: userID, Sequence: l.sequence[couponID], Limit: event.MaxLimit,
		RequestedAt: at, LogTime: at, Source: source,
	}
	l.mu.Unlock()
	l.write(g.Message(event.Meta{Source: event.JournalSource(event.TopicRequests, l.Partition)}))
	return g
}

// Define writes a definition that took effect: of a coupon that is given once.
func (l *Log) Define(couponID string, limit int64) event.CouponDefined {
	l.mu.Lock()
	source, at := l.next()
	d := event.CouponDefined{
		CouponID: couponID, Limit: limit, Window: event.WindowNone, TimeZone: "UTC", Rules: event.RulesVersion,
		RequestedAt: at, LogTime: at, Source: &source,
	}
	l.mu.Unlock()
	l.write(d.Message(event.Meta{ID: id(source), Source: event.JournalSource(event.TopicRequests, l.Partition)}))
	return d
}

// next is the source of the next journal record, and its time.
func (l *Log) next() (event.Source, time.Time) {
	s := event.Source{Partition: l.Partition, Offset: l.source}
	l.source++
	return s, noon.Add(time.Duration(s.Offset) * time.Millisecond)
}

// id is the grant id of a source, but for the hash of the topic in it.
func id(s event.Source) string {
	return fmt.Sprintf("%08x-%04x-8%03x-8000-000000000000", s.Offset>>16, s.Offset&0xffff, s.Partition)
}

func (l *Log) write(m event.Message, err error) {
	if err != nil { // a coupon or a user that there can't be
		panic("consumertest: " + err.Error())
	}
	l.Append(event.Record{Time: m.Time, Key: m.Key, Value: m.Value, Headers: m.Headers})
}

// Repeat writes the last n records once more, as the late batch of a former
// owner does.
func (l *Log) Repeat(n int) {
	l.mu.Lock()
	again := slices.Clone(l.records[len(l.records)-n:])
	l.mu.Unlock()
	l.Append(again...)
}

// Gap leaves out n offsets, as markers of transactions do.
func (l *Log) Gap(n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end += n
}

// Truncate removes everything below an offset, as retention does.
func (l *Log) Truncate(start int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.start = start
}

// Refuse makes all commits fail from now on: with broker.ErrFenced as those of a
// process that the group goes on without, which is also how a crash looks to the
// next owner. With nil they succeed again.
func (l *Log) Refuse(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refusal = err
}

// Fetch gives at most Piece records. At the end of the log it waits for half a
// second, and gives none.
func (l *Log) Fetch(ctx context.Context, offset int64) (consumer.Fetched, error) {
	got, err := l.fetch(ctx, offset)
	if err != nil || got.Next > offset {
		return got, err
	}
	wait := time.NewTimer(500 * time.Millisecond)
	defer wait.Stop()
	select {
	case <-ctx.Done():
		return got, ctx.Err()
	case <-wait.C:
		return got, nil
	}
}

func (l *Log) fetch(ctx context.Context, offset int64) (consumer.Fetched, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	got := consumer.Fetched{Start: l.start, End: l.end, Next: l.end}
	if ctx.Err() != nil {
		return got, ctx.Err()
	}
	if offset < l.start || offset > l.end {
		return got, &consumer.OutOfRangeError{Topic: event.TopicGrants, Partition: l.Partition, Asked: offset, Start: l.start, End: l.end}
	}
	for _, r := range l.records {
		if r.Offset < offset {
			continue
		}
		if l.Piece > 0 && len(got.Records) == l.Piece {
			got.Next = got.Records[l.Piece-1].Offset + 1
			break
		}
		got.Records = append(got.Records, r)
	}
	return got, nil
}

// Bounds are the first offset and the next one.
func (l *Log) Bounds(context.Context) (start, end int64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.start, l.end, nil
}

// OffsetAt is the offset of the first record of that time or later.
func (l *Log) OffsetAt(_ context.Context, t time.Time) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.records {
		if r.Offset >= l.start && !r.Time.Before(t) {
			return r.Offset, nil
		}
	}
	return l.end, nil
}

// Committed is what the group has.
func (l *Log) Committed(context.Context) (broker.Offset, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.NoGroup:
		return broker.Offset{}, false, consumer.ErrNoGroup
	case l.group == nil:
		return broker.Offset{}, false, nil
	}
	return *l.group, true, nil
}

// Commit sets what the group has.
func (l *Log) Commit(_ context.Context, offset int64, metadata string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.NoGroup || l.refusal != nil {
		return l.refusal
	}
	l.group = &broker.Offset{Offset: offset, Metadata: metadata}
	return nil
}

// Drain runs a handler as consumer.RunPartition does, until it is done with all
// that is in the log: nil then. Else it returns RunPartition's error.
func Drain(ctx context.Context, cfg consumer.PartitionConfig, l *Log, h consumer.Handler) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	drained := false
	cfg.Partition = l.Partition
	err := consumer.RunPartition(ctx, cfg, draining{l, func() { drained = true; cancel() }}, h)
	if drained {
		return nil
	}
	return err
}

// draining is a Log to which nothing will come any more.
type draining struct {
	*Log
	ended func()
}

func (d draining) Fetch(ctx context.Context, offset int64) (consumer.Fetched, error) {
	if start, end, _ := d.Bounds(ctx); offset == end {
		d.ended()
		return consumer.Fetched{Start: start, End: end, Next: end}, ctx.Err()
	}
	return d.Log.Fetch(ctx, offset)
}
