// Package producer publishes records to one topic, each once: it is an
// idempotent producer with group commit. While a request for a partition is
// under way new records gather, and the next request takes all of them; there
// is no timer, and a lone record leaves at once. Partitions do not wait for
// each other.
package producer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/internal/recordbatch"
)

var (
	// ErrTooLarge means that no broker takes a record of that size; it is not
	// in the log.
	ErrTooLarge = errors.New("record too large")
	// ErrUnavailable means that the record is certainly not in the log, and
	// will not get there.
	ErrUnavailable = errors.New("not published")
	// ErrUnknownOutcome means that the record may be in the log, now or soon,
	// but once at most: it is still being tried.
	ErrUnknownOutcome = errors.New("it is unknown whether it was published")
	// ErrClosed means that the producer was closed before the record was sent;
	// it is not in the log.
	ErrClosed = errors.New("producer closed")
)

const (
	// defaultBatchBytes stays below the megabyte that brokers take by default.
	defaultBatchBytes    = 900_000
	defaultBufferedBytes = 32 << 20
	// maxRecordBytes keeps a single record from being larger than any request
	// that a broker reads: it would close the connection without a word, for
	// ever.
	maxRecordBytes = 32 << 20
)

// Config says where to publish. Client is needed.
type Config struct {
	Client *broker.Client
	// Topic is the full name; default: the requests log, coupon.requests with
	// the client's prefix.
	Topic string
	// MaxBatchBytes bounds a request; default 900,000. A larger record goes
	// alone. Where the broker takes less, that is found out.
	MaxBatchBytes int
	// MaxBufferedBytes bounds what Send has taken and what is not acknowledged
	// yet, in memory; default 32 MiB. Besides it there is one request a
	// partition (MaxBatchBytes), and what the callers of Publish hold.
	MaxBufferedBytes int
	// Timeout is how long a record is tried, as if the caller's context ended
	// then; default: no limit but that context's, and none for Send.
	Timeout time.Duration
	// Observe, if set, is told of each try to publish, from the partition's
	// only goroutine: it must be quick. It is what metrics are made of.
	Observe func(Stats)
	// Log gets what goes wrong again and again and is tried on, at most every
	// ten seconds; nil means slog.Default().
	Log *slog.Logger
}

// Stats is what Observe is told of a try to publish some records of a
// partition, before their callers are. One with Err nil comes once for each
// record that is acknowledged, and the others are tries that failed: most are
// followed by another one.
type Stats struct {
	Partition int32
	Records   int
	Bytes     int           // of the request
	Try       int           // from 1, above that it is a retry; 0: no request could be made at all
	Took      time.Duration // the request
	Oldest    time.Duration // since the oldest of the records was handed over
	Buffered  int           // bytes of MaxBufferedBytes in use, these records' included
	Err       error         // nil: acknowledged
}

// Ack is where a record stands.
type Ack struct {
	Partition int32
	Offset    int64
	// AppendTime is the broker's time of the record; zero on a topic with
	// CreateTime.
	AppendTime time.Time
}

// Producer publishes to one topic. It is safe for concurrent use.
type Producer struct {
	cfg      Config
	ctx      context.Context // ends with the producer
	cancel   context.CancelFunc
	learning chan struct{} // held by who asks for the number of partitions
	room     *room
	closing  chan struct{} // closed once no more records are taken

	mu         sync.Mutex
	complained time.Time
	closed     bool
	partitions []*partition
	workers    sync.WaitGroup
}

