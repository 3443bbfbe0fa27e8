package gateway

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/services/gateway/verdict"
)

// turnsAtOnce of a partition: one script call of reads under way, and the next one filling.
const turnsAtOnce = 200

// partitions knows of each partition of the requests log the highest progress that was ever heard of. An answer from a
// state below it would contradict what somebody was told before: Redis was emptied or rewound, and is catching up.
type partitions struct {
	client *broker.Client
	topic  string
	heard  []atomic.Int64
	latest []atomic.Int64  // progress that Redis last had; -1: none, or not known
	turns  []chan struct{} // to read, of those who wait: a value in it is a turn taken

	mu     sync.Mutex
	asked  time.Time // when the broker was last asked for the ends
	failed error     // what it answered then
}

// loadPartitions counts the end of each partition as heard: everything in the log may have been told by others.
func loadPartitions(ctx context.Context, client *broker.Client, topic string, count int) (*partitions, error) {
	p := &partitions{
		client: client, topic: topic,
		heard: make([]atomic.Int64, count), latest: make([]atomic.Int64, count), turns: make([]chan struct{}, count),
	}
	for i := range count {
		p.heard[i].Store(-1)
		p.latest[i].Store(-1)
		p.turns[i] = make(chan struct{}, turnsAtOnce)
	}
	return p, p.askEnds(ctx)
}

// Hear takes note of a progress. An older one changes nothing of what may be told.
func (p *partitions) Hear(partition int32, progress int64) {
	p.latest[partition].Store(progress)
	p.raise(partition, progress)
}

func (p *partitions) raise(partition int32, progress int64) {
	h := &p.heard[partition]
	for old := h.Load(); old < progress && !h.CompareAndSwap(old, progress); {
		old = h.Load()
	}
}

// Heard is the progress below which no state of a partition may be told from; -1 where nothing was ever in it. Since
// Redis cannot tell "nothing yet" from "lost everything", -1 is asked of the broker, at most once a second.
func (p *partitions) Heard(ctx context.Context, partition int32) (int64, error) {
	if heard := p.heard[partition].Load(); heard >= 0 {
		return heard, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.asked) > time.Second {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second) // who waits behind it is told the same
		defer cancel()
		if p.failed = p.askEnds(ctx); p.failed != nil {
			p.asked = time.Now()
		}
	}
	if heard := p.heard[partition].Load(); heard >= 0 || p.failed == nil {
		return heard, nil
	}
	return 0, p.failed
}

// HearAll counts the end of each partition as heard, as at the start: Redis was away, and what comes back may be older than
// what others have told from it meanwhile.
func (p *partitions) HearAll(ctx context.Context) error {
	ends, err := p.client.Ends(ctx, p.topic)
	if err != nil {
		return err
	}
	for i := range p.heard {
		p.raise(int32(i), ends[int32(i)]-1)
	}
	return nil
}

func (p *partitions) askEnds(ctx context.Context) error {
	began := time.Now()
	ends, err := p.client.Ends(ctx, p.topic)
	if err != nil {
		return err
	}
	if len(ends) != len(p.heard) {
		return fmt.Errorf("topic %s has %d partitions now, and had %d", p.topic, len(ends), len(p.heard))
	}
	for i := range p.heard {
		// Only where nothing was heard: the end of a log at work is ahead of every progress.
		p.heard[i].CompareAndSwap(-1, ends[int32(i)]-1)
	}
	p.asked = began
	return nil
}

// Latest is the progress that Redis last had, as far as this gateway knows; -1 if it does not. Unlike Heard it falls where
// Redis is emptied.
func (p *partitions) Latest(partition int32) int64 { return p.latest[partition].Load() }

// Position is an upper bound of the people in front of a pending claim, itself included.
func (p *partitions) Position(t verdict.Ticket) int64 { return max(1, t.Offset-p.Latest(t.Partition)) }

func (p *partitions) Count() int { return len(p.heard) }
