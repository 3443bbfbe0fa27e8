package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/firstcome/firstcome/internal/redislayout"
)

// window is one window of one coupon.
type window struct{ couponID, window string }

// redisState is what Redis holds of a partition. All but people is one atomic read; an entry of people names the offset
// that it came from, so those of later claims are told apart.
type redisState struct {
	progress *redislayout.Progress // nil: missing
	outbox   []string
	coupons  []string
	retire   map[string]float64
	hashes   map[string]map[string]string // by coupon id
	people   map[window]map[string]string
}

// errMoving means that coupons came while their ids were read.
var errMoving = errors.New("coupons are being defined")

// readState is one atomic read; ids are the coupons as they were read a moment before.
func readState(ctx context.Context, client redis.UniversalClient, keys redislayout.Keys, ids []string) (redisState, error) {
	s := redisState{retire: make(map[string]float64), hashes: make(map[string]map[string]string)}
	var progress *redis.StringCmd
	var outbox, coupons *redis.StringSliceCmd
	var retire *redis.ZSliceCmd
	hashes := make([]*redis.MapStringStringCmd, len(ids))
	_, err := client.TxPipelined(ctx, func(tx redis.Pipeliner) error {
		progress, outbox, coupons = tx.Get(ctx, keys.Progress()), tx.LRange(ctx, keys.Outbox(), 0, -1), tx.ZRange(ctx, keys.Coupons(), 0, -1)
		retire = tx.ZRangeWithScores(ctx, keys.Retire(), 0, -1)
		for i, id := range ids {
			hashes[i] = tx.HGetAll(ctx, keys.Coupon(id))
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return s, err
	}
	if value, err := progress.Result(); err == nil {
		at, err := redislayout.ParseProgress(value)
		if err != nil {
			return s, err
		}
		s.progress = &at
	}
	s.outbox, s.coupons = outbox.Val(), coupons.Val()
	if !slices.Equal(ids, s.coupons) {
		return s, errMoving
	}
	for _, z := range retire.Val() {
		s.retire[fmt.Sprint(z.Member)] = z.Score
	}
	for i, id := range ids {
		s.hashes[id] = hashes[i].Val()
	}
	return s, nil
}

func (s redisState) windows(also []window) []window {
	all := make(map[window]bool)
	for _, w := range also {
		all[w] = true
	}
	for id, hash := range s.hashes {
		for field := range hash {
			if name, ok := redislayout.ParseGrantedField(field); ok {
				all[window{id, name}] = true
			}
		}
	}
	for member := range s.retire {
		if id, name, err := redislayout.ParseRetireMember(member); err == nil {
			all[window{id, name}] = true
		}
	}
	return slices.SortedFunc(maps.Keys(all), byWindow)
}

func byWindow(a, b window) int {
	return cmp.Or(strings.Compare(a.couponID, b.couponID), strings.Compare(a.window, b.window))
}

func readPeopleOf(ctx context.Context, client redis.UniversalClient, keys redislayout.Keys, windows []window) (map[window]map[string]string, error) {
	all := make(map[window]map[string]string)
	for _, w := range windows {
		people, err := readPeople(ctx, client, keys.Granted(w.couponID, w.window))
		if err != nil {
			return nil, err
		}
		all[w] = people
	}
	return all, nil
}

func readPeople(ctx context.Context, client redis.UniversalClient, key string) (map[string]string, error) {
	people := make(map[string]string)
	for cursor := uint64(0); ; {
		pairs, next, err := client.HScan(ctx, key, cursor, "", 5000).Result()
		if err != nil {
			return nil, err
		}
		for i := 0; i+1 < len(pairs); i += 2 {
			people[pairs[i]] = pairs[i+1]
		}
		if cursor = next; cursor == 0 {
			return people, nil
		}
	}
}

// windowsOf are all windows that a log has counted in, and those of its grants: a dropped one must be gone from Redis.
func windowsOf(o *oracle) []window {
	all := make(map[window]bool)
	for id, c := range o.log.Coupons() {
		for _, name := range c.Windows() {
			all[window{id, name}] = true
		}
	}
	for _, f := range o.facts {
		if g := f.Granted; g != nil {
			all[window{g.CouponID, g.Window}] = true
		}
	}
	return slices.Collect(maps.Keys(all))
}
