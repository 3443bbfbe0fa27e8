// Package redisstore is the gateway's view of Redis: it reads what the issuer writes (internal/redislayout says where),
// and keeps the guards. Every answer comes from one script call (desk.lua) on the keys of one partition, so a single
// server, Sentinel and Cluster all do.
package redisstore

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/firstcome/firstcome/internal/redislayout"
)

// Patience is how long one call may take, with its retry. An answer is therefore never older than that, which is what
// early refusal relies on.
const Patience = time.Second

// Store is safe for concurrent use. It knows no more than the definitions that it has read; each call proves them in
// Redis, so they can't be stale.
type Store struct {
	client redis.UniversalClient
	prefix string
	known  definitions
	desks  sync.Map // partition → *desk
}

// Missing is the offset of a progress that Redis does not have.
const Missing = -1

// Ping tells whether Redis answers.
func (s *Store) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	return s.client.Ping(ctx).Err()
}

// Close ends all connections.
func (s *Store) Close() error { return s.client.Close() }

func (s *Store) keys(partition int32) redislayout.Keys { return redislayout.New(s.prefix, partition) }

func parseProgress(value string) (redislayout.Progress, error) {
	if value == "" {
		return redislayout.Progress{Offset: Missing}, nil
	}
	return redislayout.ParseProgress(value)
}

// Progress reads where partitions are, in their order; the offset is Missing where Redis has none.
func (s *Store) Progress(ctx context.Context, partitions []int32) ([]redislayout.Progress, error) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	pipe := s.client.Pipeline()
	gets := make([]*redis.StringCmd, len(partitions))
	for i, p := range partitions {
		gets[i] = pipe.Get(ctx, s.keys(p).Progress())
	}
	if _, err := pipe.Exec(ctx); err != nil && err != redis.Nil {
		return nil, fmt.Errorf("read progress: %w", err)
	}
	progress := make([]redislayout.Progress, len(gets))
	for i, get := range gets {
		value, err := get.Result()
		if err != nil && err != redis.Nil {
			return nil, fmt.Errorf("read progress: %w", err)
		}
		if progress[i], err = parseProgress(value); err != nil {
			return nil, fmt.Errorf("progress of partition %d: %w", partitions[i], err)
		}
	}
	return progress, nil
}

// Listing is the coupons of one partition after an id, and the progress they were read at.
type Listing struct {
	Progress redislayout.Progress
	IDs      []string // ordered
}

// Coupons lists up to limit coupons of each partition 0..partitions-1, whose ids come after an id ("": from the first).
func (s *Store) Coupons(ctx context.Context, partitions int, after string, limit int) ([]Listing, error) {
	all := make([]int32, partitions)
	for p := range all {
		all[p] = int32(p)
	}
	return s.CouponsOf(ctx, all, after, limit)
}

// CouponsOf lists those of some partitions, in their order.
func (s *Store) CouponsOf(ctx context.Context, partitions []int32, after string, limit int) ([]Listing, error) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	from := redis.ZRangeBy{Min: "-", Max: "+", Count: int64(limit)}
	if after != "" {
		from.Min = "(" + after
	}
	pipe := s.client.Pipeline()
	progress, ids := make([]*redis.StringCmd, len(partitions)), make([]*redis.StringSliceCmd, len(partitions))
	for i, p := range partitions {
		keys := s.keys(p)
		progress[i], ids[i] = pipe.Get(ctx, keys.Progress()), pipe.ZRangeByLex(ctx, keys.Coupons(), &from)
	}
	if _, err := pipe.Exec(ctx); err != nil && err != redis.Nil {
		return nil, fmt.Errorf("list coupons: %w", err)
	}
	listings := make([]Listing, len(partitions))
	for i, p := range partitions {
		value, err := progress[i].Result()
		if err != nil && err != redis.Nil {
			return nil, fmt.Errorf("list coupons: %w", err)
		}
		if listings[i].Progress, err = parseProgress(value); err != nil {
			return nil, fmt.Errorf("progress of partition %d: %w", p, err)
		}
		if listings[i].IDs, err = ids[i].Result(); err != nil {
			return nil, fmt.Errorf("list coupons: %w", err)
		}
	}
	return listings, nil
}
