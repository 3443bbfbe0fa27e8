package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
)

// rough makes connections that break by chance: in the middle of a request, or
// after it has been done and before its answer arrives.
type rough struct {
	one  atomic.Int64 // of so many reads and writes fails; 0: none
	deaf atomic.Bool  // no answer arrives
	cut  atomic.Int64
}

func (r *rough) dial(ctx context.Context, addr string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &roughConn{Conn: conn, r: r}, nil
}

func (r *rough) unlucky() bool {
	one := r.one.Load()
	if one == 0 || rand.Int64N(one) > 0 {
		return false
	}
	r.cut.Add(1)
	return true
}

type roughConn struct {
	net.Conn
	r *rough
}

func (c *roughConn) Write(b []byte) (int, error) {
	if c.r.unlucky() {
		n, _ := c.Conn.Write(b[:rand.IntN(len(b))])
		c.Close()
		return n, net.ErrClosed
	}
	return c.Conn.Write(b)
}

func (c *roughConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err == nil && c.r.deaf.Load() {
		c.Close()
		return 0, io.EOF
	}
	if err == nil && c.r.unlucky() {
		c.Close()
		return rand.IntN(n), net.ErrClosed
	}
	return n, err
}

// roughly is a second client of the place, over rough connections.
func (p place) roughly(t testing.TB) (place, *rough) {
	t.Helper()
	r := &rough{}
	cfg := p.Config()
	cfg.Dial = r.dial
	client, err := broker.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	p.Client = client
	return p, r
}

// load publishes rows, each caller its own, until enough; it returns the
// acknowledgements by row.
func load(ctx context.Context, t *testing.T, made *producer.Producer, rows int, enough func(n int) bool) map[string][]producer.Ack {
	t.Helper()
	var mu sync.Mutex
	acks := make(map[string][]producer.Ack)
	var callers sync.WaitGroup
	for row := range rows {
		callers.Go(func() {
			key := fmt.Sprintf("row-%d", row)
			var mine []producer.Ack
			for n := 0; !enough(n); n++ {
				ack, err := made.Publish(ctx, numbered(key, n))
				if err != nil {
					t.Errorf("%s, %d: %v", key, n, err)
					break
				}
				mine = append(mine, ack)
			}
			mu.Lock()
			defer mu.Unlock()
			acks[key] = mine
		})
	}
	callers.Wait()
	return acks
}

// compare finds in the log exactly what was acknowledged, where it was.
func (p place) compare(t *testing.T, partitions int, acks map[string][]producer.Ack) {
	t.Helper()
	records := make(map[int32][]event.Record)
	total := 0
	for partition := range int32(partitions) {
		records[partition] = p.all(t, partition)
		total += len(records[partition])
	}
	acknowledged := 0
	for row, mine := range acks {
		for n, ack := range mine {
			acknowledged++
			if int(ack.Offset) >= len(records[ack.Partition]) {
				t.Fatalf("%s, %d: acknowledged at %d, the log has %d records", row, n, ack.Offset, len(records[ack.Partition]))
			}
			r := records[ack.Partition][ack.Offset]
			if header(r, "row") != row || header(r, "n") != fmt.Sprint(n) {
				t.Fatalf("%s, %d: at its offset %d stands %s, %s", row, n, ack.Offset, header(r, "row"), header(r, "n"))
			}
			p.checkTime(t, ack, r)
		}
	}
	if acknowledged != total {
		t.Fatalf("%d acknowledged, %d in the log", acknowledged, total)
	}
}

func TestProducer_connectionsThatBreak(t *testing.T) {
	t.Parallel()
	for _, stamps := range []string{"LogAppendTime", "CreateTime"} {
		t.Run(stamps, func(t *testing.T) {
			t.Parallel()
			breakConnections(t, newPlace(t, 3, map[string]string{"message.timestamp.type": stamps}))
		})
	}
}

