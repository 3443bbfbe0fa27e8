package consumer

import (
	"context"
	"errors"
	"time"

	"github.com/firstcome/firstcome/pkg/event"
)

// eachLimit keeps the group's offset from getting older than CommitEvery by more
// than a record takes, and a batch may hold thousands.
const eachLimit = time.Second

// Each is a Handler that takes the records of the journal one by one, decoded.
// Records for which there is no function are passed over.
//
// Where a function returns an error, the records before that one count as done,
// and it comes again: see Config.Retry. A *RejectError (its Offset is filled in)
// makes the record a dead letter.
type Each struct {
	// Start is where to begin with each partition; the zero value is FromGroup.
	Start Start
	// Granted takes grants, Defined definitions that took effect.
	Granted func(ctx context.Context, g event.CouponGranted, m event.Meta) error
	Defined func(ctx context.Context, d event.CouponDefined, m event.Meta) error
	// Other takes records of any other type: those that a later version of
	// Firstcome has added, and whatever else stands in another topic.
	Other func(ctx context.Context, r event.Record) error
	// Unreadable takes records that should have been read, and can't be: why
	// says what is wrong. Without it they are dead letters; and where Config
	// has no DeadLetters either, an error, to which Config.Retry applies: they
	// are never passed over in silence. With DeadLetters a batch that can't be
	// read at all does not come here, it is a dead letter already.
	Unreadable func(ctx context.Context, r event.Record, why *event.DecodeError) error
}

// Assigned says Start.
func (e Each) Assigned(context.Context, int32) (Start, error) { return e.Start, nil }

// Handle hands out the records until one fails, or a second has passed.
func (e Each) Handle(ctx context.Context, b Batch) error {
	began := time.Now()
	for i, r := range b.Records {
		if i > 0 && time.Since(began) >= eachLimit {
			return &RecordError{Offset: r.Offset}
		}
		err := ctx.Err()
		if err == nil {
			err = e.one(ctx, r)
		}
		if err != nil {
			return &RecordError{Offset: r.Offset, Err: err}
		}
	}
	return nil
}

// Revoked does nothing: there is nothing to forget.
func (e Each) Revoked(int32) {}

func (e Each) one(ctx context.Context, r event.Record) error {
	known, err := event.Decode(r)
	var why *event.DecodeError
	if errors.As(err, &why) && why.Reason != event.ReasonUnknownType {
		if e.Unreadable != nil {
			return e.Unreadable(ctx, r, why)
		}
		return &RejectError{Reason: why.Reason, Detail: why.Detail}
	}
	switch data := known.Data.(type) {
	case event.CouponGranted:
		if e.Granted != nil {
			return e.Granted(ctx, data, known.Meta)
		}
	case event.CouponDefined:
		if e.Defined != nil {
			return e.Defined(ctx, data, known.Meta)
		}
	default:
		if e.Other != nil {
			return e.Other(ctx, r)
		}
	}
	return nil
}
