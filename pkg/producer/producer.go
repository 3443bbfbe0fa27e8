// Package producer publishes records to one topic, each once: it is an
// idempotent producer with group commit. While a request for a partition is
// under way new records gather, and the next request takes all of them; there
// is no timer, and a lone record leaves at once. Partitions do not wait for
// each other.
package producer

import (
	"context"
	"errors"
	"fmt"
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
	defaultBatchBytes = 900_000
	// maxRecordBytes keeps a single record from being larger than any request
	// that a broker reads: it would close the connection without a word, for
	// ever.
	maxRecordBytes = 32 << 20
)

// Config says where to publish. Client and Topic are needed.
type Config struct {
	Client *broker.Client
	Topic  string // full name
	// MaxBatchBytes bounds a request; default 900,000. A larger record goes
	// alone. Where the broker takes less, that is found out.
	MaxBatchBytes int
	// Timeout is how long a record is tried, as if the caller's context ended
	// then; default: no limit but that context's.
	Timeout time.Duration
	// Observe, if set, is told of each request, from the partition's only
	// goroutine: it must be quick.
	Observe func(Stats)
}

// Stats is what Observe is told of a request.
type Stats struct {
	Partition int32
	Records   int
	Bytes     int
	Try       int // from 1
	Took      time.Duration
	Err       error // nil: acknowledged
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

	mu         sync.Mutex
	closed     bool
	partitions []*partition
	workers    sync.WaitGroup
}

// New makes a producer. It connects to nobody yet.
func New(cfg Config) (*Producer, error) {
	if cfg.Client == nil || cfg.Topic == "" {
		return nil, errors.New("producer: a client and a topic are needed")
	}
	if cfg.MaxBatchBytes <= 0 {
		cfg.MaxBatchBytes = defaultBatchBytes
	}
	if cfg.Observe == nil {
		cfg.Observe = func(Stats) {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Producer{cfg: cfg, ctx: ctx, cancel: cancel, learning: make(chan struct{}, 1)}, nil
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
// acknowledged or refused. If ctx ends before that, those never sent get
// ErrClosed and the others ErrUnknownOutcome.
func (p *Producer) Close(ctx context.Context) error {
	p.mu.Lock()
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
		return nil, fmt.Errorf("%w: asking for topic %s: %w", ErrUnavailable, p.cfg.Topic, ctx.Err())
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
		if !broker.Retriable(err) || retry.Wait(ctx) != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
}

func (p *Producer) known() ([]*partition, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, ErrClosed
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
