package consumer

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/internal/fetch"
	"github.com/firstcome/firstcome/pkg/internal/recordbatch"
)

// FetchConfig tunes a Fetcher; the zero value is fine.
type FetchConfig struct {
	// MaxBytes is asked for at once; default 1 MiB. A larger batch is read all
	// the same.
	MaxBytes int
	// MaxWait is how long the broker holds an answer back while there is
	// nothing new; default 500 ms.
	MaxWait time.Duration
	// MaxRecords are returned at once; default 50,000. What a small compressed
	// batch unpacks to is handed out piece by piece, so that it never is in
	// memory as records all at once.
	MaxRecords int
}

// Fetcher reads one partition. It is not safe for concurrent use, apart from
// Waiting. It opens its connection, to the partition's leader, with the first
// Fetch, and again whenever that breaks or the leader moves.
type Fetcher struct {
	client    *broker.Client
	topic     string
	partition int32
	cfg       FetchConfig

	conn    *fetch.Conn
	decoder recordbatch.Decoder
	ahead   frame // fetched, not yet handed out
	suspect int64 // offset of a batch that was unreadable once; -1: none
	waiting atomic.Pointer[string]
}

// Fetched is a piece of a partition.
type Fetched struct {
	// Records are in order, none below the asked offset. Their memory is the
	// caller's: it is never used again by the fetcher, and is freed with the
	// last record that is kept.
	Records []event.Record
	// Start is the log's first offset.
	Start int64
	// End is the next offset to be written, as far as the broker told with
	// this answer: at least Next.
	End int64
	// Next is the offset to ask for next: beyond the last record, and beyond
	// what is no record, such as markers of transactions.
	Next int64
}

// OutOfRangeError means that an offset is not in the log, and no later try
// will find it there: it lies before the log's start (cut off by retention) or
// beyond its end (this is another log).
type OutOfRangeError struct {
	Topic             string
	Partition         int32
	Asked, Start, End int64
}

func (e *OutOfRangeError) Error() string {
	return fmt.Sprintf("offset %d of partition %d of topic %s is not in the log, which has %d up to %d",
		e.Asked, e.Partition, e.Topic, e.Start, e.End)
}

// NewFetcher makes a fetcher for one partition; topic is the full name. It
// connects to nobody yet.
func NewFetcher(client *broker.Client, topic string, partition int32, cfg FetchConfig) *Fetcher {
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = 1 << 20
	}
	if cfg.MaxWait <= 0 {
		cfg.MaxWait = 500 * time.Millisecond
	}
	if cfg.MaxRecords <= 0 {
		cfg.MaxRecords = 50_000
	}
	return &Fetcher{
		client: client, topic: topic, partition: partition, cfg: cfg, suspect: -1,
		decoder: recordbatch.Decoder{Topic: topic, Partition: partition},
	}
}

// Close ends the connection. The fetcher can be used again.
func (f *Fetcher) Close() {
	if f.conn != nil {
		f.conn.Close()
		f.conn = nil
	}
	f.ahead = frame{}
}

// Waiting says what the current Fetch is waiting for since its last try
// failed; empty while all is well.
func (f *Fetcher) Waiting() string {
	if s := f.waiting.Load(); s != nil {
		return *s
	}
	return ""
}

// Fetch returns the records from offset on; after MaxWait without any, none.
//
// It tries again by itself, with growing waits, as long as trying can help and
// ctx lives: a broker that is away or restarting, a leader that moves. The
// end of ctx interrupts it at once. Errors are ctx's, *OutOfRangeError, and
// what no try can mend, such as a missing permission.
//
// A batch that can't be read (too large unpacked, or damaged) stands as one
// record for all its offsets: LastOffset, Err, and the first 512 KiB of its
// bytes as Value.
func (f *Fetcher) Fetch(ctx context.Context, offset int64) (Fetched, error) {
	if err := ctx.Err(); err != nil {
		return Fetched{}, err
	}
	if f.ahead.next == offset && f.ahead.left() {
		return f.handOut(offset), nil
	}
	f.ahead = frame{}
	asked := f.cfg.MaxBytes
	for {
		res, err := f.ask(ctx, offset, asked)
		if err != nil {
			return Fetched{}, err
		}
		f.ahead = frame{next: offset, rest: res.Records, size: len(res.Records), start: res.LogStart, end: res.HighWatermark, asked: asked}
		out := f.handOut(offset)
		switch {
		case f.ahead.need > asked: // a batch larger than what was asked for
			asked = f.ahead.need
		case out.Next == offset && f.suspect == offset && f.ahead.size > 0: // damaged perhaps on its way: look again
		default:
			return out, nil
		}
	}
}

// ask fetches until there is an answer or no hope.
func (f *Fetcher) ask(ctx context.Context, offset int64, maxBytes int) (fetch.Response, error) {
	var retry broker.Backoff
	for {
		res, err := f.try(ctx, offset, maxBytes)
		if err == nil {
			f.waiting.Store(nil)
			return res, nil
		}
		if f.conn != nil {
			f.conn.Close()
			f.conn = nil
		}
		if ctx.Err() != nil {
			return res, ctx.Err()
		}
		if !broker.Retriable(err) {
			return res, fmt.Errorf("fetching offset %d of partition %d of topic %s: %w", offset, f.partition, f.topic, err)
		}
		why := fmt.Sprintf("partition %d of topic %s: %v", f.partition, f.topic, err)
		f.waiting.Store(&why)
		if err := retry.Wait(ctx); err != nil {
			return res, err
		}
	}
}

// Bounds are the log's first offset and the next one to be written.
func (f *Fetcher) Bounds(ctx context.Context) (start, end int64, err error) {
	return f.client.Bounds(ctx, f.topic, f.partition)
}

// OffsetAt is the offset of the first record whose time is t or later; the
// log's end where there is none yet.
func (f *Fetcher) OffsetAt(ctx context.Context, t time.Time) (int64, error) {
	return f.client.OffsetAt(ctx, f.topic, f.partition, t)
}

func (f *Fetcher) try(ctx context.Context, offset int64, maxBytes int) (res fetch.Response, err error) {
	if f.conn == nil {
		if f.conn, err = fetch.Dial(ctx, f.client, f.topic, f.partition); err != nil {
			f.conn = nil
			return res, err
		}
	}
	res, err = f.conn.Fetch(ctx, fetch.Request{Offset: offset, MaxBytes: int32(maxBytes), MaxWait: f.cfg.MaxWait})
	if errors.Is(err, kafka.OffsetOutOfRange) {
		return res, f.outOfRange(ctx, offset)
	}
	return res, err
}

// outOfRange asks for the bounds, since the refusal does not tell them. A
// leader that has only just taken over may refuse what is there.
func (f *Fetcher) outOfRange(ctx context.Context, offset int64) error {
	start, end, err := f.client.Bounds(ctx, f.topic, f.partition)
	if err != nil {
		return err
	}
	if offset >= start && offset <= end {
		return kafka.OffsetNotAvailable
	}
	return &OutOfRangeError{Topic: f.topic, Partition: f.partition, Asked: offset, Start: start, End: end}
}
