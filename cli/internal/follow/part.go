package follow

import (
	"context"
	"errors"
	"slices"

	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/event"
)

// lookBack is how many records before the first one are looked at, so that what a former owner of the partition wrote once
// more is known to be a duplicate. To be sure would be to read all of them.
const lookBack = 1000

// part is one partition on its way.
type part struct {
	topic   Topic
	number  int32
	fetcher *consumer.Fetcher
	next    int64 // to be fetched
	first   int64 // to be shown
	end     int64 // when it began
	highest int64 // source so far

	history chan []event.Record // up to the end; closed there
	head    []event.Record      // of the history, not yet handed over
}

func (t Topic) begin(ctx context.Context, number int32) (*part, error) {
	p := &part{
		topic: t, number: number, highest: consumer.NoSource, history: make(chan []event.Record),
		fetcher: consumer.NewFetcher(t.Client, t.Name, number, consumer.FetchConfig{}),
	}
	var start int64
	err := t.patiently(ctx, func() (err error) {
		if start, p.end, err = t.Client.Bounds(ctx, t.Name, number); err != nil {
			return err
		}
		switch {
		case t.From.Beginning:
			p.first = start
		case t.From.Time.IsZero():
			p.first = p.end
		default:
			p.first, err = t.Client.OffsetAt(ctx, t.Name, number, t.From.Time)
		}
		return err
	})
	p.next = p.first
	if t.Journal {
		p.next = max(start, p.first-lookBack)
	}
	return p, err
}

// run reads the partition: what there is into the history, what comes then into live.
func (p *part) run(ctx context.Context, live chan<- []event.Record) error {
	defer p.fetcher.Close()
	err := p.read(ctx, p.history, func() bool { return p.next < p.end })
	if err != nil {
		return err
	}
	close(p.history)
	if p.topic.UntilEnd {
		return nil
	}
	return p.read(ctx, live, func() bool { return true })
}

func (p *part) read(ctx context.Context, to chan<- []event.Record, goOn func() bool) error {
	for goOn() {
		got, err := p.fetcher.Fetch(ctx, p.next)
		var gone *consumer.OutOfRangeError
		if errors.As(err, &gone) && p.next < gone.Start {
			p.topic.Say("partition %d: the log begins at offset %d by now, %d records are gone", p.number, gone.Start, gone.Start-p.next)
			p.next = gone.Start
			continue
		}
		if err != nil {
			return err
		}
		p.next = got.Next
		records := p.shown(got.Records)
		if len(records) == 0 {
			continue
		}
		select {
		case to <- records:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// shown leaves out duplicates, and what is before the first or beyond the end that is meant.
func (p *part) shown(records []event.Record) []event.Record {
	if p.topic.Journal {
		records, p.highest = consumer.Unseen(records, p.highest)
	}
	return slices.DeleteFunc(records, func(r event.Record) bool {
		return r.LastOffset < p.first || p.topic.UntilEnd && r.Offset >= p.end
	})
}

// merge hands over the histories by time; in each partition by offset.
func merge(ctx context.Context, parts []*part, each func(event.Record) error) error {
	left := slices.Clone(parts)
	for {
		var oldest *part
		for i := 0; i < len(left); {
			more, err := left[i].more(ctx)
			if err != nil {
				return err
			}
			if !more {
				left = slices.Delete(left, i, i+1)
				continue
			}
			if oldest == nil || left[i].head[0].Time.Before(oldest.head[0].Time) {
				oldest = left[i]
			}
			i++
		}
		if oldest == nil {
			return nil
		}
		r := oldest.head[0]
		oldest.head = oldest.head[1:]
		if err := each(r); err != nil {
			return err
		}
	}
}

// more waits until it is known whether the history goes on.
func (p *part) more(ctx context.Context) (bool, error) {
	if len(p.head) > 0 {
		return true, nil
	}
	select {
	case records, ok := <-p.history:
		p.head = records
		return ok, nil
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
}
