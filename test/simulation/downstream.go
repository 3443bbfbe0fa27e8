package simulation

import (
	"context"
	"slices"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/event"
)

// downstream is somebody else's program that consumes the journal and keeps no store: it starts from the group.
type downstream struct{ p *process }

func (w *World) newDownstream(name string) {
	w.newConsumer(name, w.downstreams, func(p *process) consumer.Handler { return downstream{p} })
}

func (d downstream) Assigned(context.Context, int32) (consumer.Start, error) {
	return consumer.FromGroup(), nil
}

func (d downstream) Handle(ctx context.Context, b consumer.Batch) error {
	c := &call{kind: "downstream handle", partition: b.Partition, what: sayable{"p%d handle %d records", []any{b.Partition, len(b.Records)}}}
	place, n := d.p.w.places[b.Partition], 0
	c.answered = func(err error) {
		if err == nil {
			place.delivery.next[d.p] += n
		}
	}
	_, err := ask(ctx, d.p, c, func() (struct{}, error) {
		n = place.handled(d.p, b)
		return struct{}{}, nil
	})
	return err
}

func (d downstream) Revoked(int32) {}

// delivery is what is known of what was handled in a partition.
type delivery struct {
	next map[*process]int // of the sources: what a process has to be given next
	most int              // sources that were ever handled, all from the first on
}

// begins notes where a process begins: behind the highest source of all journal records below the committed offset.
func (w *World) begins(p *process, number int32, offset broker.Offset, found bool) {
	if p.group != w.downstreams {
		return
	}
	place, from := w.places[number], 0
	if found {
		from = place.below(offset.Offset)
	}
	place.delivery.next[p] = from
	if from < place.delivery.most {
		w.saw("handled again")
	}
}

// below is how many sources there are in the journal below an offset of it, duplicates not counted.
func (p *place) below(offset int64) int {
	highest := int64(-1)
	for _, r := range p.journal.records {
		if s, ok := event.SourceOf(r); ok && r.Offset < offset {
			highest = max(highest, s.Offset)
		}
	}
	n, _ := slices.BinarySearch(p.sources, highest+1)
	return n
}

// handled holds what a consumer is promised: from where it begins each record once, in order, none left out; and a batch
// that it could not handle again.
func (p *place) handled(by *process, b consumer.Batch) (n int) {
	d := &p.delivery
	for _, r := range b.Records {
		s, _ := event.SourceOf(r)
		at := d.next[by] + n
		if at >= len(p.sources) || p.sources[at] != s.Offset {
			p.w.breach("%s is given the record of source %d of partition %d as its number %d, where another one comes", by.name, s.Offset, p.number, at)
			return 0
		}
		n++
		d.most = max(d.most, at+1)
	}
	return n
}
