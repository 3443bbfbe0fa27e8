// Package posting takes the journal's entries into the ledger, exactly once: what a run of the journal's records leads to,
// and in which order it becomes durable. It does nothing by itself: a Handler is called by pkg/consumer, and reaches its
// store, the dead letters and the journal through ports.
package posting

import (
	"context"
	"errors"
	"time"

	"github.com/firstcome/firstcome/pkg/event"
)

// ErrMoved says that a partition's row is not where the caller left it: another ledger has written, or the store was
// restored. Nothing was changed; begin again from the row.
var ErrMoved = errors.New("the partition's row in ledger_offsets has moved")

// ErrOutdated says that the schema is not there, or is an older one: the store was restored from before a migration, or
// made anew. Migrate mends it.
var ErrOutdated = errors.New("the schema is older than this ledger, or is not there")

// SettleTimeout is how long a transaction waits for what has to be durable before it.
const SettleTimeout = 5 * time.Second

// Place is how far a partition of the journal has been written.
type Place struct {
	Next          int64 // journal offset
	HighestSource int64 // -1: none yet
	Last          *Mark // the last record taken; nil: none yet
}

// Mark is a record of the journal: its Kafka timestamp tells whether the journal is still the one that was read.
type Mark struct {
	Offset int64
	Time   time.Time // milliseconds
}

// Equal tells whether two looks found the same place.
func (p Place) Equal(q Place) bool {
	if p.Next != q.Next || p.HighestSource != q.HighestSource || (p.Last == nil) != (q.Last == nil) {
		return false
	}
	return p.Last == nil || p.Last.Offset == q.Last.Offset && p.Last.Time.Equal(q.Last.Time)
}

// Batch is what a run of the journal leads to. No source comes twice in it.
type Batch struct {
	Partition   int32
	From, To    Place
	Definitions []event.CouponDefined
	Grants      []event.CouponGranted
}

// Refused are the places of a batch's records that contradict what is stored: another record has that source, that
// person, or that sequence.
type Refused []event.Source

// Store is where the journal is written to. Begin, Place and Write fail with ErrOutdated until Migrate has returned nil.
type Store interface {
	// Migrate brings the schema up to date. Any number of ledgers may call it at once.
	Migrate(context.Context) error
	// Begin gives a partition's place, and makes its row where there is none.
	Begin(ctx context.Context, partition int32) (Place, error)
	// Place looks at a partition's row. ErrMoved where there is none.
	Place(ctx context.Context, partition int32) (Place, error)
	// Write writes a batch and moves its partition from b.From to b.To, all or nothing, in one transaction that compares the
	// row before anything else. Where it is not at b.From: ErrMoved, and nothing was written. Any other error leaves open
	// whether the batch was written; asking again settles that, by ErrMoved.
	//
	// A record that is stored already is passed over. One that contradicts what is stored is refused. settle is called with
	// those, or with none, once the row is known to be at b.From; the transaction is committed only after it returned nil, so
	// that what it makes durable comes before the batch counts as written. It may be called more than once, and has to be
	// done within SettleTimeout.
	Write(ctx context.Context, b Batch, settle func(context.Context, Refused) error) error
}

// Letters is the topic for what cannot be written. Publish returns once all are acknowledged.
type Letters interface {
	Publish(context.Context, []event.Message) error
}

// Journal is what a partition of the journal holds now.
type Journal interface {
	// Bounds are the first offset and the next one to be written.
	Bounds(ctx context.Context, partition int32) (start, end int64, err error)
	// Record gives the record at an offset; false where there is none at just this one.
	Record(ctx context.Context, partition int32, offset int64) (event.Record, bool, error)
}

// Observer is told what a Handler does, to count it. For a partition it is called as the Handler is.
type Observer interface {
	// Beginning tells from where a partition is taken.
	Beginning(partition int32, at Place)
	// Buried tells of letters that the dead letters' topic has: an alarm. It may tell of one again, as the topic may have it
	// again.
	Buried([]Letter)
	// Written tells of a batch that is committed. It tells of none again, and of none whose commit was not answered.
	Written(Written)
	// Moved tells that a partition's row was not where this ledger had left it.
	Moved(partition int32)
	// Stuck tells why a partition cannot go on; nil: it can, or is another's.
	Stuck(partition int32, why error)
	// Revoked tells that a partition is another's.
	Revoked(partition int32)
}

// Written is a batch that was committed.
type Written struct {
	Batch   Batch          // those included that contradicted what was stored
	Unknown map[string]int // records of types that this program does not know, by type
	Took    time.Duration  // to read and write it, its dead letters included
}

// Letter is a record that is not written, and why: it contradicts what is stored, cannot be read, or does not belong here.
type Letter struct {
	Record event.Record
	Reason event.Reason
	Detail string
}

type nobody struct{}

func (nobody) Beginning(int32, Place) {}
func (nobody) Buried([]Letter)        {}
func (nobody) Written(Written)        {}
func (nobody) Moved(int32)            {}
func (nobody) Stuck(int32, error)     {}
func (nobody) Revoked(int32)          {}
