package producer

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/internal/recordbatch"
)

// call is one caller's records on their way. Its fields belong to the
// partition's lock once it is queued; messages are not written any more.
type call struct {
	messages []event.Message
	acks     []Ack
	size     int // bytes of the messages from taken on
	since    time.Time
	taken    int  // messages that are in a batch, or were
	acked    int  // messages that are acknowledged
	sent     bool // some of them may be in the log, or are
	gone     bool // the caller has given up
	err      error
	done     chan struct{}    // one element once the call is finished
	then     func(Ack, error) // of Send: is told instead
	held     int              // bytes of the room that Send has taken

	oneMessage [1]event.Message
	oneAck     [1]Ack
}

var calls = sync.Pool{New: func() any { return &call{done: make(chan struct{}, 1)} }}

func newCall(n int) *call {
	c := calls.Get().(*call)
	if n == 1 {
		c.messages, c.acks = c.oneMessage[:], c.oneAck[:]
	} else {
		c.messages, c.acks = make([]event.Message, n), make([]Ack, n)
	}
	return c
}

// free is for a call that nobody else knows any more.
func (c *call) free() { *c = call{done: c.done}; calls.Put(c) }

// finished tells whether c.done was or will be received from.
func (c *call) finished() bool { return c.err != nil || c.acked == len(c.messages) }

// partition is the queue of one partition and its worker, which alone sends.
type partition struct {
	p      *Producer
	number int32
	wake   chan struct{} // has an element when there may be something to do

	mu      sync.Mutex
	queue   []*call
	gone    int // calls in the queue whose callers have given up
	flying  *batch
	running bool
	closed  bool
	lastErr error // why the last request failed; nil when it did not
	endings []ending
	expiry  *time.Timer // runs while a record of Send has a Timeout

	telling sync.Mutex // held while endings are told

	// The worker's own.
	limit    int // bytes of a batch
	single   int // so many records go alone, to find the one that is refused
	session  *session
	stamps   stamps
	memory   []byte
	sequence int32
}

func (t *partition) publish(ctx context.Context, c *call) ([]Ack, error) {
	if err := t.prepare(c); err != nil {
		return nil, err
	}
	if err := t.enqueue(ctx, c); err != nil {
		return nil, err
	}
	select {
	case <-c.done:
		return c.result()
	case <-ctx.Done():
		return t.giveUp(ctx, c)
	}
}

// prepare weighs a call's messages.
func (t *partition) prepare(c *call) error {
	now := time.Now()
	for i := range c.messages {
		m := &c.messages[i]
		if m.Time.IsZero() {
			m.Time = now
		}
		n := size(m)
		if n > maxRecordBytes {
			return t.outcome(ErrTooLarge, fmt.Errorf("%d bytes, and no broker takes more than %d", n, maxRecordBytes))
		}
		c.size += n
	}
	return nil
}

// outcome says of which partition's records an error is.
func (t *partition) outcome(outcome, why error) error {
	if why == nil {
		return fmt.Errorf("topic %s, partition %d: %w", t.p.cfg.Topic, t.number, outcome)
	}
	return fmt.Errorf("topic %s, partition %d: %w: %w", t.p.cfg.Topic, t.number, outcome, why)
}

// finish tells a caller what became of all of its records, or has done told
// (see tell).
func (t *partition) finish(c *call, err error) {
	c.err = err
	if c.then == nil {
		c.done <- struct{}{}
		return
	}
	e := ending{then: c.then, err: err}
	if err == nil {
		e.ack = c.acks[0]
	}
	t.endings = append(t.endings, e)
}

// result takes the acknowledgements out of a finished call, and frees it.
func (c *call) result() ([]Ack, error) {
	acks, err := c.acks[:c.acked], c.err
	if len(c.messages) == 1 {
		acks = append([]Ack(nil), acks...)
	}
	c.free()
	return acks, err
}

func (t *partition) enqueue(ctx context.Context, c *call) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if ctx.Err() != nil {
		return t.outcome(ErrUnavailable, context.Cause(ctx))
	}
	if t.closed || !t.running && !t.p.start(t) {
		return t.outcome(ErrClosed, nil)
	}
	t.running = true
	c.since = time.Now()
	t.queue = append(t.queue, c)
	t.arm(c)
	t.nudge()
	return nil
}

func (t *partition) nudge() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// giveUp is a caller whose context has ended.
func (t *partition) giveUp(ctx context.Context, c *call) ([]Ack, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.finished() {
		<-c.done
		return c.result()
	}
	c.gone = true
	// While a broker is away, callers come and give up without end.
	if c.taken == 0 {
		if t.gone++; t.gone >= 64 && t.gone*2 >= len(t.queue) {
			t.sweep()
		}
	}
	return append([]Ack(nil), c.acks[:c.acked]...), t.gaveUp(c, context.Cause(ctx))
}

// gaveUp is what a caller is told who waits no more.
func (t *partition) gaveUp(c *call, why error) error {
	outcome := ErrUnavailable
	if c.sent {
		outcome = ErrUnknownOutcome
	}
	if t.lastErr != nil {
		why = fmt.Errorf("%w (last try: %v)", why, t.lastErr)
	}
	return t.outcome(outcome, why)
}

func (t *partition) oldest() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.flying != nil {
		return time.Since(t.flying.since)
	}
	for _, c := range t.queue {
		if !c.gone {
			return time.Since(c.since)
		}
	}
	return 0
}

func (t *partition) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	t.nudge()
}

// take tells what became of the last batch, waits for records and makes the
// next batch of them; nil when the producer is closed and none is left, or ctx
// has ended.
func (t *partition) take(ctx context.Context) *batch {
	t.tell()
	for {
		t.mu.Lock()
		b := t.gather()
		closed := t.closed
		t.mu.Unlock()
		if b != nil {
			return b
		}
		if closed || ctx.Err() != nil {
			return nil
		}
		select {
		case <-t.wake:
		case <-ctx.Done():
		}
	}
}

func (t *partition) gather() *batch {
	b := &batch{}
	room := t.limit - recordbatch.HeaderSize
	for len(t.queue) > 0 {
		c := t.queue[0]
		if !c.gone {
			n, size := c.fit(room, len(b.parts) == 0)
			if t.single > 0 && n > 0 {
				n, size = 1, recordbatch.Size(&c.messages[c.taken])
			}
			if n == 0 {
				break
			}
			b.add(c, n)
			c.size -= size
			c.taken += n
			room -= size
			if c.taken < len(c.messages) {
				break
			}
		} else if c.taken == 0 {
			t.gone--
			t.p.room.give(c.letGo())
		}
		t.queue[0] = nil
		t.queue = t.queue[1:]
		if t.single > 0 && len(b.parts) > 0 {
			break
		}
	}
	if len(b.parts) == 0 {
		return nil
	}
	if t.single > 0 {
		t.single--
	}
	t.flying = b
	return b
}

// fit is how many of the messages to come there is room for; the first one of
// a batch goes in whatever its size.
func (c *call) fit(room int, first bool) (n, bytes int) {
	if c.size <= room {
		return len(c.messages) - c.taken, c.size
	}
	for i := c.taken; i < len(c.messages); i++ {
		size := recordbatch.Size(&c.messages[i])
		if bytes+size > room && !(first && n == 0) {
			break
		}
		n, bytes = n+1, bytes+size
	}
	return n, bytes
}
