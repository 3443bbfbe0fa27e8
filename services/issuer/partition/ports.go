package partition

import (
	"context"
	"fmt"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/internal/redislayout"
	"github.com/firstcome/firstcome/pkg/event"
)

// Progress is how far the store has taken the log.
type Progress = redislayout.Progress

// Nothing is the progress of a store that has none: of a new partition, or of a Redis that was emptied.
var Nothing = Progress{Offset: -1}

// Requests is the partition's requests log and the group's offset in it.
type Requests interface {
	// Committed is what the group has committed, by whomever.
	Committed(ctx context.Context) (Committed, error)
	// Bounds are the log's first offset and the next one to be written.
	Bounds(ctx context.Context) (start, end int64, err error)
	// Fetch gives the requests from an offset on; none after a while without any.
	Fetch(ctx context.Context, offset int64) (Fetched, error)
	// DeadLetter returns nil once the dead letters' topic has them all, at least once.
	DeadLetter(ctx context.Context, refused []Request) error
	// Commit commits the next offset to be read, with a text. It is refused once the group has moved on.
	Commit(ctx context.Context, offset int64, metadata string) error
}

// Committed is the group's offset; -1 where there is none.
type Committed struct {
	Offset   int64
	Metadata string
}

// Fetched is a piece of the log.
type Fetched struct {
	Requests []Request // by offset
	End      int64     // next offset to be written, as far as is known
	Next     int64     // offset to ask for next
}

// RangeError says that an offset is not in the log: below its start, or beyond its end.
type RangeError struct{ Asked, Start, End int64 }

func (e *RangeError) Error() string {
	return fmt.Sprintf("offset %d is not in the log, which has %d to %d", e.Asked, e.Start, e.End-1)
}

// Store is the partition's state. Every call that writes compares progress first, and does all or nothing; one that found
// another progress says which, and has changed nothing.
type Store interface {
	// Load gives progress and outbox as they are at one moment.
	Load(ctx context.Context) (Loaded, error)
	// Definitions gives the coupons after an id, ordered, with what is in force; Windows the windows that are to be
	// dropped one day, from an index on. They come in pages, each of which compares progress.
	Definitions(ctx context.Context, expected Progress, after string) (Definitions, error)
	Windows(ctx context.Context, expected Progress, from int) (Windows, error)
	// Decide takes batches one after another; the first that finds another progress lets the others find it too. An
	// answer stands for each batch.
	Decide(ctx context.Context, batches ...*Batch) []Answer
	// Restore takes a piece of the journal.
	Restore(ctx context.Context, r *Restore) (found Progress, err error)
	// Look compares progress, and gives up the outbox up to an offset that the journal acknowledged.
	Look(ctx context.Context, expected Progress, covered int64) (found Progress, err error)
	// Publish wakes those who wait for an outcome. A lost message costs them time only.
	Publish(ctx context.Context, outcomes redislayout.Outcomes) error
}

// Loaded is what a store holds at one moment.
type Loaded struct {
	Progress Progress
	Outbox   []Decided // in order
}

// Decided is an element of the outbox: the facts of a batch, and the progress that it led to.
type Decided struct {
	Progress Progress
	Facts    []fcfs.Fact // by source
}

// Definitions is a page of coupons.
type Definitions struct {
	Found   Progress
	Coupons []Defined // empty after the last page
}

// Defined is a coupon's definition in force, and how many there were.
type Defined struct {
	fcfs.Definition
	Count int
}

// Windows is a page of windows to be dropped.
type Windows struct {
	Found   Progress
	Windows map[Window]fcfs.Millis // by the log time that drops it; empty after the last page
}

// Window is a window of a coupon: Day is "" where its definition says none.
type Window struct{ CouponID, Day string }

// Journal is the partition's journal.
type Journal interface {
	// Bounds are the journal's first offset and the next one to be written.
	Bounds(ctx context.Context) (start, end int64, err error)
	// Sources reads from an offset on, as far as one call goes, and of each record only where it came from. Records that
	// cannot be read at all are an error, here and in Facts.
	Sources(ctx context.Context, offset int64) (Sources, error)
	// Facts is the same with the facts themselves: of a source not above the given one they are left out.
	Facts(ctx context.Context, offset, above int64) (Facts, error)
	// Emit appends facts in order, and returns once all in-sync replicas have them. After an error some of the first ones
	// may be there, now or later.
	Emit(ctx context.Context, facts []fcfs.Fact) (Emitted, error)
}

// Sources tells what the journal has from Offset to Next − 1: the highest source (-1 without any), and the first and last
// record's.
type Sources struct {
	Offset, Next         int64
	First, Highest, Last int64
}

// Facts are the journal's from one offset to Next − 1, in its order, duplicates included. One that is neither a definition
// nor a grant stands for a record of a type that is not known; Unknown names such a type.
type Facts struct {
	Facts   []fcfs.Fact
	Next    int64
	Unknown string
}

// Emitted is where facts stand in the journal: First may be far from Last if others wrote between.
type Emitted struct{ First, Last int64 }

// Request is a record of the requests log as far as it could be understood: a claim, a definition, or one that is refused.
type Request struct {
	Offset, Last int64 // Last is Offset but for a batch that could not be read, which is one Request
	Time         fcfs.Millis

	CouponID, UserID           string           // of a claim
	Definition                 *fcfs.Definition // of a definition
	CorrelationID, TraceParent string

	Refused *Refusal
}

// Refusal is why a record cannot be taken, and the record itself for the dead letters.
type Refusal struct {
	Reason event.Reason
	Detail string
	Record event.Record
}
