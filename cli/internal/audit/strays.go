package audit

import (
	"context"
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
func findStrays(ctx context.Context, client redis.UniversalClient, prefix string, partitions int) ([]Difference, error) {
	found, err := scan(ctx, client, prefix)
	if err != nil {
		return nil, err
	}
	var out []Difference
	for _, key := range found {
		partition, rest, ok := splitKey(prefix, key)
		explained := ok && int(partition) < partitions
		if explained {
			if explained, err = explains(ctx, client, redislayout.New(prefix, partition), rest); err != nil {
				return nil, err
			}
		}
		if explained {
			continue
		}
		left, err := client.Exists(ctx, key).Result()
		if err != nil {
			return nil, err
		}
		if left > 0 { // else it was dropped since
			out = append(out, Difference{Place: placeRedis, Partition: partition, Offset: -1, Sentence: fmt.Sprintf("the key %q belongs to nothing", key)})
		}
	}
	return out, nil
}

func scan(ctx context.Context, client redis.UniversalClient, prefix string) ([]string, error) {
	pattern := strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(prefix) + ":{*}:*"
	var mu sync.Mutex
	seen := make(map[string]bool)
	one := func(ctx context.Context, c redis.Cmdable) error {
		keys := c.Scan(ctx, 0, pattern, 5000).Iterator()
		for keys.Next(ctx) {
			mu.Lock()
			seen[keys.Val()] = true
			mu.Unlock()
		}
		return keys.Err()
	}
	var err error
	if cluster, ok := client.(*redis.ClusterClient); ok {
		err = cluster.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error { return one(ctx, c) })
	} else {
		err = one(ctx, client)
	}
	all := make([]string, 0, len(seen))
	for key := range seen {
		all = append(all, key)
	}
	slices.Sort(all)
	return all, err
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

func explains(ctx context.Context, client redis.UniversalClient, keys redislayout.Keys, rest string) (bool, error) {
	kind, id, _ := strings.Cut(rest, ":")
	switch kind {
	case "progress", "coupons", "retire", "outbox":
		return id == "", nil
	case "guard", "idem": // the gateway's, and they run out
		return id != "", nil
	case "coupon":
		_, err := client.ZScore(ctx, keys.Coupons(), id).Result()
		if err == redis.Nil {
			return false, nil
		}
		return err == nil, err
	case "granted":
		couponID, name, _ := strings.Cut(id, ":")
		return client.HExists(ctx, keys.Coupon(couponID), redislayout.GrantedField(name)).Result()
	}
	return false, nil
}
