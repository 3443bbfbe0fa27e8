package strategytest

import (
	"errors"

	"github.com/firstcome/firstcome/strategy"
)

func (s *onRedis) recheck() {
	at := *s
	s.Shown = map[strategy.Fault]func(T) strategy.Sale{
		strategy.UnderIssue: at.bothStepBack,
		strategy.Inversion:  at.thirdGetsIt,
		strategy.Untrue:     at.toldAndTakenBack,
		strategy.OverIssue:  at.killedBeforeSREM,
	}
}

// Two add themselves for the last one, both count two, both step back: it is refused to both, and still there.
func (s onRedis) bothStepBack(t T) strategy.Sale {
	shop, id := s.open(t)
	ada, bob := s.raceForTheLast(t, id)
	if left, err := shop.Remaining(t.Context(), id); err != nil || left != 1 {
		t.Errorf("both were refused, and there remain %d, %v; want the last one", left, err)
	}
	return s.Sale(t, shop, id, 1, []strategy.Told{ada, bob})
}

// Whoever comes next gets it, behind two who were refused.
func (s onRedis) thirdGetsIt(t T) strategy.Sale {
	shop, id := s.open(t)
	ada, bob := s.raceForTheLast(t, id)
	eve := Decided(t, shop, id, "eve")
	sale := s.Sale(t, shop, id, 1, []strategy.Told{ada, bob, eve})
	sale.Arrived = []string{"ada", "bob", "eve"}
	return sale
}

func (s onRedis) raceForTheLast(t T, id string) (ada, bob strategy.Told) {
	one, other := s.racer(t), s.racer(t)
	a, b := one.Before("sadd"), other.Before("sadd")
	adaIs := one.Ask(t.Context(), id, "ada")
	a.Await(t)
	bobIs := other.Ask(t.Context(), id, "bob")
	b.Await(t) // both have counted none
	a, b = one.Onward(t, a, "scard"), other.Onward(t, b, "scard")
	a, b = one.Onward(t, a, "srem"), other.Onward(t, b, "srem") // both have counted two
	a.Release()
	b.Release()
	return adaIs(), bobIs()
}

// Ada asks twice. The second time she is told that she has one, and then the first request takes it back.
func (s onRedis) toldAndTakenBack(t T) strategy.Sale {
	shop, id := s.open(t)
	one, other := s.racer(t), s.racer(t)
	a, b := one.Before("sadd"), other.Before("sadd")
	adaIs, bobIs := one.Ask(t.Context(), id, "ada"), other.Ask(t.Context(), id, "bob")
	a.Await(t)
	b.Await(t)
	a = one.Onward(t, a, "scard") // ada is in the set
	again := Decided(t, shop, id, "ada")
	if !errors.Is(again.Err, strategy.ErrAlreadyIssued) {
		t.Errorf("ada's second request is told %v", again.Err)
	}
	b = other.Onward(t, b, "srem")
	a.Release()
	ada := adaIs()
	b.Release()
	return s.Sale(t, shop, id, 1, []strategy.Told{ada, bobIs(), again})
}

// A server that dies between SADD and SREM leaves one too many.
func (s onRedis) killedBeforeSREM(t T) strategy.Sale {
	shop, id := s.open(t)
	server := StartServer(t, s.Command(t))
	reached, release := server.Before(t, "sadd")
	go func() { _, _ = server.Claim(id, "ada") }() // nobody will answer
	reached()
	bob := Decided(t, shop, id, "bob")
	stands, _ := server.Before(t, "srem")
	release()
	stands()
	server.Kill()
	ada := Decided(t, shop, id, "ada") // asks again at another server
	return s.Sale(t, shop, id, 1, []strategy.Told{bob, ada})
}
