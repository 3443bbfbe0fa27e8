package kafkatest

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"

	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/internal/fetch"
	"github.com/firstcome/firstcome/pkg/internal/recordbatch"
	"github.com/firstcome/firstcome/pkg/producer"
)

// The benchmarks come with a floor each: what this broker on this machine does
// when the package's part is left out. Only their ratio says something.

// claim is a record as the gateway writes it.
func claim(b *testing.B) event.Message {
	b.Helper()
	m, err := event.ClaimRequested{CouponID: "coupon-1", UserID: "user-12345678"}.Message(event.Meta{Source: "/firstcome/gateway", CorrelationID: "0123456789abcdef"})
	if err != nil {
		b.Fatal(err)
	}
	m.Time = time.Now()
	return m
}

func perSecond(b *testing.B) {
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
	b.ReportMetric(0, "ns/op")
}

func BenchmarkProducer(b *testing.B) {
	p := newPlace(b, 1, nil)
	m := claim(b)
	callersPerSecond := 0.0
	b.Run("256 callers", func(b *testing.B) {
		made := p.producer(b)
		ctx := context.Background()
		if _, err := made.Publish(ctx, m); err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		b.ResetTimer()
		var callers sync.WaitGroup
		for caller := range 256 {
			callers.Go(func() {
				for n := caller; n < b.N; n += 256 {
					if _, err := made.Publish(ctx, m); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		callers.Wait()
		perSecond(b)
		callersPerSecond = float64(b.N) / b.Elapsed().Seconds()
	})
	b.Run("Send, one caller", func(b *testing.B) {
		made := p.producer(b)
		ctx := context.Background()
		done := func(_ producer.Ack, err error) {
			if err != nil {
				b.Error(err)
			}
		}
		b.ReportAllocs()
		for range b.N {
			if err := made.Send(ctx, m, done); err != nil {
				b.Fatal(err)
			}
		}
		if err := made.Close(ctx); err != nil {
			b.Fatal(err)
		}
		perSecond(b)
		if callersPerSecond > 0 {
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/callersPerSecond, "times-256-callers")
		}
	})
	b.Run("rows of 1000", func(b *testing.B) {
		made := p.producer(b)
		row := make([]event.Message, 1000)
		for i := range row {
			row[i] = m
		}
		b.ReportAllocs()
		for n := 0; n < b.N; n += len(row) {
			if _, err := made.PublishTo(context.Background(), 0, row...); err != nil {
				b.Fatal(err)
			}
		}
		perSecond(b)
	})
	b.Run("floor, ready requests of 256", func(b *testing.B) { p.produceReady(b, m, 256) })
	b.Run("floor, ready requests of 3000", func(b *testing.B) { p.produceReady(b, m, 3000) })
}

// produceReady sends the same request again and again.
func (p place) produceReady(b *testing.B, m event.Message, each int) {
	var builder recordbatch.Builder
	for range each {
		builder.Append(&m)
	}
	builder.Seal(recordbatch.Producer{ID: -1, Epoch: -1}, -1)
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += each {
		res, err := p.Kafka().RawProduce(context.Background(), &kafka.RawProduceRequest{
			Topic: p.topic, RequiredAcks: kafka.RequireAll,
			RawRecords: protocol.RawRecordSet{Reader: bytes.NewReader(builder.Frame())},
		})
		if err != nil || res.Error != nil {
			b.Fatal(err, res)
		}
	}
	perSecond(b)
}

func BenchmarkFetcher(b *testing.B) {
	p := newPlace(b, 1, nil)
	ctx := context.Background()
	row := make([]event.Message, 1000)
	for i := range row {
		row[i] = claim(b)
	}
	const total = 200_000
	made := p.producer(b)
	for range total / len(row) {
		if _, err := made.PublishTo(ctx, 0, row...); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("records", func(b *testing.B) {
		b.ReportAllocs()
		f := p.fetcher(b, 0, consumer.FetchConfig{})
		next := int64(0)
		for n := 0; n < b.N; {
			got, err := f.Fetch(ctx, next)
			if err != nil {
				b.Fatal(err)
			}
			n += len(got.Records)
			if next = got.Next; next >= total {
				next = 0
			}
		}
		perSecond(b)
	})
	b.Run("floor, bytes only", func(b *testing.B) {
		b.ReportAllocs()
		conn, err := fetch.Dial(ctx, p.Client, p.topic, 0)
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
		next := int64(0)
		for n := 0; n < b.N; {
			res, err := conn.Fetch(ctx, fetch.Request{Offset: next, MaxBytes: 1 << 20, MaxWait: time.Second})
			if err != nil {
				b.Fatal(err)
			}
			for rest := res.Records; len(rest) > 0; {
				var batch recordbatch.Batch
				if batch, rest, err = recordbatch.Next(rest); err != nil {
					break
				}
				n += int(batch.Count)
				next = batch.LastOffset + 1
			}
			if next >= total {
				next = 0
			}
		}
		perSecond(b)
	})
}
