package consumer

import (
	"context"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/event"
)

// ReadToEnd reads from offset to the end that the log has when it is called
// (what is written meanwhile may come too), and hands out the records piece by
// piece. It returns the offset to go on from. As Fetch does, it waits for
// brokers that are away as long as ctx lives.
func (f *Fetcher) ReadToEnd(ctx context.Context, offset int64, each func([]event.Record) error) (int64, error) {
	end, err := f.end(ctx)
	for err == nil && offset < end {
		var got Fetched
		if got, err = f.Fetch(ctx, offset); err != nil {
			break
		}
		if len(got.Records) > 0 {
			err = each(got.Records)
		}
		if err == nil {
			offset = got.Next
		}
	}
	return offset, err
}

func (f *Fetcher) end(ctx context.Context) (int64, error) {
	var retry broker.Backoff
	for {
		_, end, err := f.client.Bounds(ctx, f.topic, f.partition)
		if err == nil || !broker.Retriable(err) {
			return end, err
		}
		if retry.Wait(ctx) != nil {
			return 0, ctx.Err()
		}
	}
}

// NoSource is the highest source before the first one.
const NoSource int64 = -1

// Unseen leaves out the records that were seen before, in place: journal
// records whose source (event.SourceOf) is not above the highest so far. It
// returns what is left and the highest source after it. Records without a
// source in their own partition stay.
//
// Duplicates come from a former owner of the partition whose last batch
// arrived late; everyone who reads the journal drops them by this rule.
func Unseen(records []event.Record, highest int64) ([]event.Record, int64) {
	kept := records[:0]
	for _, r := range records {
		if source, ok := sourceHere(r); ok {
			if source <= highest {
				continue
			}
			highest = source
		}
		kept = append(kept, r)
	}
	clear(records[len(kept):])
	return kept, highest
}

// sourceHere is the source of a journal record, which is in its own partition.
func sourceHere(r event.Record) (int64, bool) {
	source, ok := event.SourceOf(r)
	return source.Offset, ok && r.Err == nil && source.Partition == r.Partition
}
