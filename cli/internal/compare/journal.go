package compare

import (
	"context"
	"fmt"
	"time"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/strategy"
)

// issuerGroup is the issuers': they commit nothing before the journal has what it led to.
const issuerGroup = "firstcome.issuer"

// witness reads what the pipeline wrote about a coupon.
type witness struct {
	client    *broker.Client
	couponID  string
	partition int32
}

func newWitness(ctx context.Context, client *broker.Client, couponID string) (witness, error) {
	n, err := client.Partitions(ctx, client.Config().Topic(event.TopicRequests))
	if err != nil {
		return witness{}, err
	}
	return witness{client, couponID, event.Partition(couponID, n)}, nil
}

// each calls do with the coupon's records of a topic, up to the end that it has now.
func (w witness) each(ctx context.Context, topic string, do func(event.Event)) error {
	f := consumer.NewFetcher(w.client, w.client.Config().Topic(topic), w.partition, consumer.FetchConfig{})
	defer f.Close()
	start, _, err := f.Bounds(ctx)
	if err != nil {
		return err
	}
	_, err = f.ReadToEnd(ctx, start, func(records []event.Record) error {
		for _, r := range records {
			if string(r.Key) != w.couponID {
				continue
			}
			e, err := event.Decode(r)
			if err != nil {
				return fmt.Errorf("%s/%d/%d: %w", r.Topic, r.Partition, r.Offset, err)
			}
			do(e)
		}
		return nil
	})
	return err
}

// arrived is everybody in the order of the requests log.
func (w witness) arrived(ctx context.Context) (order []string, err error) {
	seen := make(map[string]bool)
	err = w.each(ctx, event.TopicRequests, func(e event.Event) {
		if claim, is := e.Data.(event.ClaimRequested); is && !seen[claim.UserID] {
			seen[claim.UserID] = true
			order = append(order, claim.UserID)
		}
	})
	return order, err
}

// settle returns when what was asked is decided, and everybody who was granted one is listed: the ledger is behind the journal
// for a moment.
func (w witness) settle(ctx context.Context, shop strategy.Log) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	requests := w.client.Config().Topic(event.TopicRequests)
	_, end, err := w.client.Bounds(ctx, requests, w.partition)
	if err != nil {
		return err
	}
	group := w.client.Config().Group(issuerGroup)
	err = until(ctx, func() error {
		committed, _, err := w.client.Committed(ctx, group, requests, w.partition)
		if err == nil && committed.Offset < end {
			err = fmt.Errorf("the issuer has decided %d of %d requests", max(committed.Offset, 0), end)
		}
		return err
	})
	if err != nil {
		return err
	}
	granted := make(map[string]bool)
	if err := w.each(ctx, event.TopicGrants, func(e event.Event) {
		if grant, is := e.Data.(event.CouponGranted); is {
			granted[grant.UserID] = true
		}
	}); err != nil {
		return err
	}
	return until(ctx, func() error {
		users, err := shop.Issued(ctx, w.couponID)
		if err == nil && len(users) < len(granted) {
			err = fmt.Errorf("the ledger lists %d of %d people", len(users), len(granted))
		}
		return err
	})
}

// until asks again and again, and gives the last error when ctx ends.
func until(ctx context.Context, so func() error) error {
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		err := so()
		if err == nil {
			return nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return err
		}
	}
}
