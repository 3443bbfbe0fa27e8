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
	p, shop := open(t, "lock", 1)
	p.servers.Kill(t, coupontest.Redis)
	if _, err := shop.Claim(t.Context(), tea, "ada"); err == nil || errors.Is(err, strategy.ErrBusy) {
		t.Errorf("ada is told %v", err)
	}
}

// A claim whose context ends in the moment in which it gets the lock lets go of it: nobody waits for its lease.
func TestLock_ContextEnds(t *testing.T) {
	t.Parallel()
	p, _ := open(t, "lock", 1)
	client := p.servers.Redis(t)
	ctx, end := context.WithCancel(t.Context())
	client.AddHook(after{"set", end})
	if _, err := strategytest.Open("lock", client).Claim(ctx, tea, "ada"); !errors.Is(err, context.Canceled) {
		t.Errorf("ada is told %v", err)
	}
	if n, err := client.Exists(t.Context(), "lock:coupon:tea").Result(); n != 0 || err != nil {
		t.Errorf("there are %d locks, %v", n, err)
	}
}

// after calls do when a command of that name was answered.
type after struct {
	command string
	do      func()
}

func (a after) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (a after) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if cmd.Name() == a.command {
			a.do()
		}
		return err
	}
}

func (a after) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
