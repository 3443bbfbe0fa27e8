package issuer_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/issuer"
)

const asked = 200_000

// BenchmarkPartition lets one partition decide 200,000 claims that wait in its log, all granted or nearly all refused, and
// compares with the same servers doing only what cannot be left out: fetch the log, put as many people into a hash, write
// as many records into a topic, side by side.
func BenchmarkPartition(b *testing.B) {
	for _, c := range []struct {
		name  string
		limit int64
	}{{"granted", asked}, {"sold out", 100}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				p := newPipeline(b, 1)
				p.define("c", c.limit)
				p.crowd(asked)
				var began time.Time
				s := p.start(func(c *issuer.Config) {
					c.Hook = func(point string, _ int32) error {
						if point == "loaded" && began.IsZero() {
							began = time.Now() // joining the group is no part of deciding
						}
						return nil
					}
				})
				p.eventually("all is decided", time.Minute, func() bool { return p.progress(0) == asked })
				p.eventually("all is journaled", time.Minute, func() bool { return p.end(event.TopicGrants) == c.limit+1 })
				took := time.Since(began)
				if err := s.stop(); err != nil {
					b.Error(err)
				}
				floor := p.floor(c.limit)
				b.ReportMetric(asked/took.Seconds(), "claims/s")
				b.ReportMetric(took.Seconds()/floor.Seconds(), "x-floor")
			}
		})
	}
}

// crowd asks for so many people.
func (p *pipeline) crowd(n int) {
	p.t.Helper()
	for from := 0; from < n; from += 10_000 {
		messages := make([]event.Message, min(10_000, n-from))
		for i := range messages {
			m, err := event.ClaimRequested{CouponID: "c", UserID: fmt.Sprintf("user-%015d", from+i)}.Message(event.Meta{
				Source: "/firstcome/gateway", CorrelationID: "4bf92f3577b34da6a3ce929d0e0e4736", TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
			})
			if err != nil {
				p.t.Fatal(err)
			}
			messages[i] = m
		}
		if _, err := p.ask.PublishTo(p.t.Context(), 0, messages...); err != nil {
			p.t.Fatal(err)
		}
	}
}

func (p *pipeline) end(topic string) int64 {
	p.t.Helper()
	_, end, err := p.client.Bounds(p.t.Context(), p.TopicPrefix+topic, 0)
	if err != nil {
		p.t.Fatal(err)
	}
	return end
}

// floor does what cannot be left out, and nothing else.
func (p *pipeline) floor(granted int64) time.Duration {
	p.t.Helper()
	ctx, cancel := context.WithCancel(p.t.Context())
	defer cancel()
	records := p.records(event.TopicGrants, 0)
	messages := make([]event.Message, len(records))
	for i, r := range records {
		f, err := issuer.ReadFact(r)
		if err != nil {
			p.t.Fatal(err)
		}
		if messages[i], err = issuer.FactMessage(p.TopicPrefix+event.TopicRequests, f); err != nil {
			p.t.Fatal(err)
		}
	}
	out := p.producer(event.TopicDeadLetters)
	began := time.Now()
	batches := make(chan []event.Record, 16)
	done := make(chan error, 3)
	go func() { done <- p.floorFetch(ctx, batches) }()
	go func() { done <- p.floorHold(ctx, granted, batches) }()
	go func() {
		_, err := out.PublishTo(ctx, 0, messages...)
		done <- err
	}()
	for range 3 {
		if err := <-done; err != nil {
			p.t.Fatal(err)
		}
	}
	return time.Since(began)
}

func (p *pipeline) floorFetch(ctx context.Context, batches chan<- []event.Record) error {
	defer close(batches)
	f := consumer.NewFetcher(p.client, p.TopicPrefix+event.TopicRequests, 0, consumer.FetchConfig{})
	defer f.Close()
	_, err := f.ReadToEnd(ctx, 0, func(r []event.Record) error {
		batches <- r
		return nil
	})
	return err
}

func (p *pipeline) floorHold(ctx context.Context, granted int64, batches <-chan []event.Record) error {
	held := int64(0)
	for records := range batches {
		for len(records) > 0 {
			n := min(len(records), 1000)
			if held < granted {
				pairs := make([]any, 0, 2*n)
				for _, r := range records[:n] {
					held++
					pairs = append(pairs, r.Value[14:34], fmt.Sprintf("%d:%d", held, r.Offset))
				}
				if err := p.redis.HSet(ctx, p.RedisPrefix+"floor", pairs...).Err(); err != nil {
					return err
				}
			} else {
				users := make([]string, n)
				for i, r := range records[:n] {
					users[i] = string(r.Value[14:34])
				}
				if err := p.redis.HMGet(ctx, p.RedisPrefix+"floor", users...).Err(); err != nil {
					return err
				}
			}
			records = records[n:]
		}
	}
	return nil
}
