package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/event"
)

// What a stream holds in memory: one answer of a broker unpacked, and the next one as it came.
const (
	fetchBytes   = 1 << 20
	fetchRecords = 10_000
)

// stream reads a partition record by record, up to before an end that may be moved on. While one piece is used the next
// one is on its way.
type stream struct {
	fetcher   *consumer.Fetcher
	topic     string
	partition int32
	next, end int64 // next to be fetched
	records   []event.Record
	ahead     chan piece
	stop      context.CancelFunc  // of what is ahead
	passed    func(offsets int64) // told of each piece
	patience  time.Duration       // with one answer
}

type piece struct {
	consumer.Fetched
	err error
}

func newStream(client *broker.Client, topic string, partition int32, from, end int64, passed func(int64)) *stream {
	return &stream{
		fetcher: consumer.NewFetcher(client, topic, partition, consumer.FetchConfig{MaxBytes: fetchBytes, MaxRecords: fetchRecords}),
		topic:   topic, partition: partition, next: from, end: end, passed: passed, patience: patience,
	}
}

func (s *stream) Close() {
	if s.ahead != nil {
		s.stop()
		s.piece(context.Background())
	}
	s.fetcher.Close()
}

// Record gives the next one; false at the end.
func (s *stream) Record(ctx context.Context) (event.Record, bool, error) {
	for len(s.records) == 0 {
		if s.next >= s.end {
			return event.Record{}, false, nil
		}
		if err := s.fetch(ctx); err != nil {
			return event.Record{}, false, err
		}
	}
	r := s.records[0]
	if r.Offset >= s.end {
		return event.Record{}, false, nil
	}
	s.records = s.records[1:]
	return r, true, nil
}

// Position is the offset that comes next: all below it were handed out.
func (s *stream) Position() int64 {
	if len(s.records) > 0 {
		return s.records[0].Offset
	}
	return s.next
}

func (s *stream) fetch(ctx context.Context) error {
	got := s.piece(ctx)
	if got.err != nil {
		return got.err
	}
	if got.Next == s.next && got.End < s.end {
		return fmt.Errorf("partition %d of topic %s ends at %d, and a moment ago it had records up to %d", s.partition, s.topic, got.End, s.end)
	}
	s.passed(got.Next - s.next)
	s.next, s.records = got.Next, got.Records
	if s.next < s.end {
		ctx, s.stop = context.WithCancel(ctx)
		s.ahead = make(chan piece, 1)
		go func(into chan<- piece, from int64) { into <- s.ask(ctx, from) }(s.ahead, s.next)
	}
	return nil
}

func (s *stream) piece(ctx context.Context) piece {
	if s.ahead == nil {
		return s.ask(ctx, s.next)
	}
	got := <-s.ahead
	s.stop()
	s.ahead, s.stop = nil, nil
	return got
}

func (s *stream) ask(ctx context.Context, from int64) piece {
	bounded, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	got, err := s.fetcher.Fetch(bounded, from)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = fmt.Errorf("in %s no broker gave offset %d of partition %d of topic %s", s.patience, from, s.partition, s.topic)
		if why := s.fetcher.Waiting(); why != "" {
			err = fmt.Errorf("%w: %s", err, why)
		}
	}
	return piece{got, err}
}

// patience is how long a broker may be away: one that restarts, or a leader that moves, is no difference.
const patience = 15 * time.Second

func patiently[T any](ctx context.Context, try func(context.Context) (T, error)) (T, error) {
	deadline := time.Now().Add(patience)
	var retry broker.Backoff
	for {
		got, err := try(ctx)
		if err == nil || !broker.Retriable(err) || errors.Is(err, broker.ErrNoTopic) || time.Now().After(deadline) {
			return got, err
		}
		if err := retry.Wait(ctx); err != nil {
			return got, err
		}
	}
}

type span struct{ start, end int64 }

func bounds(ctx context.Context, client *broker.Client, topic string, partition int32) (span, error) {
	return patiently(ctx, func(ctx context.Context) (s span, err error) {
		s.start, s.end, err = client.Bounds(ctx, topic, partition)
		return s, err
	})
}

func partitions(ctx context.Context, client *broker.Client, topic string) (int, error) {
	return patiently(ctx, func(ctx context.Context) (int, error) { return client.Partitions(ctx, topic) })
}
