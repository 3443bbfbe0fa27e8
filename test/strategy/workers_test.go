package strategy

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/strategy"
	"github.com/firstcome/firstcome/strategy/strategytest"
)

// decides is the command by which a worker decides.
const decides = "evalsha"

// holding is a worker that has taken a claim, and stands still before it decides it.
func (p till) holding(t *testing.T) (worker strategytest.Racer, stop *strategytest.Stop) {
	t.Helper()
	worker = p.racer()
	taking := worker.Before("blmove")
	p.works(t, worker.Strategy)
	t.Cleanup(taking.Release)
	taking.Await(t) // it has looked for what another one left
	stop = worker.Onward(t, taking, decides)
	t.Cleanup(stop.Release)
	return worker, stop
}

// goesOn returns when the worker has decided, and comes for the next one.
func goesOn(t *testing.T, worker strategytest.Racer, stop *strategytest.Stop) {
	t.Helper()
	worker.Onward(t, stop, "blmove").Release()
}

// A worker stands still before it decides; another one goes on. What the first one does at last changes nothing.
func TestQueue_WorkerPaused(t *testing.T) {
	t.Parallel()
	p, shop := openQueue(t, "queue", 2, "ada", "bob", "eve", "ada")
	slow, stop := p.holding(t) // of ada's claim
	p.works(t, shop)
	eve := strategytest.Result(t, shop, p.id, "eve")
	goesOn(t, slow, stop)
	told := []strategy.Told{eve, strategytest.Result(t, shop, p.id, "ada"), strategytest.Result(t, shop, p.id, "bob")}
	sale := p.sold(t, shop, 2, told, "ada", "bob", "eve")
	if faults := strategy.Count(sale); len(faults) > 0 || len(sale.Issued) != 2 || !errors.Is(eve.Err, strategy.ErrExhausted) {
		t.Errorf("%v have one, with %v; want ada and bob", sale.Issued, faults)
	}
}

// one has bob's claim in the hands of a worker that stands still, where ada has one already.
func one(t *testing.T, limit int64) (p till, shop strategy.Queue, slow strategytest.Racer, stop *strategytest.Stop) {
	t.Helper()
	p, shop = openQueue(t, "queue", limit, "ada")
	ctx, end := context.WithCancel(t.Context())
	worked := make(chan error, 1)
	go func() { worked <- shop.Work(ctx, p.id) }()
	strategytest.Result(t, shop, p.id, "ada")
	end()
	<-worked
	_, err := shop.Claim(t.Context(), p.id, "bob")
	check(t, err)
	slow, stop = p.holding(t)
	return p, shop, slow, stop
}

// The limit falls and rises again while a worker stands still and another goes on: what the first one saw, when bob was still to
// have one, counts no more.
func TestQueue_LimitFellMeanwhile(t *testing.T) {
	t.Parallel()
	p, shop, slow, stop := one(t, 2)
	check(t, shop.SetLimit(t.Context(), p.id, 1))
	p.works(t, shop)
	if bob := strategytest.Result(t, shop, p.id, "bob"); !errors.Is(bob.Err, strategy.ErrExhausted) {
		t.Errorf("bob is told %v", bob.Err)
	}
	check(t, shop.SetLimit(t.Context(), p.id, 2))
	eve := strategytest.Decided(t, shop, p.id, "eve")
	goesOn(t, slow, stop)
	sale := p.sold(t, shop, 2, []strategy.Told{eve})
	if faults := strategy.Count(sale); len(faults) > 0 || len(sale.Issued) != 2 {
		t.Errorf("%v have one, with %v; want ada and eve", sale.Issued, faults)
	}
}