func breakConnections(t *testing.T, p place) {
	broken, r := p.roughly(t)
	tries := 0
	var mu sync.Mutex
	made := broken.producer(t, func(c *producer.Config) {
		c.Observe = func(s producer.Stats) {
			mu.Lock()
			defer mu.Unlock()
			tries = max(tries, s.Try)
		}
	})
	r.one.Store(15)
	acks := load(soon(t), t, made, 60, func(n int) bool { return n == 100 })
	if t.Failed() {
		return
	}
	t.Logf("%d connections cut, at most %d tries for a batch", r.cut.Load(), tries)
	if r.cut.Load() < 10 || tries < 2 {
		t.Errorf("%d connections cut, at most %d tries: that proves little", r.cut.Load(), tries)
	}
	p.compare(t, 3, acks)
}

// A request whose answer is lost may have been done, whatever the later tries
// meet with.
func TestProducer_lostAnswer(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 1, nil)
	broken, r := p.roughly(t)
	tries := make(chan producer.Stats, 1000)
	made := broken.producer(t, func(c *producer.Config) { c.Observe = func(s producer.Stats) { tries <- s } })
	if _, err := made.PublishTo(soon(t), 0, numbered("row", 0)); err != nil {
		t.Fatal(err)
	}
	r.deaf.Store(true)
	ctx, cancel := context.WithCancel(soon(t))
	defer cancel()
	result := make(chan error, 1)
	go func() {
		_, err := made.PublishTo(ctx, 0, numbered("row", 1))
		result <- err
	}()
	for s := range tries {
		if s.Try == 6 { // the next one is half a second away, at least
			break
		}
	}
	if err := (&broker.Backoff{}).Wait(ctx); err != nil { // the try's end is dealt with
		t.Fatal(err)
	}
	cancel()
	if err := <-result; !errors.Is(err, producer.ErrUnknownOutcome) {
		t.Error(err)
	}
	r.deaf.Store(false)
	if _, err := made.PublishTo(soon(t), 0, numbered("row", 2)); err != nil {
		t.Fatal(err)
	}
	checkRows(t, map[int32][]event.Record{0: p.all(t, 0)}, 1, 3)
}

func TestFetcher_connectionsThatBreak(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 1, nil)
	var messages []event.Message
	for n := range 1500 {
		messages = append(messages, numbered("row", n))
	}
	if _, err := p.producer(t, func(c *producer.Config) { c.MaxBatchBytes = 1000 }).PublishTo(soon(t), 0, messages...); err != nil {
		t.Fatal(err)
	}
	broken, r := p.roughly(t)
	r.one.Store(12)
	var records []event.Record
	f := broken.fetcher(t, 0, consumer.FetchConfig{MaxBytes: 1000})
	for next := int64(0); next < 1500; {
		got, err := f.Fetch(soon(t), next)
		if err != nil {
			t.Fatal(err)
		}
		records, next = append(records, got.Records...), got.Next
	}
	if r.cut.Load() < 5 {
		t.Errorf("%d connections cut: that proves little", r.cut.Load())
	}
	checkRows(t, map[int32][]event.Record{0: records}, 1, 1500)
}

func TestProducer_pausedBroker(t *testing.T) {
	t.Parallel()
	servers := coupontest.StartAlone(t, coupontest.Kafka)
	p := placeOn(t, servers, 1, nil)
	made := p.producer(t)
	if _, err := made.PublishTo(soon(t), 0, numbered("row", 0)); err != nil {
		t.Fatal(err)
	}
	servers.Pause(t, coupontest.Kafka)
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	_, err := made.PublishTo(ctx, 0, numbered("row", 1))
	if !errors.Is(err, producer.ErrUnknownOutcome) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if made.OldestUnacknowledged(0) <= 0 {
		t.Error("it is not being tried any more")
	}
	servers.Resume(t, coupontest.Kafka)
	if _, err := made.PublishTo(soon(t), 0, numbered("row", 2)); err != nil {
		t.Fatal(err)
	}
	checkRows(t, map[int32][]event.Record{0: p.all(t, 0)}, 1, 3)
}
