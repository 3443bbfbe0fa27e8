package simulation

import (
	"context"
	"fmt"

	"github.com/firstcome/firstcome/internal/redislayout"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
	"github.com/firstcome/firstcome/services/issuer"
	"github.com/firstcome/firstcome/services/issuer/partition"
)

// storeOf is Redis as the issuers see it: the dumb model, which compares each state with what the log leads to.
type storeOf struct{ *place }

var _ partition.Store = storeOf{}

func (s storeOf) store() partition.Store { return s.model.Store }

func (s storeOf) Load(ctx context.Context) (partition.Loaded, error) { return s.store().Load(ctx) }

func (s storeOf) Definitions(ctx context.Context, expected partition.Progress, after string) (partition.Definitions, error) {
	return s.store().Definitions(ctx, expected, after)
}

func (s storeOf) Windows(ctx context.Context, expected partition.Progress, from int) (partition.Windows, error) {
	return s.store().Windows(ctx, expected, from)
}

func (s storeOf) Decide(ctx context.Context, batches ...*partition.Batch) []partition.Answer {
	defer s.newer()
	return s.store().Decide(ctx, batches...)
}

func (s storeOf) Restore(ctx context.Context, r *partition.Restore) (partition.Progress, error) {
	found, err := s.store().Restore(ctx, r)
	if found == r.Expected && len(r.Defined)+len(r.Granted) > 0 {
		s.rebuilding = true
	}
	return found, err
}

func (s storeOf) Look(ctx context.Context, expected partition.Progress, covered int64) (partition.Progress, error) {
	return s.store().Look(ctx, expected, covered)
}

// Publish tells the gateways: a lost message costs them time only.
func (s storeOf) Publish(ctx context.Context, o redislayout.Outcomes) error {
	heard, err := redislayout.DecodeOutcomes(o.Encode())
	if err != nil {
		return fmt.Errorf("a message of the outcomes channel cannot be read: %w", err)
	}
	s.w.told(s.place, heard)
	return s.store().Publish(ctx, heard)
}

// journalOf appends to a partition of the journal.
type journalOf struct{ *place }

func (j journalOf) PublishTo(_ context.Context, number int32, messages ...event.Message) ([]producer.Ack, error) {
	if j.w.refuses.journal > j.w.now() {
		j.w.saw("the journal refuses")
		return nil, errRefused
	}
	var acks []producer.Ack
	for _, m := range messages {
		r := j.journal.append(0, message(m))
		j.landed(r)
		acks = append(acks, producer.Ack{Partition: number, Offset: r.Offset})
	}
	return acks, nil
}

// landed looks at a record of the journal the moment that it is there.
func (p *place) landed(r event.Record) {
	source, ok := event.SourceOf(r)
	fact, err := issuer.ReadFact(r)
	if !ok || err != nil || source != event.Source(fact.Source) || source.Partition != p.number {
		p.w.breach("journal record at %d cannot be read back: %v", r.Offset, err)
		return
	}
	if before := p.first[source.Offset]; before == nil {
		p.first[source.Offset] = &r
		p.sources = append(p.sources, source.Offset)
	} else {
		p.w.saw("duplicate in the journal")
		if !sameBytes(*before, r) {
			p.w.breach("journal records at %d and %d are of one source, and not the same bytes", before.Offset, r.Offset)
		}
	}
	p.model.Land(fact)
	p.newer()
}

func sameBytes(a, b event.Record) bool {
	return string(a.Key) == string(b.Key) && string(a.Value) == string(b.Value) && fmt.Sprint(a.Headers) == fmt.Sprint(b.Headers) && a.Time.Equal(b.Time)
}
