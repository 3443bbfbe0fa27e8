package gateway

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/gateway/internal/redisstore"
	"github.com/firstcome/firstcome/services/gateway/verdict"
)

const (
	boardEach  = time.Second
	boardPage  = 100 // coupons read at once, so that the door's calls get in between
	maxReaders = 100 // streams of coupons at once
)

// board shows all coupons to those who stream them. It looks at Redis once a second while it has readers, however many,
// and not at all without. Of a reader it keeps one channel: each asks for what changed since it last did, so that a slow
// one gets the newest state, and costs and delays nobody.
//
// It says nothing of a partition whose state is gone or behind what was heard, as GET does.
type board struct {
	s      *Service
	wanted chan struct{} // somebody reads, and nobody did

	mu      sync.Mutex
	readers map[chan struct{}]struct{}
	coupons map[string]*shown // changed only by the goroutine that looks
	changes uint64            // how many there were

	readAt []int64 // the progress at which all of a partition was read; only the goroutine that looks has it
	look   func(context.Context)
}

// shown is what the board says of one coupon.
type shown struct {
	partition int32
	reading   verdict.Reading
	body      couponBody
	text      []byte // of body
	change    uint64 // the one that made it; 0: nothing is said yet
}

func newBoard(s *Service) *board {
	b := &board{s: s, wanted: make(chan struct{}, 1), readers: map[chan struct{}]struct{}{}, coupons: map[string]*shown{}}
	b.look = b.update
	return b
}

// Join gives a channel on which something comes when the board has changed; false: there are too many readers. Every one
// that joined has to Leave.
func (b *board) Join() (changed chan struct{}, free bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.readers) >= maxReaders {
		return nil, false
	}
	changed = make(chan struct{}, 1)
	b.readers[changed] = struct{}{}
	wake(b.wanted)
	return changed, true
}

func (b *board) Leave(changed chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.readers, changed)
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // woken already
	}
}

// Since gives the coupons that changed after a change, ordered by id, and the last change there was. After 0: all.
func (b *board) Since(change uint64) (messages []message, last uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var changed []*shown
	for _, c := range b.coupons {
		if c.change > change {
			changed = append(changed, c)
		}
	}
	slices.SortFunc(changed, func(x, y *shown) int { return strings.Compare(x.body.CouponID, y.body.CouponID) })
	for _, c := range changed {
		messages = append(messages, message{event: "coupon", data: c.text})
	}
	return messages, b.changes
}

// Run keeps the board up to date until ctx ends.
func (b *board) Run(ctx context.Context) {
	pace := time.NewTimer(boardEach)
	defer pace.Stop()
	for {
		select {
		case <-b.wanted:
		case <-ctx.Done():
			return
		}
		for b.read() {
			b.look(ctx)
			pace.Reset(boardEach)
			select {
			case <-pace.C:
			case <-ctx.Done():
				return
			}
		}
	}
}

// read tells whether there are readers. Without any the board is wiped: what it says would be old by the time that
// somebody comes.
func (b *board) read() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.readers) > 0 {
		return true
	}
	clear(b.coupons)
	b.readAt = nil
	return false
}

// update reads the partitions whose progress has moved, and says what that or the time has changed.
func (b *board) update(ctx context.Context) {
	l, now := b.s.requests.Load(), fcfs.FromTime(b.s.now())
	all := make([]int32, l.Count())
	for p := range all {
		all[p] = int32(p)
	}
	if b.readAt == nil {
		b.readAt = slices.Repeat([]int64{redisstore.Missing}, len(all))
	}
	progress, err := b.s.store.Progress(ctx, all)
	if err != nil {
		return // whoever watches Redis says so
	}
	dayOver, current := b.dayOver(now), make([]bool, len(all))
	for p, at := range progress {
		switch {
		case at.Offset == redisstore.Missing: // emptied, or never written to
		case at.Offset == b.readAt[p] && at.Offset >= l.heard[p].Load() && !dayOver[int32(p)]:
			current[p] = true
		default:
			current[p] = b.readPartition(ctx, l, int32(p), now)
		}
	}
	b.say(current, now)
}

// dayOver are the partitions with a coupon whose window is another by now: its counters are another's too.
func (b *board) dayOver(now fcfs.Millis) map[int32]bool {
	over := map[int32]bool{}
	for _, c := range b.coupons {
		if c.reading.Current().WindowAt(now) != c.reading.Window {
			over[c.partition] = true
		}
	}
	return over
}

// readPartition reads all coupons of a partition; false: its state cannot be read, or is behind what was heard.
func (b *board) readPartition(ctx context.Context, l *requestsLog, p int32, now fcfs.Millis) bool {
	heard, err := l.Heard(ctx, p)
	if err != nil {
		return false
	}
	at := int64(redisstore.Missing)
	for after := ""; ; {
		page, err := b.s.store.CouponsOf(ctx, []int32{p}, after, boardPage)
		if err != nil || page[0].Progress.Offset < heard {
			return false
		}
		if after == "" {
			at = page[0].Progress.Offset
		}
		ids := page[0].IDs
		if !b.readCoupons(ctx, l, ids, heard, now) {
			return false
		}
		if len(ids) < boardPage {
			break
		}
		after = ids[len(ids)-1]
	}
	b.readAt[p] = at
	return true
}

func (b *board) readCoupons(ctx context.Context, l *requestsLog, ids []string, heard int64, now fcfs.Millis) bool {
	questions := make([]redisstore.Question, len(ids))
	for i, id := range ids {
		questions[i] = l.ask(id, now)
	}
	readings, err := b.s.store.ReadAll(ctx, questions)
	if err != nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, r := range readings {
		if r.Progress.Offset < heard || len(r.Definitions) == 0 {
			return false // Redis was emptied between the two reads
		}
		l.Hear(questions[i].Partition, r.Progress.Offset)
		c := b.coupons[ids[i]]
		if c == nil {
			c = &shown{partition: event.Partition(ids[i], l.Count())}
			b.coupons[ids[i]] = c
		}
		c.reading = r
	}
	return true
}

// say makes what was read of the current partitions what the board says, as of now.
func (b *board) say(current []bool, now fcfs.Millis) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.changes
	for _, c := range b.coupons {
		if !current[c.partition] {
			continue
		}
		body := describe(c.reading, now)
		if body == c.body {
			continue
		}
		text, err := json.Marshal(body)
		if err != nil {
			panic(err) // strings and numbers alone
		}
		b.changes++
		c.body, c.text, c.change = body, text, b.changes
	}
	if b.changes == before {
		return
	}
	for changed := range b.readers {
		wake(changed)
	}
}
