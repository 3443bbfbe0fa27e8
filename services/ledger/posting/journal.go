package posting

import (
	"context"
	"fmt"
)

// check refuses to go on in a journal that is not the one that the place was reached in, or has lost records since: the
// store would silently become a mixture, or have a hole.
func check(ctx context.Context, j Journal, partition int32, p Place) error {
	start, end, err := j.Bounds(ctx, partition)
	switch {
	case err != nil:
		return err
	case start > p.Next:
		return fmt.Errorf("the journal has lost its records from offset %d to %d: they were never written to Postgres, and are kept for ever in a journal that is whole; "+
			"put the topic's records back, or set next_offset in ledger_offsets to %d to do without them", p.Next, start-1, start)
	case end < p.Next:
		return fmt.Errorf("the journal ends at offset %d, but Postgres has records up to %d: this is another journal, or one that lost its end; "+
			"put the journal back, or give it an empty database", end, p.Next-1)
	case p.Last == nil || p.Last.Offset < start:
		return nil
	}
	r, found, err := j.Record(ctx, partition, p.Last.Offset)
	if err != nil || found && r.Time.Equal(p.Last.Time) {
		return err
	}
	return fmt.Errorf("the record at offset %d of the journal is not the one that was written to Postgres: this is another journal; "+
		"put the journal back, or give it an empty database", p.Last.Offset)
}
