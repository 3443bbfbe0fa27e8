package strategy

import (
	"context"
	"errors"
	"testing"

	"github.com/firstcome/firstcome/strategy"
	"github.com/firstcome/firstcome/strategy/strategytest"
)

// A worker that is told to end decides what it has taken.
func TestQueue_WorkerEnds(t *testing.T) {
	t.Parallel()
	client, id := place(t, "queue-plain")
	shop := strategy.Queue{Redis: client, Plain: true}
	check(t, shop.SetLimit(t.Context(), id, 1))
	_, err := shop.Claim(t.Context(), id, "ada")
	check(t, err)
	stop := strategytest.NewGate(client).Before("sadd")
	ctx, end := context.WithCancel(t.Context())
	worked := make(chan error)
	go func() { worked <- shop.Work(ctx, id) }()
	stop.Await(t)
	end()
	stop.Release()
	if err := <-worked; !errors.Is(err, context.Canceled) {
		t.Errorf("the worker ended with %v", err)
	}
	if answer, err := shop.Result(t.Context(), id, "ada"); answer != strategy.Issued || err != nil {
		t.Errorf("ada is told %s, %v", answer, err)
	}
}
