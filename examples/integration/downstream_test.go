package integration

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
)

// mailer is the system under test: it writes to everybody who got a coupon.
type mailer struct {
	kafka *broker.Client
	send  func(event.CouponGranted) error
}

func (m mailer) run(ctx context.Context) error {
	return consumer.Run(ctx, consumer.Config{Client: m.kafka, GroupID: m.kafka.Config().Group("mailer")}, consumer.Each{
		Granted: func(_ context.Context, g event.CouponGranted, _ event.Meta) error { return m.send(g) },
	})
}

func TestDownstream(t *testing.T) {
	t.Parallel()
	p := coupontest.Pipeline(t)
	p.Define(t, coupontest.Coupon("tea", 2))
	mails := make(chan event.CouponGranted, 10)
	stop := start(t, mailer{p.Kafka(t), failingOnce(mails)})

	if outcomes := p.Claim(t, "tea", "ada", "bob", "eve"); !slices.Equal(outcomes, []string{"granted", "granted", "sold_out"}) {
		t.Fatalf("outcomes %q", outcomes)
	}
	got := receive(t, mails, 2)
	coupontest.RequireExactly(t, got, "tea", 2)
	coupontest.RequireGranted(t, got, "ada", "bob")
	stop()

	// Stopped and started again it goes on where it was: nobody gets a second mail, and none is lost.
	p.Define(t, coupontest.Coupon("tea", 3))
	p.Claim(t, "tea", "carl")
	start(t, mailer{p.Kafka(t), failingOnce(mails)})
	coupontest.RequireExactly(t, append(got, receive(t, mails, 1)...), "tea", 3)
}

// failingOnce is a mail server that is away at first.
func failingOnce(mails chan<- event.CouponGranted) func(event.CouponGranted) error {
	failed := false // a coupon's grants come one after another
	return func(g event.CouponGranted) error {
		if !failed {
			failed = true
			return errors.New("the mail server is away")
		}
		mails <- g
		return nil
	}
}

// start runs the mailer until stop, or the end of the test.
func start(t *testing.T, m mailer) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the mailer ended with %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func receive(t *testing.T, mails <-chan event.CouponGranted, n int) []event.CouponGranted {
	t.Helper()
	late := time.After(time.Minute)
	var got []event.CouponGranted
	for len(got) < n {
		select {
		case g := <-mails:
			got = append(got, g)
		case <-late:
			t.Fatalf("%d mails of %d: %v", len(got), n, got)
		}
	}
	return got
}
