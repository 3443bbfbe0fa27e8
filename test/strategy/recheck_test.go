package strategy

import (
	"errors"
	"testing"

	"github.com/firstcome/firstcome/strategy"
	"github.com/firstcome/firstcome/strategy/strategytest"
)

var recheckShown = map[strategy.Fault]demonstration{
	strategy.UnderIssue: bothStepBack,
	strategy.Inversion:  thirdGetsIt,
	strategy.Untrue:     toldAndTakenBack,
	strategy.OverIssue:  killedBeforeSREM,
}

// Two add themselves for the last one, both count two, both step back: it is refused to both, and still there.
func bothStepBack(t *testing.T, p place) strategy.Sale {
	shop, id := p.New(t), p.CouponID(t)
	check(t, shop.SetLimit(t.Context(), id, 1))
	ada, bob := raceForTheLast(t, p, id)
	if left, err := shop.Remaining(t.Context(), id); err != nil || left != 1 {
		t.Errorf("both were refused, and there remain %d, %v; want the last one", left, err)
	}
	return p.Sale(t, shop, id, 1, []strategy.Told{ada, bob})
}

// Whoever comes next gets it, behind two who were refused.
func thirdGetsIt(t *testing.T, p place) strategy.Sale {
	shop, id := p.New(t), p.CouponID(t)
	check(t, shop.SetLimit(t.Context(), id, 1))
	ada, bob := raceForTheLast(t, p, id)
	eve := strategytest.Decided(t, shop, id, "eve")
	sale := p.Sale(t, shop, id, 1, []strategy.Told{ada, bob, eve})
	sale.Arrived = []string{"ada", "bob", "eve"}
	return sale
}

func raceForTheLast(t *testing.T, p place, id string) (ada, bob strategy.Told) {
	one, other := p.racer(t), p.racer(t)
	a, b := one.Before("sadd"), other.Before("sadd")
	adaIs := one.claim(t, id, "ada")
	<-a.Reached
	bobIs := other.claim(t, id, "bob")
	<-b.Reached // both have counted none
	a, b = one.onward(a, "scard"), other.onward(b, "scard")
	a, b = one.onward(a, "srem"), other.onward(b, "srem") // both have counted two
	a.Release()
	b.Release()
	return adaIs(), bobIs()
}

// Ada asks twice. The second time she is told that she has one, and then the first request takes it back.
func toldAndTakenBack(t *testing.T, p place) strategy.Sale {
	shop, id := p.New(t), p.CouponID(t)
	check(t, shop.SetLimit(t.Context(), id, 1))
	one, other := p.racer(t), p.racer(t)
	a, b := one.Before("sadd"), other.Before("sadd")
	adaIs, bobIs := one.claim(t, id, "ada"), other.claim(t, id, "bob")
	<-a.Reached
	<-b.Reached
	a = one.onward(a, "scard") // ada is in the set
	again := strategytest.Decided(t, shop, id, "ada")
	if !errors.Is(again.Err, strategy.ErrAlreadyIssued) {
		t.Errorf("ada's second request is told %v", again.Err)
	}
	b = other.onward(b, "srem")
	a.Release()
	ada := adaIs()
	b.Release()
	return p.Sale(t, shop, id, 1, []strategy.Told{ada, bobIs(), again})
}

// A server that dies between SADD and SREM leaves one too many.
func killedBeforeSREM(t *testing.T, p place) strategy.Sale {
	shop, id := p.New(t), p.CouponID(t)
	check(t, shop.SetLimit(t.Context(), id, 1))
	server := strategytest.StartServer(t, p.Command(t))
	reached, release := server.Before(t, "sadd")
	go func() { _, _ = server.Claim(id, "ada") }() // nobody will answer
	reached()
	bob := strategytest.Decided(t, shop, id, "bob")
	stands, _ := server.Before(t, "srem")
	release()
	stands()
	server.Kill()
	ada := strategytest.Decided(t, shop, id, "ada") // asks again at another server
	return p.Sale(t, shop, id, 1, []strategy.Told{bob, ada})
}
