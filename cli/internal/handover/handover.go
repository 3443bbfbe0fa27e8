// Package handover brings people who have a coupon already into the pipeline, where the log is what gives one: they claim once
// more, before anybody else can.
package handover

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math"
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
	before, err := h.look(ctx, always)
	if err == nil {
		err = h.fit(before)
	}
	if err != nil {
		return err
	}
	if len(before.missing) > 0 {
		if err := h.claim(ctx, before.missing); err != nil {
			return err
		}
	}
	return h.define(ctx)
}

// fit sees to it that the coupon, if there is one, can become the wanted one: once something was granted, window and time zone
// stay. Where there is one window, which time zone it is in says nothing.
func (h *Handover) fit(now state) error {
	if !now.granted {
		return nil
	}
	if now.in.Window != h.Wanted.Window {
		return fmt.Errorf("coupon %s has the window %s already, and somebody has it, so that this cannot change; nothing was published: import into a coupon of another id", h.Wanted.CouponID, now.in.Window)
	}
	h.Wanted.TimeZone = now.in.TimeZone
	return nil
}

// claim has everybody claim who has none in the journal.
func (h *Handover) claim(ctx context.Context, missing []string) error {
	open := h.Wanted
	open.OpensAt, open.ClosesAt, open.Limit = time.Time{}, time.Time{}, max(h.Wanted.Limit, int64(len(h.People)))
	last, err := h.publish(ctx, messages(open, missing))
	if err != nil {
		return err
	}
	if err := h.await(ctx, last, 1+int64(len(missing))); err != nil {
		return err
	}
	now, err := h.look(ctx, always)
	if err == nil && len(now.missing) > 0 {
		err = fmt.Errorf("coupon %s: %d of %d people were refused, %q first: is it retired, or was it defined anew meanwhile, perhaps by another import? `firstcome tail --topic coupon.requests --from beginning --until-end --coupon %[1]s` shows what was asked",
			h.Wanted.CouponID, len(now.missing), len(h.People), now.missing[0])
	}
	return err
}

// messages are the definition that lets people in, and their claims, each made when it is asked for: there may be a million.
func messages(open event.CouponDefined, people []string) iter.Seq2[event.Message, error] {
	return func(yield func(event.Message, error) bool) {
		if !yield(open.Message(event.Meta{Source: Source})) {
			return
		}
		for _, user := range people {
			if !yield(event.ClaimRequested{CouponID: open.CouponID, UserID: user}.Message(event.Meta{Source: Source})) {
				return
			}
		}
	}
}

// publish returns the offset of the last one, when all are in the log.
func (h *Handover) publish(ctx context.Context, all iter.Seq2[event.Message, error]) (last int64, err error) {
	var mu sync.Mutex
	var failed error
	var acknowledged sync.WaitGroup
	for m, err := range all {
		if err != nil {
			return 0, err
		}
		acknowledged.Add(1)
		err := h.producer.Send(ctx, m, func(ack producer.Ack, err error) {
			defer acknowledged.Done()
			mu.Lock()
			defer mu.Unlock()
			last, failed = max(last, ack.Offset), cmp.Or(failed, err)
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
	offset, err := h.publish(ctx, func(yield func(event.Message, error) bool) { yield(m, nil) })
	if err != nil {
		return err
	}
	if err := h.await(ctx, offset, 1); err != nil {
		return err
	}
	now, err := h.look(ctx, offset) // whoever came after that, came by the open door
	if err != nil {
		return err
	}
	if in := now.in; in.Limit != h.Wanted.Limit || !in.OpensAt.Equal(h.Wanted.OpensAt) || !in.ClosesAt.Equal(h.Wanted.ClosesAt) {
		return fmt.Errorf("coupon %s: the wanted definition is not in force, and one with limit %d is: it was refused, or somebody defined the coupon anew meanwhile, perhaps another import", h.Wanted.CouponID, in.Limit)
	}
	return nil
}

// state is what the journal says of the coupon.
type state struct {
	in      event.CouponDefined // in force; none if its id is empty
	granted bool                // somebody has it
	missing []string            // who of the people has not
}

// always is after every request.
const always = math.MaxInt64

// look reads the journal. Nobody who is not on the list may have asked before that offset of the requests log, and have it.
func (h *Handover) look(ctx context.Context, before int64) (now state, err error) {
	fetcher := consumer.NewFetcher(h.Client, h.Client.Config().Topic(event.TopicGrants), h.partition, consumer.FetchConfig{})
	defer fetcher.Close()
	start, _, err := fetcher.Bounds(ctx)
	if err != nil {
		return now, err
	}
	has, highest := make(map[string]int64), int64(consumer.NoSource)
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
				now.in = data
			case event.CouponGranted:
				has[data.UserID] = data.Source.Offset
			}
		}
		return nil
	})
	if err != nil {
		return now, fmt.Errorf("read the journal: %w", err)
	}
	now.granted = len(has) > 0
	for _, user := range h.People {
		if _, one := has[user]; !one {
			now.missing = append(now.missing, user)
		}
		delete(has, user)
	}
	maps.DeleteFunc(has, func(_ string, offset int64) bool { return offset > before })
	for user := range has {
		return now, fmt.Errorf("%w: %d people who are not on the list have coupon %s, such as %q; put them on it, or import into a coupon of another id", ErrNotClosed, len(has), h.Wanted.CouponID, user)
	}
	return now, nil
}
