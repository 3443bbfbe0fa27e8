package strategy

import (
	"context"
	"testing"

	"github.com/firstcome/firstcome/strategy"
	"github.com/firstcome/firstcome/strategy/strategytest"
)

// What the pages say of round trips. Where there is a worker, its are counted with those of the door.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct{ issued, refused int64 }{
		"script": {1, 1}, "recheck": {3, 2}, "queue": {1 + 2, 1 + 2}, "queue-plain": {1 + 3, 1 + 3}, "lock": {6, 5}, "lock-plain": {6, 4},
	} {
		t.Run(name, func(t *testing.T) {
			client, id := place(t, name)
			shop := &counted{Strategy: strategytest.Open(name, client), Gate: strategytest.NewGate(client)}
			shop.Watch(client)
			check(t, shop.SetLimit(t.Context(), id, 2))
			shop.claim(t, id, "first") // which loads the scripts
			if issued := shop.claim(t, id, "ada"); issued != want.issued {
				t.Errorf("to give one out takes %d round trips, want %d", issued, want.issued)
			}
			if refused := shop.claim(t, id, "eve"); refused != want.refused {
				t.Errorf("to refuse somebody takes %d round trips, want %d", refused, want.refused)
			}
		})
	}
}

// counted is a shop whose round trips are counted.
type counted struct {
	strategy.Strategy
	*strategytest.Gate
	strategytest.Trips
}

// claim is what one claim takes until it is decided.
func (c *counted) claim(t *testing.T, couponID, userID string) int64 {
	before := c.Count()
	_, err := c.Strategy.Claim(t.Context(), couponID, userID)
	queue, queued := c.Strategy.(strategy.Queue)
	if !queued || err != nil {
		return c.Count() - before
	}
	take := "blmove"
	if queue.Plain {
		take = "brpop"
	}
	first := c.Before(take)
	ctx, end := context.WithCancel(t.Context())
	worked := make(chan error, 1)
	go func() { worked <- queue.Work(ctx, couponID) }()
	first.Await(t)
	next := c.Onward(t, first, take)
	trips := c.Count() - before - 1 // the worker's first is to look what another one left
	end()
	next.Release()
	<-worked
	return trips
}
