package integration

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
)

// checkout is the system under test: whoever has paid claims a free tea.
type checkout struct {
	requests *producer.Producer
}

func newCheckout(kafka *broker.Client) (*checkout, error) {
	requests, err := producer.New(producer.Config{Client: kafka})
	return &checkout{requests}, err
}

// paid returns when the claim is in the log: from then on nobody who pays later is in front of this customer.
func (c *checkout) paid(ctx context.Context, order, customer string) error {
	m, err := event.ClaimRequested{CouponID: "tea", UserID: customer}.Message(event.Meta{Source: "/checkout", CorrelationID: order})
	if err != nil {
		return err
	}
	_, err = c.requests.Publish(ctx, m)
	return err
}

func TestUpstream(t *testing.T) {
	t.Parallel()
	p := coupontest.Pipeline(t)
	p.Define(t, coupontest.Coupon("tea", 2))
	shop, err := newCheckout(p.Kafka(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = shop.requests.Close(context.Background()) })

	for i, customer := range []string{"ada", "ada", "bob", "eve"} { // ada pays two orders
		if err := shop.paid(t.Context(), fmt.Sprintf("order-%d", i), customer); err != nil {
			t.Fatal(err)
		}
	}
	p.FlushRedis(t) // costs nobody anything

	grants := p.Grants(t, "tea")
	coupontest.RequireExactly(t, grants, "tea", 2)
	coupontest.RequireGranted(t, grants, "ada", "bob")
	coupontest.RequireLogOrder(t, grants, "tea", p.Requests(t, "tea"))

	// What the gateway would now tell a customer, who can't get a second one there either.
	if outcomes := p.Claim(t, "tea", "ada", "eve"); !slices.Equal(outcomes, []string{"already_issued", "sold_out"}) {
		t.Errorf("outcomes %q", outcomes)
	}
}

// A bad claim is refused where it is made, not in a dead letter later.
func TestUpstream_BadCustomer(t *testing.T) {
	t.Parallel()
	servers := coupontest.Start(t, coupontest.Kafka) // no pipeline is needed for that
	shop, err := newCheckout(servers.Kafka(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = shop.requests.Close(context.Background()) })
	if err := shop.paid(t.Context(), "order-1", ""); err == nil {
		t.Error("claimed for nobody")
	}
}
