package strategy

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/strategy"
	"github.com/firstcome/firstcome/strategy/strategytest"
)

// A Redis that is away is not many people who ask at the same time.
func TestLock_RedisAway(t *testing.T) {
	t.Parallel()
	servers := coupontest.StartAlone(t, coupontest.Redis)
	shop := strategy.Lock{Redis: servers.Redis(t)}
	check(t, shop.SetLimit(t.Context(), "tea", 1))
	servers.Kill(t, coupontest.Redis)
	if _, err := shop.Claim(t.Context(), "tea", "ada"); err == nil || errors.Is(err, strategy.ErrBusy) {
		t.Errorf("ada is told %v", err)
	}
}

// A claim whose context ends in the moment in which it gets the lock lets go of it: nobody waits for its lease.
func TestLock_ContextEnds(t *testing.T) {
	t.Parallel()
	p, _ := open(t, "lock", 1)
	client := p.connect()
	ctx, end := context.WithCancel(t.Context())
	client.AddHook(around(func(_ context.Context, cmd redis.Cmder, next func() error) error {
		if cmd.Name() == "set" {
			defer end()
		}
		return next()
	}))
	if _, err := strategytest.Open("lock", client).Claim(ctx, p.id, "ada"); !errors.Is(err, context.Canceled) {
		t.Errorf("ada is told %v", err)
	}
	if n, err := client.Exists(t.Context(), "lock:coupon:"+p.id).Result(); n != 0 || err != nil {
		t.Errorf("there are %d locks, %v", n, err)
	}
}

// The second in which a claim waits for the lock ends while it asks again: that is many people, and no Redis that is away.
func TestLock_SecondEnds(t *testing.T) {
	t.Parallel()
	p, _ := open(t, "lock", 1)
	client := p.connect()
	check(t, client.Set(t.Context(), "lock:coupon:"+p.id, "somebody", 0).Err())
	tries := 0
	client.AddHook(around(func(ctx context.Context, cmd redis.Cmder, next func() error) error {
		if cmd.Name() == "set" {
			if tries++; tries == 2 {
				<-ctx.Done()
				return ctx.Err()
			}
		}
		return next()
	}))
	if _, err := strategytest.Open("lock", client).Claim(t.Context(), p.id, "ada"); !errors.Is(err, strategy.ErrBusy) {
		t.Errorf("ada is told %v", err)
	}
}

// around is a hook around each command.
type around func(ctx context.Context, cmd redis.Cmder, next func() error) error

func (a around) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (a around) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		return a(ctx, cmd, func() error { return next(ctx, cmd) })
	}
}

func (a around) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
