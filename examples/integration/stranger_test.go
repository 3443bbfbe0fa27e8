package integration

import (
	"context"
	"errors"
	"testing"

	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
)

// 500 people ask for 100 coupons: exactly the first 100 get one, nobody two.
func TestStranger(t *testing.T) {
	t.Parallel()
	p := coupontest.Pipeline(t)
	p.Define(t, coupontest.Coupon("tea", 100))
	must := func(err error) {
		if t.Helper(); err != nil {
			t.Fatal(err)
		}
	}
	requests, err := producer.New(producer.Config{Client: p.Kafka(t)})
	must(err)
	for _, claim := range coupontest.Claims("tea", 500) {
		m, err := claim.Message(event.Meta{Source: "/stranger"})
		must(err)
		must(requests.Send(t.Context(), m, func(producer.Ack, error) {})) // what was lost would be missed below
	}
	must(requests.Close(t.Context()))
	coupontest.RequireExactly(t, p.Grants(t, "tea"), "tea", 100) // once all 500 are decided
	var got []event.CouponGranted
	ctx, done := context.WithCancel(t.Context())
	err = consumer.Run(ctx, consumer.Config{Client: p.Kafka(t)}, consumer.Each{
		Start: consumer.FromBeginning(),
		Granted: func(_ context.Context, g event.CouponGranted, _ event.Meta) error {
			if got = append(got, g); len(got) == 100 {
				done()
			}
			return nil
		},
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	coupontest.RequireExactly(t, got, "tea", 100)
	coupontest.RequireLogOrder(t, got, "tea", p.Requests(t, "tea"))
}
