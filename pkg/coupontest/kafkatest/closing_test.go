package kafkatest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/firstcome/firstcome/pkg/producer"
)

// Close waits for no record longer than Timeout says, also for those that had time left when it was called.
func TestProducer_closeWithTimeout(t *testing.T) {
	t.Parallel()
	const timeout = time.Second
	f := newFake(t, 1, 1)
	made := f.producer(t, func(c *producer.Config) { c.Timeout = timeout })
	if _, err := made.Publish(soon(t), numbered("row", 0)); err != nil {
		t.Fatal(err)
	}
	f.failProduce(kerr.NotEnoughReplicas, -1)
	told := make(chan error, 2)
	send := func(n int) {
		t.Helper()
		if err := made.Send(soon(t), numbered("row", n), func(_ producer.Ack, err error) { told <- err }); err != nil {
			t.Fatal(err)
		}
	}
	send(1)
	<-time.After(timeout / 2) // the second one's time is not over when the first one's is
	send(2)
	ctx, cancel := context.WithTimeout(t.Context(), 20*timeout)
	defer cancel()
	if err := made.Close(ctx); err != nil {
		t.Errorf("it waits for ever: %v", err)
	}
	for range 2 {
		if err := <-told; !errors.Is(err, producer.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("told: %v", err)
		}
	}
}
