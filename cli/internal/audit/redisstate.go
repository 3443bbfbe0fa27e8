package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/firstcome/firstcome/internal/redislayout"
)

// redisState is what Redis holds of a partition at one moment, but for the people.
type redisState struct {
	progress *redislayout.Progress // nil: missing
	outbox   []string
	retire   map[string]float64
	hashes   map[string]map[string]string // by coupon id
}

// errMoving means that coupons came while their ids were read.
var errMoving = errors.New("coupons are being defined")

// readState is one atomic read.
func (l *look) readState(ctx context.Context) (redisState, error) {
	s := redisState{retire: make(map[string]float64), hashes: make(map[string]map[string]string)}
	ids, err := l.Redis.ZRange(ctx, l.keys.Coupons(), 0, -1).Result() // as they were a moment before
	if err != nil {
		return s, err
	}
	var progress *redis.StringCmd
	var outbox, coupons *redis.StringSliceCmd
	var retire *redis.ZSliceCmd
	hashes := make(map[string]*redis.MapStringStringCmd)
	_, err = l.Redis.TxPipelined(ctx, func(tx redis.Pipeliner) error {
		progress, outbox, coupons = tx.Get(ctx, l.keys.Progress()), tx.LRange(ctx, l.keys.Outbox(), 0, -1), tx.ZRange(ctx, l.keys.Coupons(), 0, -1)
		retire = tx.ZRangeWithScores(ctx, l.keys.Retire(), 0, -1)
		for _, id := range ids {
			if l.looksAt([]byte(id)) {
				hashes[id] = tx.HGetAll(ctx, l.keys.Coupon(id))
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return s, err
	}
	if s.progress, err = progressOf(progress); err != nil {
		return s, err
	}
	if !slices.Equal(ids, coupons.Val()) {
		return s, errMoving
	}
	s.outbox = outbox.Val()
	for _, z := range retire.Val() {
		if id, _, _ := strings.Cut(fmt.Sprint(z.Member), ":"); l.looksAt([]byte(id)) {
			s.retire[fmt.Sprint(z.Member)] = z.Score
		}
	}
	for id, hash := range hashes {
		s.hashes[id] = hash.Val()
	}
	return s, nil
}

// progressOf is what a command has read; nil: the key is missing.
func progressOf(got *redis.StringCmd) (*redislayout.Progress, error) {
	value, err := got.Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	p, err := redislayout.ParseProgress(value)
	return &p, err
}

// pending says whether the fact of an offset may still be on its way into the journal: it is to be decided again, or may
// be among what the outbox holds. What an element holds is the issuer's own business; it comes from no later offset than
// that of the progress with which it begins.
func (l *look) pending(ctx context.Context, offset int64) (bool, error) {
	var progress, last *redis.StringCmd
	_, err := l.Redis.TxPipelined(ctx, func(tx redis.Pipeliner) error {
		progress, last = tx.Get(ctx, l.keys.Progress()), tx.LIndex(ctx, l.keys.Outbox(), -1)
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return false, fmt.Errorf("reading Redis: %w", err)
	}
	p, err := progressOf(progress)
	if err != nil || p == nil || p.Offset < offset {
		return err == nil, err
	}
	at, err := elementProgress(last.Val())
	return err == nil && at.Offset >= offset, nil
}

func elementProgress(element string) (redislayout.Progress, error) {
	head, _, _ := strings.Cut(element, "\n")
	return redislayout.ParseProgress(head)
}

// compareOutbox looks at where the elements stand: each begins with the progress that its batch led to, in order and not
// beyond Redis' own. What is in them is compared once it stands in the journal.
func (l *look) compareOutbox(s redisState) {
	before := int64(-1)
	for i, element := range s.outbox {
		at, err := elementProgress(element)
		switch {
		case err != nil:
			l.add(inPartition(placeRedis, Wrong, l.partition, "element %d of the outbox is none", i))
		case at.Offset <= before:
			l.add(inPartition(placeRedis, Wrong, l.partition, "element %d of the outbox is of offset %d, after one of offset %d", i, at.Offset, before))
		case at.Offset > s.progress.Offset:
			l.add(inPartition(placeRedis, Wrong, l.partition, "element %d of the outbox is of offset %d, and progress is at %d", i, at.Offset, s.progress.Offset))
		}
		before = at.Offset
	}
}
