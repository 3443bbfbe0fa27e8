package consumer

import (
	"context"
	"errors"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
)

// bury moves the unreadable records to the dead letters.
func (w *worker) bury(ctx context.Context, b *Batch) error {
	if w.cfg.DeadLetters == nil {
		return nil
	}
	kept := b.Records[:0]
	for _, r := range b.Records {
		var unreadable *event.DecodeError
		if !errors.As(r.Err, &unreadable) {
			kept = append(kept, r)
			continue
		}
		if err := w.deadLetter(ctx, r, unreadable.Reason, unreadable.Detail); err != nil {
			return err
		}
	}
	b.Records = kept
	return nil
}

// deadLetter returns once the record is acknowledged: the partition waits while
// the dead letters' topic refuses.
func (w *worker) deadLetter(ctx context.Context, r event.Record, reason event.Reason, detail string) error {
	var retry broker.Backoff
	for {
		_, err := w.cfg.DeadLetters.PublishTo(ctx, 0, event.DeadLetter(r, reason, detail))
		if err == nil {
			w.letters++
			w.log.Warn("dead letter", "offset", r.Offset, "last_offset", r.LastOffset, "reason", string(reason), "detail", detail)
			return nil
		}
		if ctx.Err() != nil || errors.Is(err, producer.ErrClosed) {
			return err
		}
		w.log.Error("the dead letters' topic refuses, trying again", "error", err, "offset", r.Offset)
		if err := retry.Wait(ctx); err != nil {
			return err
		}
	}
}
