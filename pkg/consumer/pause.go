package consumer

import (
	"context"
	"errors"
)

// sick tells that it was the sink's fault, and what is the matter with it.
func (w *worker) sick(ctx context.Context, err error) error {
	if errors.Is(err, ErrUnhealthy) {
		return err
	}
	if w.cfg.Healthy == nil {
		return nil
	}
	return w.cfg.Healthy(ctx)
}

// pause waits for the sink; where nobody can tell whether it is well, the next
// attempt does.
func (w *worker) pause(ctx context.Context, t *trial, told Stats) error {
	if !w.paused {
		w.paused = true
		w.log.Warn("paused: the sink is not well", "error", told.Err, "offset", w.next)
	}
	w.commit(ctx)
	for {
		w.tell(ctx, t, told)
		if err := t.retry.Wait(ctx); err != nil {
			return err
		}
		if w.cfg.Healthy == nil {
			return nil
		}
		if told = (Stats{Err: w.cfg.Healthy(ctx)}); told.Err == nil {
			return nil
		}
	}
}

func (w *worker) goesOn() {
	if w.paused {
		w.paused = false
		w.log.Info("goes on: the sink is well again", "offset", w.next)
	}
}