// New makes a producer. It connects to nobody yet.
func New(cfg Config) (*Producer, error) {
	if cfg.Client == nil {
		return nil, errors.New("producer: a client is needed")
	}
	cfg.Topic = cmp.Or(cfg.Topic, cfg.Client.Config().Topic(event.TopicRequests))
	cfg.Log = cmp.Or(cfg.Log, slog.Default()).With("topic", cfg.Topic)
	if cfg.MaxBatchBytes <= 0 {
		cfg.MaxBatchBytes = defaultBatchBytes
	}
	if cfg.MaxBufferedBytes <= 0 {
		cfg.MaxBufferedBytes = defaultBufferedBytes
	}
	if cfg.Observe == nil {
		cfg.Observe = func(Stats) {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Producer{
		cfg: cfg, ctx: ctx, cancel: cancel,
		learning: make(chan struct{}, 1), closing: make(chan struct{}), room: newRoom(cfg.MaxBufferedBytes),
	}, nil
}

// Publish appends a record to the partition of its key (event.Partition) and
// returns once all in-sync replicas have it.
//
// Where the broker's answer is missing, the same bytes are sent again with the
// same sequence number until it answers, so that the record is in the log
// once. If ctx ends before that, a record that was never sent is taken back
// (ErrUnavailable); else it is ErrUnknownOutcome, and the tries go on.
//
// The message's bytes must not be changed before Publish returns, and not at
// all after ErrUnknownOutcome.
func (p *Producer) Publish(ctx context.Context, m event.Message) (Ack, error) {
	ctx, cancel := p.limit(ctx)
	defer cancel()
	partitions, err := p.all(ctx)
	if err != nil {
		return Ack{}, err
	}
	c := newCall(1)
	c.messages[0] = m
	acks, err := partitions[event.Partition(string(m.Key), len(partitions))].publish(ctx, c)
	if err != nil {
		return Ack{}, err
	}
	return acks[0], nil
}

// PublishTo appends records to one partition, in order. They stand one after
// the other, except where they need more than one request; nothing is between
// the records of one.
//
// With an error, the acknowledgements are those of the first records, as many
// as had arrived; the error is about the others (ErrUnknownOutcome: some of
// them).
func (p *Producer) PublishTo(ctx context.Context, partition int32, messages ...event.Message) ([]Ack, error) {
	if len(messages) == 0 {
		return nil, nil
	}
	ctx, cancel := p.limit(ctx)
	defer cancel()
	partitions, err := p.all(ctx)
	if err != nil {
		return nil, err
	}
	if partition < 0 || int(partition) >= len(partitions) {
		return nil, fmt.Errorf("%w: topic %s has no partition %d", ErrUnavailable, p.cfg.Topic, partition)
	}
	c := newCall(len(messages))
	copy(c.messages, messages)
	return partitions[partition].publish(ctx, c)
}

// Topic is the full name of the topic that it publishes to.
func (p *Producer) Topic() string { return p.cfg.Topic }

// OldestUnacknowledged is for how long the oldest record of a partition has
// been waiting for its acknowledgement, those included whose callers have
// given up; 0 where none waits.
func (p *Producer) OldestUnacknowledged(partition int32) time.Duration {
	p.mu.Lock()
	partitions := p.partitions
	p.mu.Unlock()
	if partition < 0 || int(partition) >= len(partitions) {
		return 0
	}
	return partitions[partition].oldest()
}

// Close takes no more records and returns when all that were taken are
// acknowledged or refused, and every done has been called. If ctx ends before
// that, those never sent get ErrClosed and the others ErrUnknownOutcome: no
// more is tried, a request that is under way may still reach the log.
func (p *Producer) Close(ctx context.Context) error {
	p.mu.Lock()
	if !p.closed {
		close(p.closing)
	}
	p.closed = true
	partitions := p.partitions
	p.mu.Unlock()
	for _, t := range partitions {
		t.close()
	}
	done := make(chan struct{})
	go func() {
		p.workers.Wait()
		close(done)
	}()
	defer p.cancel()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		p.cancel()
		<-done
		return fmt.Errorf("closing the producer of topic %s: %w", p.cfg.Topic, ctx.Err())
	}
}

func (p *Producer) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if p.cfg.Timeout > 0 {
		return context.WithTimeout(ctx, p.cfg.Timeout)
	}
	return ctx, func() {}
}

// all are the topic's partitions, as many as it had when they were first asked
// for: a topic that grows would move keys.
func (p *Producer) all(ctx context.Context) ([]*partition, error) {
	if partitions, err := p.known(); partitions != nil || err != nil {
		return partitions, err
	}
	select {
	case p.learning <- struct{}{}:
		defer func() { <-p.learning }()
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: asking for topic %s: %w", ErrUnavailable, p.cfg.Topic, context.Cause(ctx))
	}
	var retry broker.Backoff
	for {
		if partitions, err := p.known(); partitions != nil || err != nil {
			return partitions, err
		}
		n, err := p.cfg.Client.Partitions(ctx, p.cfg.Topic)
		if err == nil {
			p.learn(n)
			continue
		}
		p.complain(retry.Tries(), "asking for the topic", err)
		if !broker.Retriable(err) {
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		if retry.Wait(ctx) != nil {
			return nil, fmt.Errorf("%w: %w (last try: %w)", ErrUnavailable, context.Cause(ctx), err)
		}
	}
}

func (p *Producer) known() ([]*partition, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, fmt.Errorf("topic %s: %w", p.cfg.Topic, ErrClosed)
	}
	return p.partitions, nil
}

func (p *Producer) learn(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	partitions := make([]*partition, n)
	for i := range partitions {
		partitions[i] = &partition{p: p, number: int32(i), wake: make(chan struct{}, 1), limit: p.cfg.MaxBatchBytes}
	}
	p.partitions = partitions
}

// complain logs what has failed several times and is tried on: callers without
// a time limit would never hear of it. A leader that moved is no news.
func (p *Producer) complain(failures int, doing string, err error) {
	if failures < 2 || p.ctx.Err() != nil {
		return
	}
	p.mu.Lock()
	now := time.Now()
	silent := now.Sub(p.complained) < 10*time.Second
	if !silent {
		p.complained = now
	}
	p.mu.Unlock()
	if !silent {
		p.cfg.Log.Warn("publishing fails, trying again", "at", doing, "error", err)
	}
}

// start runs a partition's worker, unless the producer is closed.
func (p *Producer) start(t *partition) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.workers.Add(1)
	go func() {
		defer p.workers.Done()
		t.run(p.ctx)
	}()
	return true
}

// size is what m takes in a request, at most.
func size(m *event.Message) int { return recordbatch.Size(m) }
