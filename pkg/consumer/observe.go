package consumer

import (
	"context"
	"time"
)

// Stats is how a partition is doing. Observe is told after each call of Handle,
// while the partition is paused, about every second while there is nothing to
// handle, and when it is revoked.
type Stats struct {
	Partition int32
	Next      int64 // offset that comes next: everything before it is done
	End       int64 // the log's, when it was last asked; a paused partition asks on
	Lag       int64 // End - Next; duplicates are counted too
	// Age is how old the oldest record is that is not done yet, by its own time
	// and this process's clock; 0 where there is none.
	Age time.Duration

	Handled     int           // records that this call has handled; 0 where there was none
	DeadLetters int           // records that became dead letters since the last time
	Took        time.Duration // by this call
	Attempts    int           // failures in a row of the records at Next
	Err         error         // of this call; nil: all was well
	Paused      bool          // the sink is not well
	Revoked     bool          // the partition is no longer this process's: what was told of it is out of date
}

// tell fills in the rest.
func (w *worker) tell(ctx context.Context, t *trial, s Stats) {
	if w.cfg.Observe == nil {
		return
	}
	// Nothing is fetched while the same records come again and again.
	if s.Err != nil && time.Since(w.asked) >= time.Second {
		if _, end, err := w.records.Bounds(ctx); err == nil {
			w.end = end
		}
		w.asked = time.Now()
	}
	s.Partition, s.Next, s.Paused = w.cfg.Partition, w.next, w.paused
	s.End = max(w.end, w.next)
	s.Lag = s.End - s.Next
	oldest := w.doneAt // the next one is not older than that, but for a clock that was set
	if t != nil && len(t.left.Records) > 0 {
		oldest = t.left.Records[0].Time
	}
	if s.Lag > 0 && !oldest.IsZero() {
		s.Age = max(0, time.Since(oldest))
	}
	if t != nil && s.Attempts == 0 {
		s.Attempts = t.attempts
	}
	s.DeadLetters, w.letters = w.letters, 0
	w.cfg.Observe(s)
}
