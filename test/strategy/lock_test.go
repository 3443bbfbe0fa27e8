package strategy

import (
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/firstcome/firstcome/strategy"
	"github.com/firstcome/firstcome/strategy/strategytest"
)

var lockShown = map[strategy.Fault]demonstration{strategy.Inversion: overtakenAtTheLock}

var lockPlainShown = map[strategy.Fault]demonstration{
	strategy.Inversion:  overtakenAtTheLock,
	strategy.OverIssue:  func(t *testing.T, p place) strategy.Sale { return pausedHolder(t, p, "decr") },
	strategy.UnderIssue: killedBeforeSADD,
}

// Ada has read that one is left, and stands still for longer than the lease. Bob gets the lock and the last one; ada goes on.
func pausedHolder(t *testing.T, p place, write string) strategy.Sale {
	shop, id := p.New(t), p.CouponID(t)
	check(t, shop.SetLimit(t.Context(), id, 1))
	one := p.racer(t)
	stop := one.Before(write)
	adaIs := one.claim(t, id, "ada")
	<-stop.Reached
	bob := strategytest.Decided(t, shop, id, "bob") // asks until the lease has ended
	stop.Release()
	ada := adaIs()
	if errors.Is(ada.Err, strategy.ErrBusy) {
		ada = strategytest.Decided(t, shop, id, "ada")
	}
	return p.Sale(t, shop, id, 1, []strategy.Told{ada, bob})
}

// With the fence ada's write comes with an old number, and Redis does not take it.
func TestLock_PausedHolder(t *testing.T) {
	t.Parallel()
	sale := pausedHolder(t, newPlace(t, "lock"), "evalsha")
	if faults := strategy.Count(sale); len(faults) > 0 || len(sale.Issued) != 1 || sale.Issued[0] != "bob" {
		t.Errorf("%v have one, with %v; want bob alone", sale.Issued, faults)
	}
}

// The server dies when it has counted down, and before it has written down for whom.
func killedBeforeSADD(t *testing.T, p place) strategy.Sale {
	shop, id := p.New(t), p.CouponID(t)
	check(t, shop.SetLimit(t.Context(), id, 1))
	server := strategytest.StartServer(t, p.Command(t))
	reached, _ := server.Before(t, "sadd")
	go func() { _, _ = server.Claim(id, "ada") }() // nobody will answer
	reached()
	server.Kill()
	ada := strategytest.Decided(t, shop, id, "ada") // asks again at another server
	return p.Sale(t, shop, id, 1, []strategy.Told{ada})
}

// Ada finds the lock taken. While she waits to try again it is let go, and bob, who has just come, has it.
func overtakenAtTheLock(t *testing.T, p place) strategy.Sale {
	shop, id := p.New(t), p.CouponID(t)
	check(t, shop.SetLimit(t.Context(), id, 1))
	client := p.servers.Redis(t)
	check(t, client.SetArgs(t.Context(), "lock:coupon:"+id, "somebody", redis.SetArgs{Mode: "NX", TTL: time.Hour}).Err())
	one := p.racer(t)
	first := one.Before("set")
	adaIs := one.claim(t, id, "ada")
	<-first.Reached
	second := one.onward(first, "set")
	check(t, client.Del(t.Context(), "lock:coupon:"+id).Err())
	bob := strategytest.Decided(t, shop, id, "bob")
	second.Release()
	ada := adaIs()
	if errors.Is(ada.Err, strategy.ErrBusy) {
		ada = strategytest.Decided(t, shop, id, "ada")
	}
	sale := p.Sale(t, shop, id, 1, []strategy.Told{ada, bob})
	sale.Arrived = []string{"ada", "bob"}
	return sale
}

// Who waits for longer than a second is told so, and nothing is decided.
func TestLock_Busy(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "lock")
	shop, id := p.New(t), p.CouponID(t)
	check(t, shop.SetLimit(t.Context(), id, 1))
	check(t, p.servers.Redis(t).Set(t.Context(), "lock:coupon:"+id, "somebody", 0).Err())
	if _, err := shop.Claim(t.Context(), id, "ada"); !errors.Is(err, strategy.ErrBusy) {
		t.Errorf("ada is told %v", err)
	}
	if left, err := shop.Remaining(t.Context(), id); err != nil || left != 1 {
		t.Errorf("there remain %d, %v", left, err)
	}
}
