package strategy

import (
	"context"
	"errors"
	"maps"
	"net"
	"slices"
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

// Ada closes the page when what she asked for is half done: it is done to its end.
func TestPageClosed(t *testing.T) {
	for _, c := range []struct {
		name   string
		stands []string // before these one after the other, while bob takes the only one; the last is what must not be left out
		issued []string
	}{
		{"recheck", []string{"sadd", "scard"}, []string{"bob"}},
		{"recheck", []string{"sadd", "srem"}, []string{"bob"}},
		{"lock-plain", []string{"sadd"}, []string{"ada"}},
	} {
		t.Run(c.name+"/"+c.stands[len(c.stands)-1], func(t *testing.T) {
			t.Parallel()
			p, shop := open(t, c.name, 1)
			one := p.racer()
			ctx, end := context.WithCancel(t.Context())
			stop := one.Before(c.stands[0])
			ada := one.Ask(ctx, p.id, "ada")
			stop.Await(t)
			var told []strategy.Told
			for _, next := range c.stands[1:] { // ada has counted none
				told = append(told, strategytest.Decided(t, shop, p.id, "bob"))
				stop = one.Onward(t, stop, next)
			}
			end()
			stop.Release()
			told = append(told, ada(), strategytest.Decided(t, shop, p.id, "eve"))
			told = slices.DeleteFunc(told, func(one strategy.Told) bool { return errors.Is(one.Err, context.Canceled) })
			sale := p.sold(t, shop, 1, told)
			if faults := strategy.Count(sale); len(faults) > 0 || !slices.Equal(sale.Issued, c.issued) {
				t.Errorf("%v have one, with %v; want %v", sale.Issued, faults, c.issued)
			}
		})
	}
}

// Ada's request stands still for longer than the lease, and another of hers is decided. She is not given a second one; one is
// gone that nobody has.
func TestLockPlain_SamePersonTwice(t *testing.T) {
	t.Parallel()
	p, shop := open(t, "lock-plain", 2)
	one := p.racer()
	stop := one.Before("decr")
	first := one.Ask(t.Context(), p.id, "ada")
	stop.Await(t)
	second := strategytest.Decided(t, shop, p.id, "ada") // asks until the lease has ended
	stop.Release()
	told := []strategy.Told{first(), second, strategytest.Decided(t, shop, p.id, "bob")}
	if !errors.Is(told[0].Err, strategy.ErrAlreadyIssued) {
		t.Errorf("the first request is told %q, %v", told[0].Answer, told[0].Err)
	}
	sale := p.sold(t, shop, 2, told)
	if faults := strategy.Count(sale); !maps.Equal(faults, map[strategy.Fault]int{strategy.UnderIssue: 1}) {
		t.Errorf("%v have one, with %v; want one left, as the page says", sale.Issued, faults)
	}
}
