package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/internal/fetch"
)

// flipping damages long answers: the fetched batches, not the metadata.
type flipping struct {
	net.Conn
	times *atomic.Int64
}

func (c flipping) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 3000 && c.times.Add(-1) >= 0 {
		b[n-1] ^= 0x40
	}
	return n, err
}

func (f fake) damaging(t *testing.T, times int64) place {
	left := new(atomic.Int64)
	left.Store(times)
	cfg := f.Config()
	cfg.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		return flipping{conn, left}, err
	}
	client, err := broker.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return place{Client: client, topic: f.topic}
}

func TestFetcher_damagedBatch(t *testing.T) {
	t.Parallel()
	f := newFake(t, 1, 1)
	ctx := soon(t)
	made := f.producer(t)
	big := numbered("row", 1)
	big.Value = []byte(strings.Repeat("x", 4000))
	for _, m := range []event.Message{numbered("row", 0), big, numbered("row", 2)} {
		if _, err := made.PublishTo(ctx, 0, m, m); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("on its way once", func(t *testing.T) {
		p := f.damaging(t, 1)
		for offset := int64(2); offset < 4; offset++ {
			got, err := p.fetcher(t, 0, consumer.FetchConfig{MaxBytes: 500}).Fetch(ctx, offset)
			if err != nil || got.Records[0].Err != nil || got.Records[0].Offset != offset || header(got.Records[0], "n") != "1" {
				t.Errorf("%v, %+v", err, got)
			}
		}
	})
	t.Run("each time", func(t *testing.T) {
		p := f.damaging(t, 1<<30)
		got, err := p.fetcher(t, 0, consumer.FetchConfig{MaxBytes: 500}).Fetch(ctx, 2)
		if err != nil {
			t.Fatal(err)
		}
		var dead *event.DecodeError
		r := got.Records[0]
		if !errors.As(r.Err, &dead) || dead.Reason != event.ReasonMalformed || r.Offset != 2 || r.LastOffset != 3 || got.Next != 4 {
			t.Errorf("offset %d to %d, next %d: %v", r.Offset, r.LastOffset, got.Next, r.Err)
		}
	})
	t.Run("each time, with others around it", func(t *testing.T) {
		p := f.damaging(t, 1<<30)
		var offsets []string
		fetcher := p.fetcher(t, 0, consumer.FetchConfig{})
		for next := int64(0); next < 6; {
			got, err := fetcher.Fetch(ctx, next)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range got.Records {
				offsets = append(offsets, fmt.Sprintf("%d-%d %v", r.Offset, r.LastOffset, r.Err == nil))
			}
			next = got.Next
		}
		if len(offsets) == 0 || !strings.HasPrefix(offsets[0], "0-0") || !strings.HasPrefix(offsets[len(offsets)-1], "5-5") {
			t.Errorf("%v", offsets)
		}
	})
}

// Brokers of old cut off even the first batch at the bytes that were asked for.
func TestFetcher_firstBatchCutOff(t *testing.T) {
	t.Parallel()
	f := newFake(t, 1, 1)
	ctx := soon(t)
	big := numbered("row", 0)
	big.Value = []byte(strings.Repeat("x", 5000))
	f.publish(t, 0, big)
	conn, err := fetch.Dial(ctx, f.Client, f.topic, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	whole, err := conn.Fetch(ctx, fetch.Request{MaxBytes: 1, MaxWait: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	for _, most := range []int{len(whole.Records), 3000} {
		g := newFake(t, 1, 1)
		cut := func(request kmsg.Request) (kmsg.Response, error, bool) {
			g.KeepControl()
			asked := request.(*kmsg.FetchRequest)
			res := asked.ResponseKind().(*kmsg.FetchResponse)
			topic, partition := kmsg.NewFetchResponseTopic(), kmsg.NewFetchResponseTopicPartition()
			partition.HighWatermark = 1
			partition.RecordBatches = whole.Records[:min(int(asked.Topics[0].Partitions[0].PartitionMaxBytes), most)]
			topic.Topic, topic.Partitions = f.topic, append(topic.Partitions, partition)
			res.Topics = append(res.Topics, topic)
			return res, nil, true
		}
		t.Run(fmt.Sprintf("at most %d bytes", most), func(t *testing.T) {
			g.ControlKey(int16(kmsg.Fetch), cut)
			got, err := g.fetcher(t, 0, consumer.FetchConfig{MaxBytes: 50}).Fetch(ctx, 0)
			if err != nil || len(got.Records) != 1 || got.Next != 1 {
				t.Fatalf("%v, %+v", err, got)
			}
			if readable := got.Records[0].Err == nil; readable != (most == len(whole.Records)) {
				t.Errorf("%v", got.Records[0].Err)
			}
		})
	}
}

func TestFetcher_leaderMoves(t *testing.T) {
	t.Parallel()
	f := newFake(t, 3, 1)
	ctx := soon(t)
	made := f.producer(t)
	fetcher := f.fetcher(t, 0, consumer.FetchConfig{MaxWait: 50 * time.Millisecond})
	for n := range 4 {
		if err := f.MoveTopicPartition(f.topic, 0, int32(n%3)); err != nil {
			t.Fatal(err)
		}
		if _, err := made.PublishTo(ctx, 0, numbered("row", n)); err != nil {
			t.Fatal(err)
		}
		got, err := fetcher.Fetch(ctx, int64(n))
		if err != nil || len(got.Records) != 1 || header(got.Records[0], "n") != fmt.Sprint(n) {
			t.Fatalf("after move %d: %v, %+v", n, err, got)
		}
	}
}

func TestFetcher_saysWhatItWaitsFor(t *testing.T) {
	t.Parallel()
	f := newFake(t, 1, 1)
	ctx, cancel := context.WithCancel(soon(t))
	defer cancel()
	fetcher := f.fetcher(t, 0, consumer.FetchConfig{MaxWait: 50 * time.Millisecond})
	if _, err := fetcher.Fetch(ctx, 0); err != nil || fetcher.Waiting() != "" {
		t.Fatalf("%v, waiting for %q", err, fetcher.Waiting())
	}
	f.Cluster.Close()
	result := make(chan error, 1)
	go func() {
		_, err := fetcher.Fetch(ctx, 0)
		result <- err
	}()
	err := eventually(soon(t), func() error {
		if s := fetcher.Waiting(); !strings.Contains(s, "partition 0 of topic "+f.topic) {
			return fmt.Errorf("waiting for %q", s)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
