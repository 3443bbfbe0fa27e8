// Package handover brings people who have a coupon already into the pipeline, where the log is what gives one: they claim once
// more, before anybody else can.
package handover

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
)

// issuerGroup is the issuers': they commit nothing before the journal has what it led to.
const issuerGroup = "firstcome.issuer"

// Source is the ce_source of what an import publishes.
const Source = "/firstcome/import"

// Handover is one coupon on its way.
type Handover struct {
	Client *broker.Client
	People []string            // who has it, each once
	Wanted event.CouponDefined // as the coupon is to be afterwards
	// Decided is told how many of so many requests the issuer has decided.
	Decided func(done, all int64)
	// Say gets what is waited for.
	Say func(format string, args ...any)

	partition int32
	producer  *producer.Producer
}

// ErrNotClosed means that somebody who is not on the list has the coupon.
var ErrNotClosed = errors.New("the door was not closed")

// Run publishes a definition without times and with room for all, a claim for each, waits until all are granted, and publishes
// the wanted definition. What was interrupted is done by doing it again.
func (h *Handover) Run(ctx context.Context) (err error) {
	partitions, err := h.Client.Partitions(ctx, h.Client.Config().Topic(event.TopicRequests))
	if err != nil {
		return err
	}
	h.partition = event.Partition(h.Wanted.CouponID, partitions)
	if h.producer, err = producer.New(producer.Config{Client: h.Client}); err != nil {
		return err
	}
	defer h.producer.Close(ctx)
	missing, _, err := h.look(ctx)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		if err := h.claim(ctx, missing); err != nil {
			return err
		}
	}
	return h.define(ctx)
}

// claim has everybody claim who has none in the journal.
func (h *Handover) claim(ctx context.Context, missing []string) error {
	open := h.Wanted
	open.OpensAt, open.ClosesAt, open.Limit = time.Time{}, time.Time{}, max(h.Wanted.Limit, int64(len(h.People)))
	requests, err := messages(open, missing)
	if err != nil {
		return err
	}
	last, err := h.publish(ctx, requests)
	if err != nil {
		return err
	}
	if err := h.await(ctx, last, int64(len(requests))); err != nil {
		return err
	}
	missing, _, err = h.look(ctx)
	if err == nil && len(missing) > 0 {
		err = fmt.Errorf("coupon %s: %d of %d people were refused, %q first: was it defined with another window, is it retired, or was it defined anew meanwhile? `firstcome tail --topic coupon.requests --from beginning --until-end --coupon %[1]s` shows what was asked",
			h.Wanted.CouponID, len(missing), len(h.People), missing[0])
	}
	return err
}

// messages are the definition that lets people in, and their claims.
func messages(open event.CouponDefined, people []string) ([]event.Message, error) {
	first, err := open.Message(event.Meta{Source: Source})
	if err != nil {
		return nil, err
	}
	all := []event.Message{first}
	for _, user := range people {
		m, err := event.ClaimRequested{CouponID: open.CouponID, UserID: user}.Message(event.Meta{Source: Source})
		if err != nil {
			return nil, fmt.Errorf("user %q: %w", user, err)
		}
		all = append(all, m)
	}
	return all, nil
}

// publish returns the offset of the last one, when all are in the log.
func (h *Handover) publish(ctx context.Context, all []event.Message) (last int64, err error) {
	var mu sync.Mutex
	var failed error
	var acknowledged sync.WaitGroup
	for _, m := range all {
		acknowledged.Add(1)
		err := h.producer.Send(ctx, m, func(ack producer.Ack, err error) {
			defer acknowledged.Done()
			mu.Lock()
			defer mu.Unlock()
			last, failed = max(last, ack.Offset), errors.Join(failed, err)
		})
		if err != nil {
			return 0, fmt.Errorf("publish: %w", err)
		}
	}
	heard := make(chan struct{})
	go func() { acknowledged.Wait(); close(heard) }()
	select {
	case <-heard:
		return last, failed
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// stuck is after how many looks without a change somebody is told.
const stuck = 30

// await returns when the issuer has decided the request at an offset, the last of so many.
func (h *Handover) await(ctx context.Context, offset, all int64) error {
	topic, group := h.Client.Config().Topic(event.TopicRequests), h.Client.Config().Group(issuerGroup)
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for looks, moved, before := 1, 0, int64(0); ; looks++ {
		committed, _, err := h.Client.Committed(ctx, group, topic, h.partition)
		switch {
		case err == nil && committed.Offset > offset:
			h.Decided(all, all)
			return nil
		case err == nil:
			if committed.Offset != before {
				before, moved = committed.Offset, looks
			}
			done := max(0, all-(offset+1-max(0, committed.Offset)))
			h.Decided(done, all)
			if looks-moved == stuck {
				h.Say("waiting: the issuer has decided %d of %d requests; is it running?", done, all)
			}
		case !broker.Retriable(err):
			return fmt.Errorf("ask how far the issuer is: %w", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-look.C:
		}
	}
}

// define publishes the wanted definition, and wants to see it in force.
func (h *Handover) define(ctx context.Context) error {
	m, err := h.Wanted.Message(event.Meta{Source: Source})
	if err != nil {
		return err
	}
	offset, err := h.publish(ctx, []event.Message{m})
	if err != nil {
		return err
	}
	if err := h.await(ctx, offset, 1); err != nil {
		return err
	}
	_, in, err := h.look(ctx)
	switch {
	case err != nil && !errors.Is(err, ErrNotClosed): // whoever came after that, came by the open door
		return err
	case in.Limit != h.Wanted.Limit || !in.OpensAt.Equal(h.Wanted.OpensAt) || !in.ClosesAt.Equal(h.Wanted.ClosesAt):
		return fmt.Errorf("coupon %s: the wanted definition was refused, and one with limit %d is in force", h.Wanted.CouponID, in.Limit)
	}
	return nil
}

// look reads in the journal who of the people has none yet, and the definition in force.
func (h *Handover) look(ctx context.Context) (missing []string, in event.CouponDefined, err error) {
	fetcher := consumer.NewFetcher(h.Client, h.Client.Config().Topic(event.TopicGrants), h.partition, consumer.FetchConfig{})
	defer fetcher.Close()
	start, _, err := fetcher.Bounds(ctx)
	if err != nil {
		return nil, in, err
	}
	has, highest := make(map[string]bool), int64(consumer.NoSource)
	_, err = fetcher.ReadToEnd(ctx, start, func(records []event.Record) error {
		records, highest = consumer.Unseen(records, highest)
		for _, r := range records {
			if string(r.Key) != h.Wanted.CouponID {
				continue
			}
			e, err := event.Decode(r)
			if err != nil {
				return fmt.Errorf("%s/%d/%d: %w", r.Topic, r.Partition, r.Offset, err)
			}
			switch data := e.Data.(type) {
			case event.CouponDefined:
				in = data
			case event.CouponGranted:
				has[data.UserID] = true
			}
		}
		return nil
	})
	if err != nil {
		return nil, in, fmt.Errorf("read the journal: %w", err)
	}
	for _, user := range h.People {
		if !has[user] {
			missing = append(missing, user)
		}
		delete(has, user)
	}
	for user := range has {
		return missing, in, fmt.Errorf("%w: %d people who are not on the list have coupon %s, such as %q; put them on it, or import into a coupon of another id", ErrNotClosed, len(has), h.Wanted.CouponID, user)
	}
	return missing, in, nil
}
