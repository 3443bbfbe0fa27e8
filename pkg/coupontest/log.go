package coupontest

import (
	"context"
	"fmt"
	"testing"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/event"
)

const issuerGroup = "firstcome.issuer"

// Requests are the records of the requests log that are about one coupon, claims and definitions, in order.
func (s *Servers) Requests(t testing.TB, couponID string) []event.Record {
	t.Helper()
	var about []event.Record
	s.ofCoupon(t, "read the requests log", couponID, func(ctx context.Context, l couponLog) (err error) {
		about, err = l.read(ctx, event.TopicRequests)
		return err
	})
	return about
}

// Grants are the journal's grants of one coupon, in order and without duplicates. What the requests log holds when Grants is
// called has been decided by then: it waits for the issuer, which says how far it is about once a second.
func (s *Servers) Grants(t testing.TB, couponID string) []event.CouponGranted {
	t.Helper()
	var grants []event.CouponGranted
	s.ofCoupon(t, "read the journal", couponID, func(ctx context.Context, l couponLog) error {
		if err := l.decided(ctx); err != nil {
			return err
		}
		records, err := l.read(ctx, event.TopicGrants)
		if err != nil {
			return err
		}
		records, _ = consumer.Unseen(records, consumer.NoSource)
		for _, r := range records {
			e, err := event.Decode(r)
			if err != nil {
				return fmt.Errorf("%s/%d/%d: %w", r.Topic, r.Partition, r.Offset, err)
			}
			if granted, ok := e.Data.(event.CouponGranted); ok {
				grants = append(grants, granted)
			}
		}
		return nil
	})
	return grants
}

// couponLog is where a coupon's records are.
type couponLog struct {
	client    *broker.Client
	couponID  string
	partition int32
}

func (s *Servers) ofCoupon(t testing.TB, what, couponID string, step func(context.Context, couponLog) error) {
	t.Helper()
	client := s.Kafka(t)
	must(t, what+" of "+couponID, func(ctx context.Context) error {
		partitions, err := client.Partitions(ctx, client.Config().Topic(event.TopicRequests))
		if err != nil {
			return err
		}
		return step(ctx, couponLog{client, couponID, event.Partition(couponID, partitions)})
	})
}

// read returns the coupon's records of a topic up to the end that it has now.
func (l couponLog) read(ctx context.Context, topic string) ([]event.Record, error) {
	fetcher := consumer.NewFetcher(l.client, l.client.Config().Topic(topic), l.partition, consumer.FetchConfig{})
	defer fetcher.Close()
	start, _, err := fetcher.Bounds(ctx)
	if err != nil {
		return nil, err
	}
	var about []event.Record
	_, err = fetcher.ReadToEnd(ctx, start, func(records []event.Record) error {
		for _, r := range records {
			if string(r.Key) == l.couponID {
				about = append(about, r)
			}
		}
		return nil
	})
	return about, err
}

// decided returns when the issuer has committed all that the coupon's partition of the requests log holds now: it commits
// nothing before the journal has what it led to.
func (l couponLog) decided(ctx context.Context) error {
	topic, group := l.client.Config().Topic(event.TopicRequests), l.client.Config().Group(issuerGroup)
	start, end, err := l.client.Bounds(ctx, topic, l.partition)
	if err != nil || start == end {
		return err
	}
	var known, last error
	return await(ctx, func(ctx context.Context) error {
		committed, _, err := l.client.Committed(ctx, group, topic, l.partition)
		switch {
		case err == nil && committed.Offset >= end:
			return nil
		case err == nil:
			known = fmt.Errorf("the issuer has decided %d of the %d requests in %s, partition %d; is it running?", max(committed.Offset, 0), end, topic, l.partition)
			last = known
		case known == nil:
			last = err
		case ctx.Err() == nil: // the end of the time itself explains nothing
			last = fmt.Errorf("%w Since then: %w", known, err)
		}
		return last
	})
}
