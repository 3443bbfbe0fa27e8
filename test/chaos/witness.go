package chaos

import (
	"context"
	"fmt"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/event"
)

// witness reads the requests log and the journal as they grow: what the log leads to by the pure rules, and what a consumer
// of the journal sees.
type witness struct {
	client  *broker.Client
	parts   []*part
	led     map[string][]grant     // by coupon: the grants that the log leads to
	held    map[holder]grant       // the same, by who has it
	journal map[string][]grant     // by coupon: those in the journal, without duplicates by source
	soldOut map[string]fcfs.Millis // by coupon: when the log first had no more of it for somebody
}

// part is a partition as far as it was read.
type part struct {
	number              int32
	requests, grants    int64 // offsets to go on from
	highest             int64 // source in the journal
	log                 *fcfs.Log
	claims              map[int64]claimed
	fetchRequests, read *consumer.Fetcher
}

// claimed is one claim of the log, decided.
type claimed struct {
	couponID, userID string
	at               fcfs.Millis
	fcfs.Decision
}

// grant is one as anybody may have it. Two that are equal are the same grant.
type grant struct {
	source                   fcfs.Source
	couponID, userID, window string
	sequence                 int64
}

// holder is a person in a coupon and window.
type holder struct{ couponID, window, userID string }

func (g grant) holder() holder { return holder{g.couponID, g.window, g.userID} }

func newWitness(client *broker.Client, partitions int) *witness {
	w := &witness{client: client, led: map[string][]grant{}, held: map[holder]grant{}, journal: map[string][]grant{}, soldOut: map[string]fcfs.Millis{}}
	for p := range int32(partitions) {
		w.parts = append(w.parts, &part{number: p, highest: consumer.NoSource, log: fcfs.NewLog(p), claims: map[int64]claimed{}})
	}
	return w
}

// read takes in what was written since the last time.
func (w *witness) read(ctx context.Context) error {
	for _, p := range w.parts {
		if p.read == nil {
			p.fetchRequests = consumer.NewFetcher(w.client, w.client.Config().Topic(event.TopicRequests), p.number, consumer.FetchConfig{})
			p.read = consumer.NewFetcher(w.client, w.client.Config().Topic(event.TopicGrants), p.number, consumer.FetchConfig{})
		}
		var err error
		if p.requests, err = p.fetchRequests.ReadToEnd(ctx, p.requests, func(records []event.Record) error { return w.decide(p, records) }); err != nil {
			return fmt.Errorf("requests of partition %d: %w", p.number, err)
		}
		if p.grants, err = p.read.ReadToEnd(ctx, p.grants, func(records []event.Record) error { return w.take(p, records) }); err != nil {
			return fmt.Errorf("journal of partition %d: %w", p.number, err)
		}
	}
	return nil
}

func (w *witness) close() {
	for _, p := range w.parts {
		if p.read != nil {
			p.fetchRequests.Close()
			p.read.Close()
		}
	}
}

// decide decides requests. All were written by gateways, so all can be read.
func (w *witness) decide(p *part, records []event.Record) error {
	for _, r := range records {
		e, err := event.Decode(r)
		if err != nil {
			return fmt.Errorf("offset %d: %w", r.Offset, err)
		}
		at := fcfs.FromTime(r.Time)
		switch data := e.Data.(type) {
		case event.CouponDefined:
			p.log.Define(r.Offset, at, fcfs.Definition{
				CouponID: data.CouponID, Limit: data.Limit, Window: fcfs.Window(data.Window), TimeZone: data.TimeZone,
				OpensAt: fcfs.FromTime(data.OpensAt), ClosesAt: fcfs.FromTime(data.ClosesAt), Rules: data.Rules,
			})
			w.sold(p, at, data.CouponID, "")
		case event.ClaimRequested:
			w.claim(p, r.Offset, at, data)
		default:
			return fmt.Errorf("offset %d: %s in the requests log", r.Offset, e.Type)
		}
	}
	return nil
}

func (w *witness) claim(p *part, offset int64, at fcfs.Millis, asked event.ClaimRequested) {
	decision, _ := p.log.Claim(offset, at, asked.CouponID, asked.UserID)
	p.claims[offset] = claimed{asked.CouponID, asked.UserID, at, decision}
	if decision.Outcome == fcfs.Granted {
		g := grant{fcfs.Source{Partition: p.number, Offset: offset}, asked.CouponID, asked.UserID, decision.Window, decision.Sequence}
		w.led[g.couponID] = append(w.led[g.couponID], g)
		w.held[g.holder()] = g
		w.sold(p, at, asked.CouponID, decision.Window)
	}
}

// sold notes when a coupon was first sold out, in whichever window.
func (w *witness) sold(p *part, at fcfs.Millis, couponID, window string) {
	c := p.log.Coupon(couponID)
	if _, known := w.soldOut[couponID]; !known && c != nil && c.Count(window) >= c.Current().Limit {
		w.soldOut[couponID] = at
	}
}

// take takes journal records, as every consumer does: those whose source is not above the highest are duplicates.
func (w *witness) take(p *part, records []event.Record) error {
	records, p.highest = consumer.Unseen(records, p.highest)
	for _, r := range records {
		e, err := event.Decode(r)
		if err != nil {
			return fmt.Errorf("offset %d: %w", r.Offset, err)
		}
		if g, ok := e.Data.(event.CouponGranted); ok {
			w.journal[g.CouponID] = append(w.journal[g.CouponID], grant{fcfs.Source(g.Source), g.CouponID, g.UserID, g.Window, g.Sequence})
		}
	}
	return nil
}

// at is the claim at a place of the log.
func (w *witness) at(s fcfs.Source) (claimed, bool) {
	if int(s.Partition) >= len(w.parts) {
		return claimed{}, false
	}
	c, ok := w.parts[s.Partition].claims[s.Offset]
	return c, ok
}
