package audit

import (
	"context"
	"errors"
	"fmt"

	"github.com/firstcome/firstcome/internal/redislayout"
	"github.com/firstcome/firstcome/pkg/event"
)

// look is the comparison of one partition.
type look struct {
	*auditor
	findings
	partition int32
	target    int64 // what is in the log below this is compared
	keys      redislayout.Keys

	compared Compared
	bound    Bound
	dead     []deadRequest
	lacking  map[int64]bool // sources that the journal lacks, some of them
	tops     []Difference   // what has the highest source of its place: wrong where the log has no such request
	unheard  []string       // coupons that were asked for and that the log has never heard of
	short    bool           // the issuer had not decided all that people may have been told of
}

func newLook(a *auditor, p int32, target int64) *look {
	return &look{auditor: a, partition: p, target: target, keys: redislayout.New(a.RedisPrefix, p), lacking: map[int64]bool{}, bound: Bound{Partition: p, Progress: -1}}
}

func (l *look) lacks(source int64) {
	if len(l.lacking) < maxKept {
		l.lacking[source] = true
	}
}

func (l *look) looksAt(key []byte) bool { return looksAt(l.Coupons, key) }

// do reads in the order in which effects happen backwards: what Redis has decided is in the log already, and what it has
// decided and no longer keeps for emission is in the journal.
func (l *look) do(ctx context.Context) error {
	state, ok, err := l.settle(ctx)
	if err != nil || !ok {
		return err
	}
	if state.progress == nil {
		state.progress = &redislayout.Progress{Offset: -1}
	}
	o, err := l.walk(ctx, state.progress.Offset)
	if err != nil {
		return err
	}
	l.compareOutbox(state)
	if err := l.compareRedis(ctx, o, state); err != nil {
		return fmt.Errorf("reading Redis: %w", err)
	}
	l.dead = o.dead
	for _, id := range l.Coupons {
		if o.log.Coupon(id) == nil && !o.heard[id] && event.Partition(id, l.partitions) == l.partition {
			l.unheard = append(l.unheard, id)
		}
	}
	return l.compareTops(ctx)
}

// settle waits until Redis has decided all that was in the log when the audit began. False: nothing can be compared.
func (l *look) settle(ctx context.Context) (state redisState, ok bool, err error) {
	waits := ""
	came, err := l.until(ctx, func() (bool, error) {
		at, err := progressOf(l.Redis.Get(ctx, l.keys.Progress()))
		if waits = l.waits(at); err == nil && waits == "" {
			state, err = l.readState(ctx)
			waits = l.waits(state.progress)
		}
		if errors.Is(err, errMoving) {
			waits, err = err.Error(), nil
		}
		return waits == "", err
	})
	if err == nil && !came {
		l.short = true
		l.add(inPartition(placeLog, Behind, l.partition, "after %s %s", l.Timeout, waits))
		state, err = l.readState(ctx)
	}
	if err != nil {
		return state, false, fmt.Errorf("reading Redis: %w", err)
	}
	return state, came || state.progress != nil, nil
}

// waits says what has to come before this progress can be compared; "" = nothing. Without any, nobody has asked yet, or
// Redis is to be rebuilt.
func (l *look) waits(at *redislayout.Progress) string {
	switch {
	case at == nil && l.target > 0:
		return fmt.Sprintf("Redis has no progress, and the log goes up to offset %d", l.target-1)
	case at != nil && at.Offset < l.target-1:
		return fmt.Sprintf("the issuer has decided up to offset %d, and the log goes up to %d", at.Offset, l.target-1)
	}
	return ""
}

// compareTops looks at the log's end after all else was read: nothing can come from a request that is not there by then.
func (l *look) compareTops(ctx context.Context) error {
	log, err := bounds(ctx, l.client, l.requests, l.partition)
	if err != nil {
		return err
	}
	for _, d := range l.tops {
		if d.Offset >= log.end {
			d.Sentence += fmt.Sprintf(", and the log ends at offset %d", log.end)
			l.add(d)
		}
	}
	return nil
}