// The limit rises, and bob, whom the second worker has refused, asks again: the first one does not refuse, or drop, his new claim.
func TestQueue_LimitRoseMeanwhile(t *testing.T) {
	t.Parallel()
	p, shop, slow, stop := one(t, 1)
	next := p.racer()
	taking := next.Before("blmove")
	p.works(t, next.Strategy)
	t.Cleanup(taking.Release)
	taking.Await(t)
	if bob := strategytest.Result(t, shop, p.id, "bob"); !errors.Is(bob.Err, strategy.ErrExhausted) {
		t.Errorf("bob is told %v", bob.Err)
	}
	check(t, shop.SetLimit(t.Context(), p.id, 2))
	_, err := shop.Claim(t.Context(), p.id, "bob")
	check(t, err)
	deciding := next.Onward(t, taking, decides) // his new claim
	goesOn(t, slow, stop)
	goesOn(t, next, deciding)
	bob := strategytest.Result(t, shop, p.id, "bob")
	sale := p.sold(t, shop, 2, []strategy.Told{bob})
	if faults := strategy.Count(sale); len(faults) > 0 || len(sale.Issued) != 2 {
		t.Errorf("bob is told %v, %v have one, with %v; want both", bob.Err, sale.Issued, faults)
	}
}

// The limit is away when a worker takes bob's claim, as of a coupon that nobody has defined, and there again while it stands
// still. Bob's next claim is not lost.
func TestQueue_LimitCameMeanwhile(t *testing.T) {
	t.Parallel()
	p, shop := openQueue(t, "queue", 1, "bob")
	check(t, p.connect().Del(t.Context(), p.key("limit")).Err())
	slow, stop := p.holding(t)
	next := p.racer()
	taking := next.Before("blmove")
	p.works(t, next.Strategy)
	t.Cleanup(taking.Release)
	taking.Await(t)
	check(t, shop.SetLimit(t.Context(), p.id, 1))
	_, err := shop.Claim(t.Context(), p.id, "bob")
	check(t, err)
	deciding := next.Onward(t, taking, decides)
	goesOn(t, slow, stop)
	goesOn(t, next, deciding)
	answer, err := shop.Result(t.Context(), p.id, "bob")
	sale := p.sold(t, shop, 1, []strategy.Told{{UserID: "bob", Answer: answer, Err: err}})
	if faults := strategy.Count(sale); len(faults) > 0 || len(sale.Issued) != 1 {
		t.Errorf("bob is told %q, %v, %v have one, with %v", answer, err, sale.Issued, faults)
	}
}

// The limit is away when the worker decides. Bob's claim waits until it is there again.
func TestQueue_LimitAway(t *testing.T) {
	t.Parallel()
	p, shop := openQueue(t, "queue", 1, "bob")
	check(t, p.connect().Del(t.Context(), p.key("limit")).Err())
	worker, stop := p.holding(t)
	goesOn(t, worker, stop)
	check(t, shop.SetLimit(t.Context(), p.id, 1))
	p.works(t, shop)
	if bob := strategytest.Result(t, shop, p.id, "bob"); bob.Answer != strategy.Issued {
		t.Errorf("bob is told %q, %v", bob.Answer, bob.Err)
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

// A worker may be there before the coupon is. Who asks before is in no queue.
func TestQueue_WorkBeforeTheCoupon(t *testing.T) {
	for _, name := range []string{"queue", "queue-plain"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, id := place(t, name)
			worker := strategytest.NewRacer(name, client)
			take := map[string]string{"queue": "blmove", "queue-plain": "brpop"}[name]
			stop := worker.Before(take)
			t.Cleanup(strategytest.Work(t, worker.Strategy, id))
			t.Cleanup(stop.Release)
			stop.Await(t)
			door := strategytest.Open(name, coupontest.Start(t, coupontest.Redis).Redis(t))
			if _, err := door.Claim(t.Context(), id, "ada"); !errors.Is(err, strategy.ErrCouponNotFound) {
				t.Errorf("ada is told %v", err)
			}
			check(t, door.SetLimit(t.Context(), id, 2))
			stop.Release()
			bob := strategytest.Decided(t, door, id, "bob")
			if users, err := door.Issued(t.Context(), id); bob.Err != nil || err != nil || !slices.Equal(users, []string{"bob"}) {
				t.Errorf("bob is told %v, %v have one, %v", bob.Err, users, err)
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
