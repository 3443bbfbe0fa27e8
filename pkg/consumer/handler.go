package consumer

import (
	"context"
	"errors"
	"fmt"

	"github.com/firstcome/firstcome/pkg/event"
)

// Handler takes the records of the partitions that this process owns. Its
// methods are called for many partitions side by side, for one partition one
// after another: Assigned, then Handle and (an Idler's) Idle, then Revoked.
type Handler interface {
	// Assigned says where to start: FromGroup, From a store of its own, or as
	// else there is a Start.
	Assigned(ctx context.Context, partition int32) (Start, error)
	// Handle takes the next records. When it returns nil they count as done:
	// the group's offset moves past them, within CommitEvery. After any error
	// but those below the same batch comes again, with growing waits.
	//
	//   - a *RecordError says that all records before that one are done: the
	//     rest comes again
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

// head is the first n records of a batch as a batch of its own, where highest is
// the source before it; all of it where it has no more.
func (b Batch) head(n int, highest int64) Batch {
	if n >= len(b.Records) {
		return b
	}
	b.Records, b.Next = b.Records[:n:n], b.Records[n].Offset
	for _, r := range b.Records {
		if source, ok := sourceHere(r); ok { // they only grow
			highest = source
		}
	}
	b.HighestSource = highest
	return b
}

// RecordError is returned by Handle of a handler that has done the records before
// the one at Offset, and failed with that one. It is told apart by what it
// wraps: ErrReassign, a *RejectError (which need not say its Offset then), or
// any other error. With nothing in it, nothing has failed: the rest comes at
// once, and the group's offset may move in between. That is for batches that
// take long.
type RecordError struct {
	Offset int64 // of the record that failed, or comes next
	Err    error
}

func (e *RecordError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("done up to offset %d", e.Offset)
	}
	return fmt.Sprintf("record at offset %d: %v", e.Offset, e.Err)
}

// Unwrap gives the cause.
func (e *RecordError) Unwrap() error { return e.Err }

// RejectError is returned by Handle for a record that it will never take.
type RejectError struct {
	Offset int64 // of the record
	Reason event.Reason
	Detail string // never a person's data
}

func (e *RejectError) Error() string { return string(e.Reason) + ": " + e.Detail }
