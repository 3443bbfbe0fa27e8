package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
)

func TestProducer_send(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 4, nil)
	made := p.producer(t, func(c *producer.Config) { c.MaxBatchBytes, c.MaxBufferedBytes = 10_000, 100_000 })
	ctx := soon(t)
	var told tally
	last := make([]int, 20) // each row's own; done is called by one goroutine at a time
	var callers sync.WaitGroup
	for caller := range 20 {
		callers.Go(func() {
			row := fmt.Sprintf("coupon-%d", caller)
			for n := range 500 {
				told.taken(row, n)
				err := made.Send(ctx, numbered(row, n), func(ack producer.Ack, err error) {
					if last[caller]++; last[caller] != n+1 {
						t.Errorf("%s: told of %d after %d others", row, n, last[caller]-1)
					}
					told.tell(row, n, ack, err)
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	callers.Wait()
	if err := made.Close(ctx); err != nil { // returns when all are told
		t.Fatal(err)
	}
	if c := told.check(t, p, 4); c != (counts{acknowledged: 20 * 500}) {
		t.Error(c)
	}
}

func TestProducer_sendErrors(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 1, map[string]string{"message.timestamp.type": "LogAppendTime", "max.message.bytes": "20000"})
	made := p.producer(t, func(c *producer.Config) { c.MaxBufferedBytes = 1 }) // one after another
	ctx := soon(t)
	told := make(chan error, 1)
	done := func(_ producer.Ack, err error) { told <- err }
	never := func(producer.Ack, error) { t.Error("done is called for a record that was not taken") }
	small, large := numbered("r", 0), event.Message{Value: make([]byte, 30_000)}
	where := fmt.Sprintf("topic %s, partition 0: ", p.topic)
	if err := made.Send(ctx, large, done); err != nil {
		t.Fatal(err)
	}
	if err := <-told; !errors.Is(err, producer.ErrTooLarge) || !strings.Contains(err.Error(), where) || !strings.Contains(err.Error(), "bytes: ") {
		t.Errorf("too large for the topic: %v", err)
	}
	if err := made.Send(ctx, small, done); err != nil || <-told != nil {
		t.Errorf("after a large one: %v", err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("nobody to tell, and Send takes it")
			}
		}()
		_ = made.Send(ctx, small, nil)
	}()
	if err := made.Send(ctx, event.Message{Value: make([]byte, 33<<20)}, never); !errors.Is(err, producer.ErrTooLarge) || !strings.Contains(err.Error(), where) {
		t.Errorf("too large for any broker: %v", err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := made.Send(ended, small, never); !errors.Is(err, producer.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("ended context: %v", err)
	}
	if err := made.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if err := made.Send(ctx, small, never); !errors.Is(err, producer.ErrClosed) || !strings.Contains(err.Error(), p.topic) {
		t.Errorf("closed: %v", err)
	}
}

// While the broker says nothing Send takes what there is room for, and waits.
func TestProducer_sendWaitsForRoom(t *testing.T) {
	t.Parallel()
	servers := coupontest.StartAlone(t, coupontest.Kafka)
	p := placeOn(t, servers, 2, nil)
	const bound = 50_000
	most := make(chan int, 1000)
	made := p.producer(t, func(c *producer.Config) {
		c.MaxBufferedBytes = bound
		c.Observe = func(s producer.Stats) { most <- s.Buffered }
	})
	var told tally
	send := func(ctx context.Context, n int) error {
		told.taken("row", n)
		err := made.Send(ctx, numbered("row", n), told.done("row", n))
		if err != nil {
			told.tell("row", n, producer.Ack{}, err)
		}
		return err
	}
	if err := send(soon(t), 0); err != nil {
		t.Fatal(err)
	}
	<-most // it is acknowledged
	servers.Pause(t, coupontest.Kafka)
	n, err := 1, error(nil)
	for ; err == nil; n++ {
		ctx, cancel := context.WithTimeout(soon(t), 2*time.Second)
		err = send(ctx, n)
		cancel()
	}
	if !errors.Is(err, producer.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no room beside the 50000 bytes") {
		t.Errorf("without room: %v", err)
	}
	if n < bound/2000 || n > bound/200 {
		t.Errorf("%d records are taken before Send waits", n)
	}
	waiting := make(chan error, 1)
	go func() { waiting <- send(soon(t), n) }()
	servers.Resume(t, coupontest.Kafka)
	if err := <-waiting; err != nil {
		t.Errorf("once there is room: %v", err)
	}
	if err := made.Close(soon(t)); err != nil {
		t.Fatal(err)
	}
	if c := told.check(t, p, 2); c != (counts{acknowledged: n, refused: 1}) {
		t.Errorf("%v, want %d", c, n)
	}
	for close(most); len(most) > 0; {
		if b := <-most; b > bound {
			t.Errorf("%d bytes buffered", b)
		}
	}
}

// Not parallel: it weighs the memory of the process.
func TestProducer_sendBoundsMemory(t *testing.T) {
	f := newFake(t, 1, 1)
	const bound = 16 << 20
	made := f.producer(t, func(c *producer.Config) { c.MaxBufferedBytes = bound })
	ctx := soon(t)
	if _, err := made.Publish(ctx, claimOf(t, 0)); err != nil { // it knows the broker then
		t.Fatal(err)
	}
	f.failProduce(kerr.NotEnoughReplicas, -1)
	before := inUse()
	var err error
	n := 0
	for ; err == nil; n++ {
		waits, cancel := context.WithTimeout(ctx, time.Second)
		err = made.Send(waits, claimOf(t, n), func(producer.Ack, error) {})
		cancel()
	}
	used := inUse() - before
	t.Logf("%d claims and %d bytes of memory, with a bound of %d", n, used, bound)
	if used > bound+4<<20 || used < bound/2 { // beside it there are a request and the queue
		t.Errorf("%d bytes of memory, with a bound of %d", used, bound)
	}
}

func inUse() int {
	var m runtime.MemStats
	for range 2 { // what was freed while the first one went on
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

func claimOf(t testing.TB, n int) event.Message {
	t.Helper()
	m, err := event.ClaimRequested{CouponID: "lucky-box", UserID: fmt.Sprintf("user-%d", n)}.Message(event.Meta{Source: "/checkout"})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestProducer_sendGivesUp(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  *kerr.Error
		want error
	}{{kerr.NotEnoughReplicas, producer.ErrUnavailable}, {kerr.RequestTimedOut, producer.ErrUnknownOutcome}} {
		t.Run(tt.err.Message, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, 1, 1)
			made := f.producer(t, func(c *producer.Config) {
				c.Timeout, c.MaxBatchBytes, c.MaxBufferedBytes = time.Second, 1000, 20_000
			})
			if _, err := made.Publish(soon(t), numbered("before", 0)); err != nil { // it knows the broker then
				t.Fatal(err)
			}
			fault := f.failProduce(tt.err, -1)
			var told tally
			outcomes := make(chan error, 1000)
			send := func(n int) error {
				told.taken("row", n)
				err := made.Send(soon(t), numbered("row", n), func(ack producer.Ack, err error) {
					told.tell("row", n, ack, err)
					outcomes <- err
				})
				if err != nil {
					told.tell("row", n, producer.Ack{}, err)
				}
				return err
			}
			n := 0
			for ; n < 20; n++ { // more than a batch
				if err := send(n); err != nil {
					t.Fatal(err)
				}
			}
			first, last := <-outcomes, error(nil)
			for range n - 1 {
				last = <-outcomes
			}
			if !errors.Is(first, tt.want) || !errors.Is(first, context.DeadlineExceeded) || !strings.Contains(first.Error(), "last try: ") {
				t.Errorf("the first: %v", first)
			}
			if !errors.Is(last, producer.ErrUnavailable) {
				t.Errorf("the last, which was behind: %v", last)
			}
			// Their room is free again, but for what may be in the log.
			for more := n + 12; n < more; n++ { // all that there is room for beside 17
				if err := send(n); err != nil {
					t.Fatal(err)
				}
			}
			fault.Remove()
			if err := made.Close(soon(t)); err != nil {
				t.Fatal(err)
			}
			c := told.check(t, f.place, 1)
			t.Log(c)
			if c.unknown != c.unknownInLog || (c.unknown > 0) != (tt.want == producer.ErrUnknownOutcome) {
				t.Errorf("%v", c)
			}
		})
	}
}

// Of one partition nobody is told while another still is: neither by the time-out nor by the acknowledgement.
func TestProducer_sendTellsOneAfterAnother(t *testing.T) {
	t.Parallel()
	f := newFake(t, 1, 1)
	acknowledged := make(chan struct{})
	made := f.producer(t, func(c *producer.Config) {
		c.Timeout = 200 * time.Millisecond
		c.Observe = func(s producer.Stats) {
			if s.Err == nil {
				close(acknowledged)
			}
		}
	})
	fault := f.failProduce(kerr.RequestTimedOut, -1)
	ctx := soon(t)
	told := make(chan error, 2)
	returned := false
	if err := made.Send(ctx, numbered("row", 0), func(_ producer.Ack, err error) {
		fault.Remove()
		<-acknowledged
		_ = (&broker.Backoff{}).Wait(ctx) // long enough for the next one to be told, if it were
		returned = true
		told <- err
	}); err != nil {
		t.Fatal(err)
	}
	if err := fault.Wait(ctx, 1); err != nil {
		t.Fatal(err)
	}
	if err := made.Send(ctx, numbered("row", 1), func(_ producer.Ack, err error) {
		if !returned {
			t.Error("told while another still is")
		}
		told <- err
	}); err != nil {
		t.Fatal(err)
	}
	if err := <-told; !errors.Is(err, producer.ErrUnknownOutcome) {
		t.Errorf("the first: %v", err)
	}
	<-told
}

// Whatever Close's context does, each record that was taken is told of once,
// and as it is.
func TestProducer_closedWhileSending(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  *kerr.Error
		want error
	}{{kerr.NotEnoughReplicas, producer.ErrClosed}, {kerr.RequestTimedOut, producer.ErrUnknownOutcome}} {
		t.Run(tt.err.Message, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, 1, 1)
			made := f.producer(t, func(c *producer.Config) { c.MaxBatchBytes, c.MaxBufferedBytes = 1000, 30_000 })
			fault := f.failProduce(tt.err, -1)
			var told tally
			waits := make(chan error, 1)
			go func() {
				for n := 0; ; n++ { // until there is no room, and then until it is closed
					told.taken("row", n)
					if err := made.Send(context.Background(), numbered("row", n), told.done("row", n)); err != nil {
						told.tell("row", n, producer.Ack{}, err)
						waits <- err
						return
					}
				}
			}()
			if err := fault.Wait(soon(t), 4); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(soon(t))
			closed := make(chan error, 1)
			go func() { closed <- made.Close(ctx) }()
			if err := <-waits; !errors.Is(err, producer.ErrClosed) {
				t.Errorf("who waited for room: %v", err)
			}
			cancel()
			if err := <-closed; !errors.Is(err, context.Canceled) {
				t.Errorf("Close: %v", err)
			}
			if err := made.Close(soon(t)); err != nil {
				t.Errorf("closed once more: %v", err)
			}
			c := told.check(t, f.place, 1)
			t.Log(c)
			inLog := 0 // what was under way is unknown, what was behind it is not
			if tt.want == producer.ErrUnknownOutcome {
				inLog = c.unknown
			}
			if c.acknowledged > 0 || c.refused < 10 || c.unknownInLog != inLog || tt.want == producer.ErrUnknownOutcome && inLog == 0 {
				t.Error(c)
			}
		})
	}
}
