package kafkatest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/producer"
)

// crowd publishes rows in every way there is, and goes on until it is told to
// stop.
type crowd struct {
	tally
	t       *testing.T
	patient *producer.Producer // tries as long as it takes
	hasty   *producer.Producer // gives up after a moment
	callers sync.WaitGroup
	stop    atomic.Bool
	acked   chan struct{} // has an element when something was acknowledged
	lost    chan struct{} // has one when something was not
}

func (c *crowd) tell(row string, n int, ack producer.Ack, err error) {
	c.tally.tell(row, n, ack, err)
	happened := c.acked
	if err != nil {
		happened = c.lost
	}
	select {
	case happened <- struct{}{}:
	default:
	}
}

// rows starts so many callers; each publishes its own row, and at least a few
// records of it.
func (c *crowd) rows(kind string, callers int, publish func(row string, n int)) {
	for caller := range callers {
		row := fmt.Sprintf("%s-%d", kind, caller)
		c.callers.Go(func() {
			for n := 0; n < 50 || !c.stop.Load(); n++ {
				c.taken(row, n)
				publish(row, n)
			}
		})
	}
}

func (c *crowd) publish(ctx context.Context, by *producer.Producer, row string, n int) {
	ack, err := by.Publish(ctx, numbered(row, n))
	c.tell(row, n, ack, err)
}

func (c *crowd) send(ctx context.Context, by *producer.Producer, row string, n int) {
	err := by.Send(ctx, numbered(row, n), func(ack producer.Ack, err error) { c.tell(row, n, ack, err) })
	if err != nil {
		c.tell(row, n, producer.Ack{}, err)
	}
}

func (c *crowd) start(ctx context.Context) {
	c.rows("publish", 15, func(row string, n int) { c.publish(ctx, c.patient, row, n) })
	c.rows("send", 5, func(row string, n int) { c.send(ctx, c.patient, row, n) })
	c.rows("publish-hastily", 15, func(row string, n int) {
		ctx, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		defer cancel()
		c.publish(ctx, c.patient, row, n)
	})
	c.rows("send-hastily", 5, func(row string, n int) { c.send(ctx, c.hasty, row, n) })
}

// await returns once that has happened to so many records more, about.
func (c *crowd) await(ctx context.Context, records int, happens <-chan struct{}) {
	c.t.Helper()
	for range records {
		select {
		case <-happens:
		case <-ctx.Done():
			c.t.Fatal("it does not go on")
		}
	}
}

// A broker is killed again and again while many publish, one and many, with
// patience and without. Every record that was taken is compared with the log.
func TestProducer_brokerKilledUnderLoad(t *testing.T) {
	t.Parallel()
	const partitions, kills = 3, 3
	servers := coupontest.StartAlone(t, coupontest.Kafka)
	p := placeOn(t, servers, partitions, nil)
	small := func(cfg *producer.Config) { cfg.MaxBufferedBytes = 30_000 } // so that the reading takes no time
	c := &crowd{t: t, acked: make(chan struct{}, 1), lost: make(chan struct{}, 1), patient: p.producer(t, small), hasty: p.producer(t, small, func(cfg *producer.Config) {
		cfg.Timeout = 300 * time.Millisecond
	})}
	// A broker in a container takes its time to come back on a busy machine.
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	c.start(ctx)
	defer c.stop.Store(true) // also where the test fails
	for range kills {
		c.await(ctx, 1000, c.acked) // so that something is under way
		servers.Kill(t, coupontest.Kafka)
		c.await(ctx, 20, c.lost)
		servers.Restart(t, coupontest.Kafka)
	}
	c.await(ctx, 1000, c.acked)
	c.stop.Store(true)
	c.callers.Wait()
	for _, made := range []*producer.Producer{c.patient, c.hasty} {
		if err := made.Close(ctx); err != nil { // the unknown ones are in the log then, or will never be
			t.Fatal(err)
		}
	}
	found := c.check(t, p, partitions)
	t.Logf("%d kills: %v", kills, found)
	if found.acknowledged < 1000 || found.refused < kills {
		t.Errorf("%v: that proves little", found)
	}
}
