package integration

import (
	"context"
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
	requests, err := producer.New(producer.Config{Client: p.Kafka(t)})
	if err != nil {
		t.Fatal(err)
	}
	for _, claim := range coupontest.Claims("tea", 500) {
		m, err := claim.Message(event.Meta{Source: "/stranger"})
		if err != nil {
			t.Fatal(err)
		}
		if err := requests.Send(t.Context(), m, func(_ producer.Ack, err error) {
			if err != nil {
				t.Error(err)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := requests.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := p.Grants(t, "tea") // all that these 500 led to
	coupontest.RequireExactly(t, want, "tea", 100)

	ctx, done := context.WithCancel(t.Context())
	var got []event.CouponGranted
	_ = consumer.Run(ctx, consumer.Config{Client: p.Kafka(t)}, consumer.Each{
		Start: consumer.FromBeginning(),
		Granted: func(_ context.Context, g event.CouponGranted, _ event.Meta) error {
			if got = append(got, g); len(got) == len(want) {
				done()
			}
			return nil
		},
	})
	coupontest.RequireExactly(t, got, "tea", 100)
	coupontest.RequireLogOrder(t, got, "tea", p.Requests(t, "tea"))
}
