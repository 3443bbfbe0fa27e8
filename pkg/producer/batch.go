package producer

import (
	"fmt"
	"time"

	"github.com/firstcome/firstcome/pkg/internal/recordbatch"
)

// batch is what one request carries, and all of its tries.
type batch struct {
	parts []part
	since time.Time // of the oldest record
	bytes []byte    // sealed and framed; nil: to be encoded
	count int
	tries int
	took  time.Duration // of the last try
	// failures are the tries that ended nothing, also those that no request
	// was made for.
	failures int
	// damaged is how often the broker found the checksum wrong.
	damaged int
	// maybe tells that a try may have reached the log: from then on the batch
	// must not change.
	maybe bool
}

// part is some messages of a call, in order.
type part struct {
	call    *call
	from, n int
}

func (b *batch) add(c *call, n int) {
	if len(b.parts) == 0 {
		b.since = c.since
	}
	b.parts = append(b.parts, part{call: c, from: c.taken, n: n})
	b.count += n
}

// launch is the moment before a try. As long as no try can have reached the
// log, what belongs to callers who have given up is taken out. False where
// nothing is left. After launch these calls count as sent.
func (t *partition) launch(b *batch) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !b.maybe {
		freed := 0
		kept := b.parts[:0]
		for _, part := range b.parts {
			if part.call.gone {
				b.count -= part.n
				b.bytes = nil
				freed += part.call.letGo()
				continue
			}
			kept = append(kept, part)
		}
		clear(b.parts[len(kept):])
		b.parts = kept
		t.p.room.give(freed)
	}
	if len(b.parts) == 0 {
		t.flying = nil
		return false
	}
	for _, part := range b.parts {
		part.call.sent = true
	}
	return true
}

// failed is the moment after a try that did not end the batch. Where no try
// can have reached the log, callers may take their records back again.
func (t *partition) failed(b *batch, err error) {
	t.observe(b, err)
	t.p.complain(b.failures, fmt.Sprintf("partition %d", t.number), err)
	b.failures++
	b.took = 0
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lastErr = err
	if b.maybe {
		return
	}
	for _, part := range b.parts {
		part.call.sent = part.call.acked > 0
	}
}

// acknowledge ends a batch that is in the log from offset on.
func (t *partition) acknowledge(b *batch, offset int64, at time.Time) {
	t.observe(b, nil)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flying, t.lastErr = nil, nil
	freed := 0
	for _, part := range b.parts {
		c := part.call
		for i := range part.n {
			c.acks[part.from+i] = Ack{Partition: t.number, Offset: offset, AppendTime: at}
			offset++
		}
		c.acked += part.n
		if c.acked < len(c.messages) {
			continue
		}
		sends := c.then != nil
		if !c.gone {
			t.finish(c, nil) // the last touch: a caller of Publish may use c for another call
		}
		if sends {
			freed += c.letGo()
		}
	}
	t.p.room.give(freed)
}

// refuse ends a batch that is certainly not in the log; outcome is what the
// callers get.
func (t *partition) refuse(b *batch, outcome error) {
	t.observe(b, outcome)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flying = nil
	for _, part := range b.parts {
		t.drop(part.call, outcome)
	}
}

// drop ends a call whose remaining messages are not to be sent.
func (t *partition) drop(c *call, err error) {
	if len(t.queue) > 0 && t.queue[0] == c {
		t.queue[0] = nil
		t.queue = t.queue[1:]
	}
	sends := c.then != nil
	if !c.gone {
		c.gone = true
		t.finish(c, err) // the last touch: a caller of Publish may use c for another call
	}
	if sends {
		t.p.room.give(c.letGo())
	}
}

// abandon ends what is left in the queue of a closed producer.
func (t *partition) abandon() {
	defer t.tell()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	if t.expiry != nil {
		t.expiry.Stop()
	}
	for len(t.queue) > 0 {
		c := t.queue[0]
		outcome := ErrClosed
		if c.sent {
			outcome = ErrUnknownOutcome
		}
		t.drop(c, t.outcome(outcome, nil))
	}
}

// putBack returns the records of a batch to the head of the queue.
func (t *partition) putBack(b *batch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flying = nil
	back := make([]*call, 0, len(b.parts)+len(t.queue))
	for _, part := range b.parts {
		c := part.call
		for i := part.from; i < c.taken; i++ {
			c.size += recordbatch.Size(&c.messages[i])
		}
		c.taken, c.sent = part.from, c.acked > 0
		if c.gone && c.taken == 0 {
			t.gone++
		}
		if len(t.queue) == 0 || t.queue[0] != c {
			back = append(back, c)
		}
	}
	t.queue = append(back, t.queue...)
}
