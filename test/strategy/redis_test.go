package strategy

import (
	"errors"
	"os/exec"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/strategy"
	"github.com/firstcome/firstcome/strategy/strategytest"
)

var onRedis = []string{"script", "recheck", "queue", "queue-plain", "lock", "lock-plain"}

// The Redis of each is its own, so that it may be lost.
func TestOnRedis(t *testing.T) {
	t.Parallel()
	for _, name := range onRedis {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			strategytest.Run(t, subject(name, coupontest.StartAlone(t, coupontest.Redis)))
		})
	}
}

func subject(name string, servers *coupontest.Servers) strategytest.Subject {
	return strategytest.OnRedis(name,
		func(t strategytest.T) *redis.Client { return servers.Redis(tb(t)) },
		func(strategytest.T) *exec.Cmd { return command(name, "REDIS_ADDR="+servers.RedisAddr) },
		func(t strategytest.T) { servers.KillRedis(tb(t)) })
}

// place is a client of the Redis of all tests, and the id of a coupon that nobody else uses.
func place(t *testing.T, name string) (client *redis.Client, couponID string) {
	servers := coupontest.Start(t, coupontest.Redis)
	return servers.Redis(t), subject(name, servers).CouponID(t)
}

// tb is the test that runs the suite.
func tb(t strategytest.T) testing.TB { return t.(testing.TB) }

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Who asks for a coupon that nobody defined leaves nothing.
func TestOnRedis_NoSuchCoupon(t *testing.T) {
	t.Parallel()
	for _, name := range onRedis {
		client, id := place(t, name)
		shop := strategytest.Open(name, client)
		if _, err := shop.Claim(t.Context(), id, "ada"); !errors.Is(err, strategy.ErrCouponNotFound) {
			t.Errorf("%s: ada is told %v", name, err)
		}
		if keys, err := client.Keys(t.Context(), "*"+id+"*").Result(); len(keys) > 0 || err != nil {
			t.Errorf("%s leaves %q, %v", name, keys, err)
		}
	}
}
