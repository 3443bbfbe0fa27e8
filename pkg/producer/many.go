package producer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/firstcome/firstcome/pkg/event"
)

// Send takes a record for the partition of its key and returns; done is told
// what became of it. It is for many records: nobody waits for each, and memory
// is bounded all the same, since Send waits while MaxBufferedBytes of records
// are taken that are not acknowledged yet.
//
// With an error (ErrTooLarge; ErrClosed; ErrUnavailable, where ctx or Timeout
// ended before there was room, or before the topic was found) the record was
// not taken, and done is never called. After that ctx has no part in it. A
// record that was taken is tried until Timeout or Close ends, with the errors
// of Publish.
//
// Records of one key keep the order of their Send calls, in the log and in
// what done is told. For each partition done is called by one goroutine at a
// time, which sends its next request after that: it must be quick, and must not
// call the producer.
//
// The room is shared: records of a partition whose broker is away take it from
// the others, for Timeout at most.
//
// The message's bytes must not be changed before done is called, and not at
// all after ErrUnknownOutcome.
func (p *Producer) Send(ctx context.Context, m event.Message, done func(Ack, error)) error {
	if done == nil {
		panic("producer: Send needs a function to tell")
	}
	ctx, cancel := p.limit(ctx)
	defer cancel()
	partitions, err := p.all(ctx)
	if err != nil {
		return err
	}
	t := partitions[event.Partition(string(m.Key), len(partitions))]
	c := newCall(1)
	c.messages[0], c.then = m, done
	if err := t.prepare(c); err != nil {
		return err
	}
	if c.held, err = p.room.take(ctx, p.closing, c.size+footprint(&m)); err != nil {
		c.free()
		if errors.Is(err, ErrClosed) {
			return t.outcome(ErrClosed, nil)
		}
		return t.outcome(ErrUnavailable, fmt.Errorf("no room beside the %d bytes that are not acknowledged: %w", p.cfg.MaxBufferedBytes, err))
	}
	if err := t.enqueue(ctx, c); err != nil {
		p.room.give(c.held)
		c.free()
		return err
	}
	return nil
}

// footprint is what a message that Send took costs in memory besides its
// bytes: the call, and its headers' own sizes and pointers.
func footprint(m *event.Message) int { return 512 + 48*len(m.Headers) }

// ending is what done is to be told.
type ending struct {
	then func(Ack, error)
	ack  Ack
	err  error
}

// tell calls the done of what has ended, in order. The partition's lock is not
// held, so that others may go on handing records over.
func (t *partition) tell() {
	t.telling.Lock()
	defer t.telling.Unlock()
	for {
		t.mu.Lock()
		endings := t.endings
		t.endings = nil
		t.mu.Unlock()
		if len(endings) == 0 {
			return
		}
		for _, e := range endings {
			e.then(e.ack, e.err)
		}
	}
}

// letGo is the last touch of a call that Send made: nothing of it is in memory
// for us any more, and its room is another's. It returns how much.
func (c *call) letGo() int {
	if c.then == nil {
		return 0
	}
	held := c.held
	c.free()
	return held
}

// arm sees to it that a record that Send took is not tried for longer than
// Timeout.
func (t *partition) arm(c *call) {
	if timeout := t.p.cfg.Timeout; c.then != nil && timeout > 0 && t.expiry == nil {
		t.expiry = time.AfterFunc(timeout, t.expire)
	}
}

// expire gives up the records that Send took too long ago: as a caller of
// Publish would, whose context has ended.
func (t *partition) expire() {
	t.expireUntil(time.Now())
	t.tell()
}

func (t *partition) expireUntil(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	timeout := t.p.cfg.Timeout
	var oldest time.Time // of those that go on being tried
	late := func(c *call) bool {
		if c.then == nil || c.gone {
			return false
		}
		if now.Sub(c.since) < timeout {
			if oldest.IsZero() || c.since.Before(oldest) {
				oldest = c.since
			}
			return false
		}
		t.finish(c, t.gaveUp(c, context.DeadlineExceeded))
		c.gone = true
		return true
	}
	if t.flying != nil {
		for _, part := range t.flying.parts {
			late(part.call)
		}
	}
	for _, c := range t.queue {
		late(c)
	}
	t.sweep()
	t.expiry = nil
	if !oldest.IsZero() {
		t.expiry = time.AfterFunc(max(timeout-now.Sub(oldest), timeout/64, time.Millisecond), t.expire)
	}
}

// sweep throws out of the queue the calls that nobody waits for.
func (t *partition) sweep() {
	freed := 0
	t.queue = slices.DeleteFunc(t.queue, func(c *call) bool {
		if !c.gone || c.taken > 0 {
			return false
		}
		freed += c.letGo()
		return true
	})
	t.gone = 0
	t.p.room.give(freed)
}
