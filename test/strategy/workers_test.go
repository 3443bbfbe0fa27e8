package strategy

import (
	"errors"
	"testing"

	"github.com/firstcome/firstcome/strategy"
	"github.com/firstcome/firstcome/strategy/strategytest"
)

// A worker stands still when it has looked; another one goes on. What the first one writes at last changes nothing.
func TestQueue_WorkerPaused(t *testing.T) {
	t.Parallel()
	p, shop := openQueue(t, "queue", 2, "ada", "bob", "eve", "ada")
	slow := p.racer()
	stop, taking := slow.Before("sadd"), slow.Before("blmove")
	p.works(t, slow.Strategy)
	taking.Await(t)
	taking.Release()
	stop.Await(t) // to write down ada
	p.works(t, shop)
	eve := strategytest.Result(t, shop, p.id, "eve")
	taking = slow.Onward(t, stop, "blmove")
	taking.Release()
	told := []strategy.Told{eve, strategytest.Result(t, shop, p.id, "ada"), strategytest.Result(t, shop, p.id, "bob")}
	sale := p.sold(t, shop, 2, told, "ada", "bob", "eve")
	if faults := strategy.Count(sale); len(faults) > 0 || len(sale.Issued) != 2 || !errors.Is(eve.Err, strategy.ErrExhausted) {
		t.Errorf("%v have one, with %v; want ada and bob", sale.Issued, faults)
	}
}

// The time of a worker ends in the moment in which Redis gives it ada's claim, and its successor has looked for such already.
// That one finds ada beside the next whom it takes, and before them.
func TestQueue_TakenByNobody(t *testing.T) {
	t.Parallel()
	p, shop := openQueue(t, "queue", 1)
	next := p.racer()
	stop := next.Before("blmove")
	p.works(t, next.Strategy)
	stop.Await(t)
	for _, user := range []string{"ada", "bob"} {
		_, err := shop.Claim(t.Context(), p.id, user)
		check(t, err)
	}
	check(t, p.connect().LMove(t.Context(), p.key("queue"), p.key("processing"), "RIGHT", "LEFT").Err())
	stop.Release()
	told := []strategy.Told{strategytest.Result(t, shop, p.id, "bob"), strategytest.Result(t, shop, p.id, "ada")}
	onlyAda(t, p.sold(t, shop, 1, told, "ada", "bob"))
}

// The worker of a coupon that is not defined yet drops what people were told there is no such coupon for, and goes on.
func TestQueue_WorkBeforeTheCoupon(t *testing.T) {
	for _, name := range []string{"queue", "queue-plain"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, shop := openQueue(t, name, 2)
			client := p.connect()
			check(t, client.Del(t.Context(), p.key("limit")).Err())
			p.works(t, shop)
			check(t, client.LPush(t.Context(), p.key("queue"), "ada").Err()) // at the door, which will look for her here
			strategytest.Eventually(t, func() (any, error) {
				n, err := client.Exists(t.Context(), p.key("queue"), p.key("processing")).Result()
				if err == nil && n > 0 {
					err = errors.New("ada still waits")
				}
				return nil, err
			})
			check(t, shop.SetLimit(t.Context(), p.id, 2))
			bob := strategytest.Decided(t, shop, p.id, "bob")
			if sale := p.sold(t, shop, 2, nil); bob.Err != nil || len(sale.Issued) != 1 {
				t.Errorf("bob is told %v, %v have one", bob.Err, sale.Issued)
			}
		})
	}
}

// Who was refused and asks again is not told of the former refusal while the new claim is in nobody's list.
func TestQueuePlain_AsksAgain(t *testing.T) {
	t.Parallel()
	p, shop := openQueue(t, "queue-plain", 1, "ada")
	worker := p.racer()
	p.works(t, worker.Strategy)
	if bob := strategytest.Decided(t, shop, p.id, "bob"); !errors.Is(bob.Err, strategy.ErrExhausted) {
		t.Errorf("bob is told %v", bob.Err)
	}
	check(t, shop.SetLimit(t.Context(), p.id, 2))
	stop := worker.Before("sadd")
	_, err := shop.Claim(t.Context(), p.id, "bob")
	check(t, err)
	stop.Await(t)
	if answer, err := shop.Result(t.Context(), p.id, "bob"); !errors.Is(err, strategy.ErrNoClaim) {
		t.Errorf("while the worker holds his claim bob is told %q, %v", answer, err)
	}
	stop.Release()
	if bob := strategytest.Result(t, shop, p.id, "bob"); bob.Err != nil {
		t.Errorf("bob is told %v", bob.Err)
	}
}
