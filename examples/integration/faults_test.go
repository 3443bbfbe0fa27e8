package integration

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/producer"
)

// Whatever breaks, what was given out stays given out, and an upstream is told what it can know.
func TestFaults(t *testing.T) {
	t.Parallel()
	p := coupontest.StartAlone(t).Pipeline(t) // servers that no other test uses
	p.Define(t, coupontest.Coupon("tea", 2))
	shop, err := newCheckout(p.Kafka(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = shop.requests.Close(context.Background()) })
	p.Claim(t, "tea", "ada")

	p.KillRedis(t) // and it is back, empty
	p.Claim(t, "tea", "bob")

	resume := p.PauseBroker(t) // connections stay open and nobody answers
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if err := shop.paid(ctx, "order-1", "eve"); !errors.Is(err, producer.ErrUnknownOutcome) && !errors.Is(err, producer.ErrUnavailable) {
		t.Errorf("told %v", err)
	}
	resume()

	p.Kill() // Firstcome itself, as kill -9 does
	p = p.Servers.Pipeline(t)
	if outcomes := p.Claim(t, "tea", "carl"); !slices.Equal(outcomes, []string{"sold_out"}) {
		t.Errorf("outcomes %q", outcomes)
	}
	grants := p.Grants(t, "tea")
	coupontest.RequireExactly(t, grants, "tea", 2)
	coupontest.RequireGranted(t, grants, "ada", "bob")
}
