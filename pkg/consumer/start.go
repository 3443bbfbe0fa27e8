package consumer

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrNoGroup means that a Handler wanted to start FromGroup, and there is none:
// Config.GroupID is empty.
var ErrNoGroup = errors.New("there is no group to start from: set GroupID, or start from elsewhere")

// Start is where to begin with a partition, each time that it is assigned: after
// a crash, a hand-over, ErrReassign. The zero value is FromGroup.
//
// Who starts in the middle of the journal (FromEnd, FromTime, From without the
// highest source) does not know what stood before: a former owner's late batch
// that arrives afterwards may bring records of before the start, or single ones
// of after it once more. They are handed out, until a record with a higher
// source has come. A start from the group, from the beginning, or from an own
// offset with its highest source has no such doubt.
type Start struct {
	at     place
	first  place // of fromGroup: where the group has committed nothing
	offset int64
	source int64
	time   time.Time
}

type place int

const (
	fromGroup place = iota
	fromOwn
	fromBeginning
	fromEnd
	fromTime
)

// FromGroup starts where the group has committed, with the highest source that
// was kept there; at the log's beginning where it has not.
func FromGroup() Start { return Start{} }

// FromGroupOr starts where the group has committed, and only where it never
// has, at first. That is then committed at once, so that a crash before the
// first record does not move it: FromGroupOr(FromEnd()) is how a new group
// begins with what is new.
func FromGroupOr(first Start) Start {
	if first.at != fromGroup {
		first.first, first.at = first.at, fromGroup
	}
	return first
}

// From starts at an offset that the handler has kept itself, with the highest
// source of all records before it (NoSource if there was none).
func From(offset, highestSource int64) Start {
	return Start{at: fromOwn, offset: offset, source: highestSource}
}

// FromBeginning starts at the first record that the log still has.
func FromBeginning() Start { return Start{at: fromBeginning} }

// FromEnd starts with what is written from now on. What is written while nobody
// owns the partition is passed over.
func FromEnd() Start { return Start{at: fromEnd} }

// FromTime starts at the first record whose time (in the journal: requested_at)
// is t or later; at the end where there is none yet.
func FromTime(t time.Time) Start { return Start{at: fromTime, time: t} }

// timed is a Log that can be searched by time.
type timed interface {
	OffsetAt(ctx context.Context, t time.Time) (int64, error)
}

func (w *worker) begin(ctx context.Context, start Start) error {
	offset, found, err := w.records.Committed(ctx)
	if errors.Is(err, ErrNoGroup) && start.at != fromGroup {
		err = nil
	}
	if err != nil {
		return err
	}
	w.lastTime, w.committed = time.Now(), -1
	if start.at == fromGroup && found {
		w.next, w.committed, w.highest = offset.Offset, offset.Offset, parseHighest(offset.Metadata)
		return nil
	}
	if err := w.seek(ctx, start); err != nil {
		return err
	}
	if start.at == fromGroup && start.first != fromGroup {
		if err := w.records.Commit(ctx, w.next, OffsetMetadata(w.highest)); err != nil {
			return fmt.Errorf("committing where the group begins: %w", err)
		}
		found, offset.Offset = true, w.next
	}
	if found && offset.Offset == w.next {
		w.committed = w.next
	}
	return nil
}

// seek finds a place that is not the group's.
func (w *worker) seek(ctx context.Context, start Start) (err error) {
	at := start.at
	if at == fromGroup {
		at = start.first
	}
	w.highest = NoSource
	switch at {
	case fromOwn:
		w.next, w.highest = start.offset, start.source
	case fromEnd:
		_, w.next, err = w.records.Bounds(ctx)
	case fromTime:
		searched, ok := w.records.(timed)
		if !ok {
			return fmt.Errorf("starting at %v: this log has no OffsetAt", start.time)
		}
		w.next, err = searched.OffsetAt(ctx, start.time)
	default:
		w.next, _, err = w.records.Bounds(ctx)
	}
	return err
}
