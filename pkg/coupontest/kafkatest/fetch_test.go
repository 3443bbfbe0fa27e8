package kafkatest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/event"
)

func TestFetcher_readsWhatAnotherClientWrote(t *testing.T) {
	t.Parallel()
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	for name, codec := range codecs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t, 1, map[string]string{"message.timestamp.type": "CreateTime"})
			client := p.kgo(t, kgo.ProducerBatchCompression(codec), kgo.ProducerLinger(10*time.Millisecond))
			at := time.Date(2026, 11, 22, 0, 0, 0, 7e6, time.UTC)
			var sent []*kgo.Record
			for n := range 500 {
				sent = append(sent, &kgo.Record{
					Key: fmt.Appendf(nil, "key-%d", n), Value: []byte(strings.Repeat("value", n%50)), Timestamp: at.Add(time.Duration(n) * time.Millisecond),
					Headers: []kgo.RecordHeader{{Key: "n", Value: fmt.Append(nil, n)}, {Key: "null"}},
				})
			}
			if err := client.ProduceSync(soon(t), sent...).FirstErr(); err != nil {
				t.Fatal(err)
			}
			records := p.all(t, 0)
			if len(records) != len(sent) {
				t.Fatalf("%d records, not %d", len(records), len(sent))
			}
			for n, r := range records {
				s := sent[n]
				if r.Offset != s.Offset || !bytes.Equal(r.Key, s.Key) || !bytes.Equal(r.Value, s.Value) || !r.Time.Equal(s.Timestamp) ||
					header(r, "n") != fmt.Sprint(n) || len(r.Headers) != 2 || r.Headers[1].Value != nil || r.Err != nil {
					t.Fatalf("record %d: %+v", n, r)
				}
			}
		})
	}
}

func TestFetcher_otherClientReadsOurs(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 1, nil)
	at := time.Date(2026, 11, 22, 0, 0, 0, 7e6, time.UTC)
	var messages []event.Message
	for n := range 300 {
		m := numbered("row", n)
		m.Time = at.Add(-time.Duration(n) * time.Second)
		messages = append(messages, m)
	}
	if _, err := p.producer(t).PublishTo(soon(t), 0, messages...); err != nil {
		t.Fatal(err)
	}
	client := p.kgo(t, kgo.ConsumeTopics(p.topic))
	for n := 0; n < 300; {
		fetches := client.PollFetches(soon(t))
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if !bytes.Equal(r.Value, messages[n].Value) || string(r.Headers[1].Value) != fmt.Sprint(n) {
				t.Errorf("record %d: %+v", n, r)
			}
			n++
		})
	}
}

func TestFetcher_fromTheMiddleOfABatch(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 1, nil)
	var messages []event.Message
	for n := range 100 {
		messages = append(messages, numbered("row", n))
	}
	if _, err := p.producer(t).PublishTo(soon(t), 0, messages...); err != nil {
		t.Fatal(err)
	}
	for _, from := range []int64{0, 1, 50, 99} {
		got, err := p.fetcher(t, 0, consumer.FetchConfig{}).Fetch(soon(t), from)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Records) != int(100-from) || got.Records[0].Offset != from || got.Next != 100 || got.End != 100 || got.Start != 0 {
			t.Errorf("from %d: %d records, next %d, log %d to %d", from, len(got.Records), got.Next, got.Start, got.End)
		}
	}
	t.Run("in pieces", func(t *testing.T) {
		f := p.fetcher(t, 0, consumer.FetchConfig{MaxRecords: 7})
		var records []event.Record
		for next := int64(0); next < 100; {
			got, err := f.Fetch(soon(t), next)
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Records) > 7 {
				t.Fatalf("%d records at once", len(got.Records))
			}
			records, next = append(records, got.Records...), got.Next
		}
		checkRows(t, map[int32][]event.Record{0: records}, 1, 100)
		got, err := f.Fetch(soon(t), 42) // back again: what was fetched ahead is of no use
		if err != nil || got.Records[0].Offset != 42 {
			t.Errorf("%v, %+v", err, got)
		}
	})
}

func TestFetcher_batchLargerThanAskedFor(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 1, nil)
	big := event.Message{Value: bytes.Repeat([]byte("x"), 500_000)}
	if _, err := p.producer(t).PublishTo(soon(t), 0, big, big); err != nil {
		t.Fatal(err)
	}
	f := p.fetcher(t, 0, consumer.FetchConfig{MaxBytes: 100})
	for offset := range int64(2) {
		got, err := f.Fetch(soon(t), offset)
		if err != nil || len(got.Records) == 0 || got.Records[0].Offset != offset || len(got.Records[0].Value) != 500_000 {
			t.Fatalf("offset %d: %v, %d records", offset, err, len(got.Records))
		}
	}
}

