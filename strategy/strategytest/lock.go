package strategytest

import (
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/firstcome/firstcome/strategy"
)

// lockCrowd is a small one: whoever waits for the lock for more than a second is told to come again.
const lockCrowd = 30

func (s *onRedis) lock() {
	at := *s
	s.Crowd = lockCrowd
	s.Shown = map[strategy.Fault]func(T) strategy.Sale{strategy.Inversion: at.overtakenAtTheLock}
	s.Withstood = map[string]func(T) strategy.Sale{
		"holder paused": func(t T) strategy.Sale { return at.holderPaused(t, "evalsha") }, // ada's number is an old one
		"holder killed": func(t T) strategy.Sale { return at.holderKilled(t, "evalsha") }, // both writes are one step
	}
}

func (s *onRedis) lockPlain() {
	at := *s
	s.Crowd = lockCrowd
	s.Shown = map[strategy.Fault]func(T) strategy.Sale{
		strategy.Inversion:  at.overtakenAtTheLock,
		strategy.OverIssue:  func(t T) strategy.Sale { return at.holderPaused(t, "decr") },
		strategy.UnderIssue: func(t T) strategy.Sale { return at.holderKilled(t, "sadd") },
	}
}

// Ada has read that one is left, and stands still for longer than the lease. Bob gets the lock and the last one; ada goes on.
func (s onRedis) holderPaused(t T, write string) strategy.Sale {
	shop, id := s.open(t)
	one := s.racer(t)
	stop := one.Before(write)
	adaIs := one.Ask(t.Context(), id, "ada")
	stop.Await(t)
	bob := Decided(t, shop, id, "bob") // asks until the lease has ended
	stop.Release()
	ada := adaIs()
	if errors.Is(ada.Err, strategy.ErrBusy) {
		ada = Decided(t, shop, id, "ada")
	}
	return s.Sale(t, shop, id, 1, []strategy.Told{ada, bob})
}

// The server dies before the last of what it has to write.
func (s onRedis) holderKilled(t T, last string) strategy.Sale {
	shop, id := s.open(t)
	server := StartServer(t, s.Command(t))
	reached, _ := server.Before(t, last)
	go func() { _, _ = server.Claim(id, "ada") }() // nobody will answer
	reached()
	server.Kill()
	ada := Decided(t, shop, id, "ada") // asks again at another server
	return s.Sale(t, shop, id, 1, []strategy.Told{ada})
}

// Ada finds the lock taken. While she waits to try again it is let go, and bob, who has just come, has it.
func (s onRedis) overtakenAtTheLock(t T) strategy.Sale {
	shop, id := s.open(t)
	client := s.connect(t)
	must(t, client.SetArgs(t.Context(), "lock:coupon:"+id, "somebody", redis.SetArgs{Mode: "NX", TTL: time.Hour}).Err())
	one := s.racer(t)
	first := one.Before("set")
	adaIs := one.Ask(t.Context(), id, "ada")
	first.Await(t)
	second := one.Onward(t, first, "set")
	must(t, client.Del(t.Context(), "lock:coupon:"+id).Err())
	bob := Decided(t, shop, id, "bob")
	second.Release()
	ada := adaIs()
	if errors.Is(ada.Err, strategy.ErrBusy) {
		ada = Decided(t, shop, id, "ada")
	}
	sale := s.Sale(t, shop, id, 1, []strategy.Told{ada, bob})
	sale.Arrived = []string{"ada", "bob"}
	return sale
}
