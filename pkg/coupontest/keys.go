package coupontest

import (
	"context"
	"testing"

	"github.com/redis/go-redis/v9"
)

// flush drops a test's keys at one moment, as FLUSHALL drops all: nobody sees half of them gone.
var flush = redis.NewScript(`
local keys = redis.call('KEYS', ARGV[1])
for i = 1, #keys do redis.call('DEL', keys[i]) end
return #keys`)

// Redis is a client of the test's Redis, closed when the test ends.
func (s *Servers) Redis(t testing.TB) *redis.Client {
	t.Helper()
	if s.RedisAddr == "" {
		t.Fatalf("coupontest: %v", Redis.missing())
	}
	client := s.redis()
	t.Cleanup(func() { client.Close() })
	return client
}

func (s *Servers) redis() *redis.Client {
	return redis.NewClient(&redis.Options{Addr: s.RedisAddr, ContextTimeoutEnabled: true})
}

// FlushRedis drops all keys with the test's prefix at once, as a FLUSHALL would. Other tests keep theirs.
func (s *Servers) FlushRedis(t testing.TB) {
	t.Helper()
	if s.RedisAddr == "" {
		t.Fatalf("coupontest: %v", Redis.missing())
	}
	must(t, "flush Redis", s.flush)
}

func (s *Servers) flush(ctx context.Context) error {
	client := s.redis()
	defer client.Close()
	return flush.Run(ctx, client, nil, s.RedisPrefix+":*").Err()
}

func (s *Servers) dropKeys(t testing.TB) { s.tidy(t, "delete the keys", s.flush) }
