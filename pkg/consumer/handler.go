package consumer

import (
	"context"
	"errors"

	"github.com/firstcome/firstcome/pkg/event"
)

// Handler takes the records of the partitions that this process owns. Its
// methods are called for many partitions side by side, for one partition one
// after another: Assigned, then Handle and (an Idler's) Idle, then Revoked.
type Handler interface {
	// Assigned says where to start: FromGroup or From a store of its own.
	Assigned(ctx context.Context, partition int32) (Start, error)
	// Handle takes the next records. When it returns nil they count as done:
	// the group's offset moves past them, within CommitEvery. After any error
	// but the two below the same batch comes again, with growing waits.
	//
	//   - a *RejectError takes one record out of the batch, which comes again
	//     without it once the dead letters' topic has it
	//   - ErrReassign begins again with Assigned
	Handle(ctx context.Context, b Batch) error
	// Revoked tells that the partition is another's, or about to be.
	Revoked(partition int32)
}

// Idler is a Handler that wants to be called about every second while there is
// nothing to fetch, to look after its own store. Returning ErrReassign begins
// again with Assigned.
type Idler interface {
	Idle(ctx context.Context, partition int32) error
}

// ErrReassign is returned by a Handler whose store is not where it was left:
// drop what was fetched and begin again with Assigned.
var ErrReassign = errors.New("begin again with Assigned")

// Start is where to begin with a partition.
type Start struct {
	own     bool
	offset  int64
	highest int64
}

// FromGroup starts where the group has committed, with the highest source that
// was kept there; at the log's start where it has not.
func FromGroup() Start { return Start{} }

// From starts at an offset that the handler has kept itself, with the highest
// source of all records before it (NoSource if there was none).
func From(offset, highestSource int64) Start {
	return Start{own: true, offset: offset, highest: highestSource}
}

// Batch is what Handle takes.
type Batch struct {
	Partition int32
	// Records are in order and not empty, without duplicates. Records that
	// could not be read (Err is set) are among them only where Config has no
	// DeadLetters. Their memory is the handler's to keep.
	Records []event.Record
	// Next is the offset to start from after this batch.
	Next int64
	// HighestSource is the highest source after this batch: store it with Next.
	HighestSource int64
}

// RejectError is returned by Handle for a record that it will never take.
type RejectError struct {
	Offset int64 // of the record
	Reason event.Reason
	Detail string // never a person's data
}

func (e *RejectError) Error() string { return string(e.Reason) + ": " + e.Detail }