func TestFetcher_waitsForRecordsAndItsContext(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 1, nil)
	t.Run("nothing new", func(t *testing.T) {
		got, err := p.fetcher(t, 0, consumer.FetchConfig{MaxWait: 50 * time.Millisecond}).Fetch(soon(t), 0)
		if err != nil || len(got.Records) != 0 || got.Next != 0 || got.End != 0 {
			t.Errorf("%v, %+v", err, got)
		}
	})
	t.Run("a record ends the wait", func(t *testing.T) {
		f := p.fetcher(t, 0, consumer.FetchConfig{MaxWait: 50 * time.Second})
		result := make(chan consumer.Fetched, 1)
		go func() {
			got, err := f.Fetch(soon(t), 0)
			if err != nil {
				t.Error(err)
			}
			result <- got
		}()
		if _, err := p.producer(t).PublishTo(soon(t), 0, numbered("row", 0)); err != nil {
			t.Fatal(err)
		}
		if got := <-result; len(got.Records) != 1 || got.Next != 1 || got.End != 1 {
			t.Errorf("%+v", got)
		}
	})
	t.Run("the context's end interrupts it", func(t *testing.T) {
		f := p.fetcher(t, 0, consumer.FetchConfig{MaxWait: 50 * time.Second})
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, err := f.Fetch(ctx, 1)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 10*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if got, err := f.Fetch(soon(t), 0); err != nil || len(got.Records) != 1 {
			t.Errorf("the next fetch: %v, %+v", err, got)
		}
	})
}

func TestFetcher_offsetsThatAreNotThere(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 1, nil)
	ctx := soon(t)
	made := p.producer(t)
	for n := range 20 {
		if _, err := made.PublishTo(ctx, 0, numbered("row", n)); err != nil {
			t.Fatal(err)
		}
	}
	p.servers.Truncate(t, p.topic, 0, 12)
	f := p.fetcher(t, 0, consumer.FetchConfig{})
	for _, asked := range []int64{0, 11, 21, 1 << 40} {
		_, err := f.Fetch(ctx, asked)
		var out *consumer.OutOfRangeError
		if !errors.As(err, &out) || *out != (consumer.OutOfRangeError{Topic: p.topic, Partition: 0, Asked: asked, Start: 12, End: 20}) {
			t.Errorf("offset %d: %v", asked, err)
		}
	}
	got, err := f.Fetch(ctx, 12)
	if err != nil || len(got.Records) == 0 || got.Records[0].Offset != 12 || got.Start != 12 {
		t.Errorf("%v, %+v", err, got)
	}
	records := p.all(t, 0)
	if len(records) != 8 {
		t.Errorf("%d records", len(records))
	}
}

func TestFetcher_stepsOverTransactionMarkers(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 1, nil)
	ctx := soon(t)
	client := p.kgo(t, kgo.TransactionalID(p.topic+"-tx"))
	for n, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit} {
		if err := client.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := client.ProduceSync(ctx, &kgo.Record{Headers: []kgo.RecordHeader{{Key: "row", Value: []byte("row")}, {Key: "n", Value: fmt.Append(nil, n)}}}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := client.EndTransaction(ctx, end); err != nil {
			t.Fatal(err)
		}
	}
	// Aborted ones come too: nobody here writes transactions, and nothing is
	// ever passed over.
	records := p.all(t, 0)
	checkRows(t, map[int32][]event.Record{0: records}, 1, 3)
	if records[2].Offset != 4 {
		t.Errorf("offsets %d, %d, %d", records[0].Offset, records[1].Offset, records[2].Offset)
	}
	got, err := p.fetcher(t, 0, consumer.FetchConfig{}).Fetch(ctx, 5)
	if err != nil || got.Next != 6 || len(got.Records) != 0 {
		t.Errorf("the last marker: %v, %+v", err, got)
	}
}

func TestFetcher_bomb(t *testing.T) {
	t.Parallel()
	for name, codec := range map[string]kgo.CompressionCodec{
		"gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t, 1, map[string]string{"max.message.bytes": "10000000"})
			ctx := soon(t)
			client := p.kgo(t, kgo.ProducerBatchCompression(codec), kgo.ProducerLinger(time.Second), kgo.ProducerBatchMaxBytes(100<<20), kgo.BrokerMaxWriteBytes(110<<20), kgo.MaxBufferedRecords(100))
			var bomb []*kgo.Record
			for range 80 {
				bomb = append(bomb, &kgo.Record{Value: make([]byte, 1<<20)})
			}
			small := &kgo.Record{Value: []byte("after")}
			if err := client.ProduceSync(ctx, bomb...).FirstErr(); err != nil {
				t.Fatal(err)
			}
			if err := client.ProduceSync(ctx, small).FirstErr(); err != nil {
				t.Fatal(err)
			}
			records := p.all(t, 0)
			if len(records) != 2 || records[1].Offset != small.Offset {
				t.Fatalf("%d records", len(records))
			}
			r := records[0]
			var dead *event.DecodeError
			if !errors.As(r.Err, &dead) || dead.Reason != event.ReasonTooLarge || r.Offset != 0 || r.LastOffset != 79 {
				t.Errorf("offset %d to %d: %v", r.Offset, r.LastOffset, r.Err)
			}
			if len(r.Value) == 0 || len(r.Value) > 512<<10 || r.Time.IsZero() {
				t.Errorf("%d bytes of %v", len(r.Value), r.Time)
			}
		})
	}
}
