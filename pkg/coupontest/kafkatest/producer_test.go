package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
)

func TestProducer_acknowledgesWhereRecordsStand(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 4, nil)
	made := p.producer(t)
	ctx := soon(t)
	type sent struct {
		event.Message
		producer.Ack
	}
	var mu sync.Mutex
	var all []sent
	var callers sync.WaitGroup
	for caller := range 64 {
		callers.Go(func() {
			for n := range 50 {
				m := numbered(fmt.Sprintf("coupon-%d", caller), n)
				ack, err := made.Publish(ctx, m)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				all = append(all, sent{m, ack})
				mu.Unlock()
			}
		})
	}
	callers.Wait()
	if t.Failed() {
		return
	}
	records := make(map[int32][]event.Record)
	for partition := range int32(4) {
		records[partition] = p.all(t, partition)
	}
	for _, s := range all {
		if want := event.Partition(string(s.Key), 4); s.Partition != want {
			t.Fatalf("key %s in partition %d, not %d", s.Key, s.Partition, want)
		}
		r := records[s.Partition][s.Offset]
		if r.Offset != s.Offset || string(r.Key) != string(s.Key) || string(r.Value) != string(s.Value) || header(r, "n") != string(s.Headers[1].Value) {
			t.Fatalf("acknowledged at %d, there stands %+v", s.Offset, r)
		}
		p.checkTime(t, s.Ack, r)
	}
	checkRows(t, records, 64, 50)
}

// checkTime compares an acknowledged append time with the log's.
func (p place) checkTime(t *testing.T, ack producer.Ack, r event.Record) {
	t.Helper()
	want := r.Time
	if !r.LogAppendTime {
		want = time.Time{}
	}
	if p.stamped && !r.LogAppendTime {
		t.Fatalf("offset %d has no append time", r.Offset)
	}
	if !ack.AppendTime.Equal(want) || time.Since(r.Time).Abs() > time.Hour {
		t.Fatalf("offset %d: append time %v acknowledged, %v in the log", r.Offset, ack.AppendTime, r.Time)
	}
}

// checkRows finds every row complete, in order and without repetition.
func checkRows(t *testing.T, records map[int32][]event.Record, rows, each int) {
	t.Helper()
	next := make(map[string]int)
	for _, partition := range records {
		for _, r := range partition {
			row := header(r, "row")
			if n := header(r, "n"); n != fmt.Sprint(next[row]) {
				t.Fatalf("row %s: %s comes where %d should", row, n, next[row])
			}
			next[row]++
		}
	}
	if len(next) != rows {
		t.Fatalf("%d rows, not %d", len(next), rows)
	}
	for row, n := range next {
		if n != each {
			t.Fatalf("row %s has %d records, not %d", row, n, each)
		}
	}
}

func TestProducer_createTimeTopic(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 2, map[string]string{"message.timestamp.type": "CreateTime"})
	made := p.producer(t)
	at := time.Date(2026, 11, 22, 10, 0, 0, 5e6, time.UTC)
	acks, err := made.PublishTo(soon(t), 1, event.Message{Value: []byte("a"), Time: at}, event.Message{Value: []byte("b")})
	if err != nil {
		t.Fatal(err)
	}
	if !acks[0].AppendTime.IsZero() {
		t.Errorf("append time %v on a topic without", acks[0].AppendTime)
	}
	records := p.all(t, 1)
	if len(records) != 2 || !records[0].Time.Equal(at) || records[0].LogAppendTime {
		t.Fatalf("records %+v", records)
	}
	if time.Since(records[1].Time).Abs() > time.Minute {
		t.Errorf("a message without time is of %v", records[1].Time)
	}
}

func TestProducer_publishToKeepsOrderOverManyRequests(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 1, nil)
	requests := 0
	made := p.producer(t, func(c *producer.Config) {
		c.MaxBatchBytes = 2000
		c.Observe = func(producer.Stats) { requests++ }
	})
	var messages []event.Message
	for n := range 500 {
		messages = append(messages, numbered("row", n))
	}
	acks, err := made.PublishTo(soon(t), 0, messages...)
	if err != nil {
		t.Fatal(err)
	}
	for i, ack := range acks {
		if ack.Offset != int64(i) {
			t.Fatalf("message %d at offset %d", i, ack.Offset)
		}
	}
	if requests < 10 {
		t.Errorf("%d requests with at most 2000 bytes each", requests)
	}
	checkRows(t, map[int32][]event.Record{0: p.all(t, 0)}, 1, 500)
}

func TestProducer_tooLarge(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 1, map[string]string{"message.timestamp.type": "LogAppendTime", "max.message.bytes": "20000"})
	made := p.producer(t)
	ctx := soon(t)
	var callers sync.WaitGroup
	for n := range 40 {
		callers.Go(func() {
			m := numbered("small", n)
			if n == 20 {
				m.Value = []byte(strings.Repeat("x", 30_000))
			} else {
				m.Value = []byte(strings.Repeat("x", 2_000))
			}
			_, err := made.Publish(ctx, m)
			if n == 20 && !errors.Is(err, producer.ErrTooLarge) {
				t.Errorf("30 kB: %v", err)
			} else if n != 20 && err != nil {
				t.Errorf("2 kB: %v", err)
			}
		})
	}
	callers.Wait()
	if have := len(p.all(t, 0)); have != 39 {
		t.Errorf("%d records in the log, want 39", have)
	}
	t.Run("in the middle of a row", func(t *testing.T) {
		big := event.Message{Value: make([]byte, 30_000)}
		acks, err := made.PublishTo(ctx, 0, numbered("r", 0), numbered("r", 1), big, numbered("r", 2))
		if !errors.Is(err, producer.ErrTooLarge) || len(acks) != 2 {
			t.Errorf("%d acknowledgements, %v", len(acks), err)
		}
	})
	t.Run("beyond any broker", func(t *testing.T) {
		if _, err := made.Publish(ctx, event.Message{Value: make([]byte, 33<<20)}); !errors.Is(err, producer.ErrTooLarge) {
			t.Errorf("33 MiB: %v", err)
		}
	})
}

func TestProducer_badRequests(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 2, nil)
	made := p.producer(t)
	ctx := soon(t)
	for _, partition := range []int32{-1, 2} {
		if _, err := made.PublishTo(ctx, partition, event.Message{}); !errors.Is(err, producer.ErrUnavailable) {
			t.Errorf("partition %d: %v", partition, err)
		}
	}
	if acks, err := made.PublishTo(ctx, 0); err != nil || len(acks) != 0 {
		t.Errorf("no messages: %v, %v", acks, err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := made.Publish(ended, event.Message{}); !errors.Is(err, producer.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("ended context: %v", err)
	}
	if err := made.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := made.Publish(ctx, event.Message{}); !errors.Is(err, producer.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

func TestProducer_closeFlushes(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 3, nil)
	made := p.producer(t)
	ctx := soon(t)
	results := make(chan error, 300)
	var began sync.WaitGroup
	for n := range 300 {
		began.Add(1)
		go func() {
			began.Done()
			_, err := made.PublishTo(ctx, int32(n%3), numbered("x", n))
			results <- err
		}()
	}
	began.Wait()
	if err := made.Close(ctx); err != nil {
		t.Fatal(err)
	}
	published := 0
	for range 300 {
		if err := <-results; err == nil {
			published++
		} else if !errors.Is(err, producer.ErrClosed) {
			t.Error(err)
		}
	}
	inLog := 0
	for partition := range int32(3) {
		inLog += len(p.all(t, partition))
	}
	if inLog != published {
		t.Errorf("%d acknowledged, %d in the log", published, inLog)
	}
}
