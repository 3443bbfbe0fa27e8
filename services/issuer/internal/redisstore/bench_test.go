package redisstore_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/firstcome/firstcome/internal/env"
	"github.com/firstcome/firstcome/internal/redislayout"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/services/issuer/internal/redisstore"
	"github.com/firstcome/firstcome/services/issuer/partition"
)

// BenchmarkStore_Decide decides batches of 1,000 claims of one coupon, four in a round trip, and compares with the same
// Redis doing only what cannot be left out: one HSET of 1,000 people, or one HMGET of 1,000 where nobody is granted.
func BenchmarkStore_Decide(b *testing.B) {
	const size, depth = 1000, 4
	servers := coupontest.Start(b, coupontest.Redis)
	client := redisstore.Open(env.Redis{Addr: []string{servers.RedisAddr}, Mode: "single", Prefix: servers.RedisPrefix})
	b.Cleanup(func() { _ = client.Close() })
	for _, c := range []struct {
		name    string
		limit   int64
		soldOut bool
	}{{"granted", 1 << 40, false}, {"sold out", 0, false}, {"sold out, known", 0, true}} {
		b.Run(c.name, func(b *testing.B) {
			servers.FlushRedis(b)
			store, at, decided := client.Partition(0), partition.Nothing, 0
			var took, floor time.Duration
			for b.Loop() {
				batches := make([]*partition.Batch, depth)
				for i := range batches {
					batches[i] = someBatch(at, size, c.limit, c.soldOut)
					at = batches[i].Next
				}
				began := time.Now()
				for _, a := range store.Decide(b.Context(), batches...) {
					if a.Err != nil {
						b.Fatal(a.Err)
					}
				}
				took += time.Since(began)
				floor += floorOf(b, servers.Redis(b), servers.RedisPrefix+"floor", batches, c.limit > 0)
				decided += size * depth
			}
			b.ReportMetric(float64(decided)/took.Seconds(), "claims/s")
			b.ReportMetric(took.Seconds()/floor.Seconds(), "x-floor")
		})
	}
}

func someBatch(at partition.Progress, size int, limit int64, soldOut bool) *partition.Batch {
	next := partition.Progress{Offset: at.Offset + int64(size), AppendTime: noon, LogTime: noon}
	g := partition.Group{Window: partition.Window{CouponID: "c"}, Limit: limit, SoldOut: soldOut}
	for i := range int64(size) {
		g.Claims = append(g.Claims, partition.Claim{
			Offset: at.Offset + 1 + i, Time: noon, LogTime: noon, UserID: fmt.Sprintf("user-%015d", at.Offset+i),
			CorrelationID: "4bf92f3577b34da6a3ce929d0e0e4736", TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		})
	}
	return &partition.Batch{Expected: at, Next: next, Covered: at.Offset, Groups: []partition.Group{g}}
}

func floorOf(b *testing.B, r *redis.Client, key string, batches []*partition.Batch, grants bool) time.Duration {
	b.Helper()
	began := time.Now()
	_, err := r.Pipelined(b.Context(), func(pipe redis.Pipeliner) error {
		for _, batch := range batches {
			var pairs []any
			var users []string
			for _, c := range batch.Groups[0].Claims {
				pairs = append(pairs, c.UserID, redislayout.Entry{Sequence: c.Offset, Offset: c.Offset}.String())
				users = append(users, c.UserID)
			}
			if grants {
				pipe.HSet(b.Context(), key, pairs...)
			} else {
				pipe.HMGet(b.Context(), key, users...)
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return time.Since(began)
}
