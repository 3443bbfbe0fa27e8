package gateway

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/internal/redislayout"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/services/gateway/internal/redisstore"
)

// BenchmarkIdempotencyKey is a claim with a key at the door, before and after its append. On a real Redis, which it has for
// itself, it reports by how much one key makes it grow, guards run out.
func BenchmarkIdempotencyKey(b *testing.B) {
	servers := coupontest.StartAlone(b, coupontest.Redis)
	store := redisstore.Open(testConfig(b, servers).Redis)
	b.Cleanup(func() { store.Close() })
	d := door{&double{t: b, redis: servers.Redis(b), prefix: servers.RedisPrefix}, store}
	d.guarded(fcfs.WindowNone)
	before := usedMemory(b, d.redis)
	var n, failed atomic.Int64
	b.SetParallelism(200)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := n.Add(1)
			user := fmt.Sprintf("user-%015d", i)
			k := knockOf("c", user, newToken(), 0, historyT)
			k.Idempotency = idempotency(user, "token:shop", "c", user)
			got, err := store.Admit(b.Context(), k)
			if err == nil {
				_, err = store.Settle(b.Context(), k, got.Window, redislayout.Ticket{Offset: 1<<40 + i, AppendTime: historyT}, time.Minute, rememberFor)
			}
			if err != nil {
				failed.Add(1) // a machine that is busy otherwise
			}
		}
	})
	b.StopTimer()
	b.ReportMetric(float64(failed.Load()), "failed")
	d.dropGuards(b)
	if after := usedMemory(b, d.redis); after > 0 {
		b.ReportMetric((after-before)/float64(b.N), "B/key")
	}
}

func (d door) dropGuards(b *testing.B) {
	keys := d.keys("guard")
	var all sync.WaitGroup
	for len(keys) > 0 {
		some := keys[:min(1000, len(keys))]
		keys = keys[len(some):]
		all.Go(func() {
			if err := d.redis.Del(b.Context(), some...).Err(); err != nil {
				b.Error(err)
			}
		})
	}
	all.Wait()
}

var usedMemoryLine = regexp.MustCompile(`used_memory:(\d+)`)

// usedMemory is 0 where Redis does not say, as the embedded one.
func usedMemory(b *testing.B, client *redis.Client) float64 {
	info, err := client.Info(b.Context(), "memory").Result()
	if err != nil && !strings.Contains(err.Error(), "not supported") {
		b.Fatal(err)
	}
	found := usedMemoryLine.FindStringSubmatch(info)
	if found == nil {
		return 0
	}
	bytes, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		b.Fatal(err)
	}
	return bytes
}
