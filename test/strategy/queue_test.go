package strategy

import (
	"context"
	"errors"
	"testing"

	"github.com/firstcome/firstcome/strategy"
	"github.com/firstcome/firstcome/strategy/strategytest"
)

var queueShown = map[strategy.Fault]demonstration{
	strategy.OverIssue: func(t *testing.T, p place) strategy.Sale { return twoWorkers(t, p, "blmove") },
}

var queuePlainShown = map[strategy.Fault]demonstration{
	strategy.OverIssue: func(t *testing.T, p place) strategy.Sale { return twoWorkers(t, p, "brpop") },
	strategy.Lost:      killedWorker,
}

// Two workers take one claim each, both count none, both issue.
func twoWorkers(t *testing.T, p place, take string) strategy.Sale {
	shop, id := p.New(t).(strategy.Queue), p.CouponID(t)
	check(t, shop.SetLimit(t.Context(), id, 1))
	var takes, adds []*strategytest.Stop
	for range 2 {
		worker := p.racer(t)
		taking := worker.Before(take)
		adds = append(adds, worker.Before("sadd"))
		workUntilTheEnd(t, worker.Strategy.(strategy.Queue), id)
		<-taking.Reached
		takes = append(takes, taking)
	}
	for _, user := range []string{"ada", "bob"} {
		_, err := shop.Claim(t.Context(), id, user)
		check(t, err)
	}
	for i := range takes {
		takes[i].Release()
	}
	for i := range adds {
		<-adds[i].Reached
	}
	for i := range adds {
		adds[i].Release()
	}
	return p.Sale(t, shop, id, 1, []strategy.Told{strategytest.Result(t, shop, id, "ada"), strategytest.Result(t, shop, id, "bob")})
}

func workUntilTheEnd(t *testing.T, worker strategy.Queue, couponID string) {
	ctx, end := context.WithCancel(context.WithoutCancel(t.Context()))
	worked := make(chan error, 1)
	go func() { worked <- worker.Work(ctx, couponID) }()
	t.Cleanup(func() {
		end()
		if err := <-worked; !errors.Is(err, context.Canceled) {
			t.Errorf("the worker ended with %v", err)
		}
	})
}

// The worker dies with ada's claim in its hands, and the next one goes on.
func killedWorker(t *testing.T, p place) strategy.Sale {
	shop, id := p.New(t).(strategy.Queue), p.CouponID(t)
	check(t, shop.SetLimit(t.Context(), id, 1))
	for _, user := range []string{"ada", "bob"} {
		_, err := shop.Claim(t.Context(), id, user)
		check(t, err)
	}
	worker := strategytest.StartServer(t, p.Command(t))
	reached, _ := worker.Before(t, "sadd")
	check(t, worker.Work(id))
	reached()
	worker.Kill()
	p.work(t, id)
	bob := strategytest.Result(t, shop, id, "bob")
	answer, err := shop.Result(t.Context(), id, "ada") // who was in front of bob
	return p.Sale(t, shop, id, 1, []strategy.Told{{UserID: "ada", Answer: answer, Err: err}, bob})
}

// With LMOVE the next worker begins with ada: nothing is lost, and the order is kept.
func TestQueue_WorkerKilled(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "queue")
	sale := killedWorker(t, p)
	if faults := strategy.Count(sale); len(faults) > 0 || len(sale.Issued) != 1 || sale.Issued[0] != "ada" {
		t.Errorf("%v have one, with %v; want ada, who was first", sale.Issued, faults)
	}
}

// A worker that is told to end decides what it has taken.
func TestQueue_WorkerEnds(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "queue-plain")
	shop, id := p.New(t).(strategy.Queue), p.CouponID(t)
	check(t, shop.SetLimit(t.Context(), id, 1))
	_, err := shop.Claim(t.Context(), id, "ada")
	check(t, err)
	worker := p.racer(t)
	stop := worker.Before("sadd")
	ctx, end := context.WithCancel(t.Context())
	worked := make(chan error)
	go func() { worked <- worker.Strategy.(strategy.Queue).Work(ctx, id) }()
	<-stop.Reached
	end()
	stop.Release()
	if err := <-worked; !errors.Is(err, context.Canceled) {
		t.Errorf("the worker ended with %v", err)
	}
	if answer, err := shop.Result(t.Context(), id, "ada"); answer != strategy.Issued || err != nil {
		t.Errorf("ada is told %s, %v", answer, err)
	}
}
