package consumer

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/event"
)

// trial is a piece of the log on its way through the handler.
type trial struct {
	left     Batch // what is not done yet; never more than what stands before it
	most     int   // records to hand out at once; 0: all
	attempts int   // failures in a row of the first one, or of the batch
	retry    broker.Backoff
}

// handle gives a piece to the handler until it takes it.
func (w *worker) handle(ctx context.Context, got Fetched) error {
	b := Batch{Partition: w.cfg.Partition, Next: got.Next}
	b.Records, b.HighestSource = Unseen(got.Records, w.highest)
	if err := w.bury(ctx, &b); err != nil {
		return err
	}
	t := &trial{left: b, retry: w.cfg.Retry.backoff()}
	for len(t.left.Records) > 0 {
		if err := w.attempt(ctx, t); err != nil {
			return err
		}
		if time.Since(w.lastTime) >= w.cfg.CommitEvery {
			w.commit(ctx)
		}
	}
	w.next, w.highest = b.Next, b.HighestSource
	return nil
}

// attempt calls the handler once, and sees to what comes of it. An error ends
// the ownership.
func (w *worker) attempt(ctx context.Context, t *trial) error {
	b := t.left
	if t.most > 0 {
		b = b.head(t.most, w.highest)
	}
	began := time.Now()
	err := w.handler.Handle(ctx, b)
	told := Stats{Took: time.Since(began), Err: err, Handled: len(b.Records)}
	if err != nil {
		told.Handled = max(0, at(b.Records, err))
	}
	w.done(t, told.Handled)
	if err != nil && (told.Handled == 0 || !unfinished(err)) {
		return w.failed(ctx, t, len(b.Records)-told.Handled, told)
	}
	told.Err = nil
	w.goesOn()
	t.most *= 2
	w.tell(ctx, t, told)
	return nil
}

// at finds the record that an error names, and nobody else does; -1: none.
func at(records []event.Record, err error) int {
	var of *RecordError
	if !errors.As(err, &of) {
		return -1
	}
	return slices.IndexFunc(records, func(r event.Record) bool { return r.Offset == of.Offset })
}

// unfinished tells that nothing failed.
func unfinished(err error) bool {
	var of *RecordError
	return errors.As(err, &of) && of.Err == nil
}

// done takes the first n records off what is left. Offset and source move
// together, as they are committed.
func (w *worker) done(t *trial, n int) {
	if n == 0 {
		return
	}
	passed := t.left.head(n, w.highest)
	w.next, w.highest = passed.Next, passed.HighestSource
	w.doneAt = passed.Records[n-1].Time
	t.left.Records = t.left.Records[n:]
	t.attempts = 0
	t.retry.Reset()
}

// failed decides what comes after an error of Handle, which was given so many
// of the records that are left.
func (w *worker) failed(ctx context.Context, t *trial, given int, told Stats) error {
	err := told.Err
	if ctx.Err() != nil || errors.Is(err, ErrReassign) || errors.Is(err, ErrRejoin) {
		return err
	}
	if found, err := w.rejected(ctx, t, err); found || err != nil {
		w.goesOn()
		w.tell(ctx, t, told)
		return err
	}
	if sick := w.sick(ctx, err); sick != nil {
		told.Err = sick
		return w.pause(ctx, t, told)
	}
	w.goesOn()
	t.attempts++
	known := given == 1 || at(t.left.Records, err) == 0
	switch limit := w.cfg.Retry.Attempts; {
	case limit == 0:
	case known && t.attempts >= limit:
		return w.giveUp(ctx, t, told)
	case !known && (t.most > 0 || t.attempts >= limit): // one attempt is enough on the way down
		t.most, t.attempts = given/2, 0
	}
	w.log.Error("handling failed, trying again", "error", err, "offset", t.left.Records[0].Offset, "attempts", t.attempts)
	w.tell(ctx, t, told)
	return t.retry.Wait(ctx)
}

// rejected moves a record that the handler won't take to the dead letters; false
// where the error names none.
func (w *worker) rejected(ctx context.Context, t *trial, err error) (bool, error) {
	var reject *RejectError
	if !errors.As(err, &reject) || w.cfg.DeadLetters == nil {
		return false, nil
	}
	i := at(t.left.Records, err)
	if i < 0 {
		i = at(t.left.Records, &RecordError{Offset: reject.Offset})
	}
	if i < 0 {
		return false, nil
	}
	return true, w.pass(ctx, t, i, reject.Reason, reject.Detail)
}

// giveUp is for a record that has failed for good.
func (w *worker) giveUp(ctx context.Context, t *trial, told Stats) error {
	r, cause := t.left.Records[0], told.Err
	var of *RecordError
	if errors.As(cause, &of) && of.Offset == r.Offset && of.Err != nil {
		cause = of.Err
	}
	told.Attempts = t.attempts
	if w.cfg.Retry.Then == Stop {
		w.tell(ctx, t, told)
		return &StopError{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Attempts: t.attempts, Err: cause}
	}
	err := w.pass(ctx, t, 0, event.ReasonHandlerFailed, cause.Error())
	w.tell(ctx, t, told)
	return err
}

// pass takes a record out of what is left, once the dead letters have it.
func (w *worker) pass(ctx context.Context, t *trial, i int, reason event.Reason, detail string) error {
	if err := w.deadLetter(ctx, t.left.Records[i], reason, detail); err != nil {
		return err
	}
	if i == 0 {
		w.done(t, 1)
		return nil
	}
	t.left.Records = slices.Concat(t.left.Records[:i], t.left.Records[i+1:]) // the handler may have kept the others
	t.attempts = 0
	return nil
}
