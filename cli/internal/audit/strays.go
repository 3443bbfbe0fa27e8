package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/firstcome/firstcome/internal/redislayout"
)

// findStrays names keys that belong to nothing: a refused claim must leave no byte. What each known key holds is compared
// elsewhere; here only that Redis itself explains each key.
func (a *auditor) findStrays(ctx context.Context, out *findings) error {
	var mu sync.Mutex
	said := make(map[string]bool)
	stray := func(key string, partition int32) {
		mu.Lock()
		defer mu.Unlock()
		if said[key] {
			return
		}
		if len(said) < maxKept {
			said[key] = true
		}
		out.add(Difference{Place: placeRedis, Kind: Unfounded, Partition: partition, Offset: -1, Sentence: fmt.Sprintf("the key %q belongs to nothing", key)})
	}
	return a.scan(ctx, func(key string) error {
		partition, rest, ok := splitKey(a.RedisPrefix, key)
		if ok && !a.looksAtKey(partition, rest) {
			return nil
		}
		explained := ok && int(partition) < a.partitions
		if explained {
			var err error
			if explained, err = a.explains(ctx, partition, key, rest); err != nil {
				return err
			}
		}
		if !explained {
			stray(key, partition)
		}
		return nil
	})
}

// scan calls f with each key, perhaps more than once; in a cluster from many goroutines.
func (a *auditor) scan(ctx context.Context, f func(key string) error) error {
	pattern := strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(a.RedisPrefix) + ":{*}:*"
	one := func(ctx context.Context, c redis.Cmdable) error {
		keys := c.Scan(ctx, 0, pattern, 1000).Iterator()
		for keys.Next(ctx) {
			if err := f(keys.Val()); err != nil {
				return err
			}
		}
		return keys.Err()
	}
	if cluster, ok := a.Redis.(*redis.ClusterClient); ok {
		return cluster.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error { return one(ctx, c) })
	}
	return one(ctx, a.Redis)
}

func splitKey(prefix, key string) (partition int32, rest string, ok bool) {
	tagged, ok := strings.CutPrefix(key, prefix+":{")
	if !ok {
		return -1, "", false
	}
	tag, rest, ok := strings.Cut(tagged, "}:")
	n, err := strconv.ParseInt(tag, 10, 32)
	if !ok || err != nil || n < 0 {
		return -1, "", false
	}
	return int32(n), rest, true
}

// looksAtKey leaves out the keys of other coupons, and where single ones are looked at, those of no coupon.
func (a *auditor) looksAtKey(partition int32, rest string) bool {
	if a.Coupons == nil {
		return true
	}
	_, id, _ := strings.Cut(rest, ":")
	id, _, _ = strings.Cut(id, ":")
	return a.chosen(partition) && slices.Contains(a.Coupons, id)
}

func (a *auditor) explains(ctx context.Context, partition int32, key, rest string) (bool, error) {
	keys := redislayout.New(a.RedisPrefix, partition)
	kind, id, _ := strings.Cut(rest, ":")
	switch kind {
	case "progress", "coupons", "retire", "outbox":
		return id == "", nil
	case "guard", "idem": // the gateway's, and they run out
		return id != "", nil
	case "coupon":
		return a.explainedBy(ctx, key, func(tx redis.Pipeliner) func() bool {
			score := tx.ZScore(ctx, keys.Coupons(), id)
			return func() bool { return score.Err() == nil }
		})
	case "granted":
		couponID, name, _ := strings.Cut(id, ":")
		return a.explainedBy(ctx, key, func(tx redis.Pipeliner) func() bool {
			has := tx.HExists(ctx, keys.Coupon(couponID), redislayout.GrantedField(name))
			return has.Val
		})
	}
	return false, nil
}

// explainedBy asks for a key and for what explains it at one moment, since both may be dropped or be rebuilt meanwhile.
func (a *auditor) explainedBy(ctx context.Context, key string, reason func(redis.Pipeliner) func() bool) (bool, error) {
	var there *redis.IntCmd
	var explained func() bool
	_, err := a.Redis.TxPipelined(ctx, func(tx redis.Pipeliner) error {
		there, explained = tx.Exists(ctx, key), reason(tx)
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return false, err
	}
	return there.Val() == 0 || explained(), nil
}
