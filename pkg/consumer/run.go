package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
)

// Config says what to consume.
type Config struct {
	GroupConfig
	Fetch FetchConfig
	// CommitEvery is how old the group's offset may get while records are
	// handled; default 1 s. What a crash leaves uncommitted is handled again
	// by a handler that starts from the group.
	CommitEvery time.Duration
	// DeadLetters takes the records that can't be read, and those that the
	// handler rejects; a record is passed over only after it is acknowledged
	// there. Without it unreadable records reach the handler, and a rejection
	// is an error like any other.
	DeadLetters *producer.Producer
}

// Run consumes a topic until ctx ends. Each record is handled at least once,
// in the order of its partition; duplicates in the journal (see Unseen) are
// dropped, the highest source is kept in the metadata of the group's offset.
//
// Where the offset to start from is not in the log any more nothing is
// skipped: the error is logged and tried again, until the handler starts
// elsewhere or somebody moves the group's offset.
func Run(ctx context.Context, cfg Config, h Handler) error {
	if cfg.CommitEvery <= 0 {
		cfg.CommitEvery = time.Second
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	return RunGroup(ctx, cfg.GroupConfig, func(ctx context.Context, a *Assignment) error {
		w := &worker{cfg: cfg, handler: h, assignment: a, log: cfg.Log.With("topic", cfg.Topic, "partition", a.partition)}
		w.fetcher = NewFetcher(cfg.Client, cfg.Topic, a.partition, cfg.Fetch)
		defer w.fetcher.Close()
		return w.run(ctx)
	})
}

// worker consumes one partition while it is owned.
type worker struct {
	cfg        Config
	handler    Handler
	assignment *Assignment
	fetcher    *Fetcher
	log        *slog.Logger

	next      int64 // offset to fetch
	highest   int64 // source
	committed int64 // offset that the group has
	lastTime  time.Time
}

func (w *worker) run(ctx context.Context) error {
	for {
		start, err := w.handler.Assigned(ctx, w.assignment.partition)
		if err != nil {
			return fmt.Errorf("assigning: %w", err)
		}
		err = w.consume(ctx, start)
		w.handler.Revoked(w.assignment.partition)
		if !errors.Is(err, ErrReassign) || ctx.Err() != nil {
			return err
		}
		w.log.Warn("beginning again", "error", err)
	}
}

func (w *worker) consume(ctx context.Context, start Start) error {
	if err := w.begin(ctx, start); err != nil {
		return err
	}
	defer w.commitLast()
	idle := time.Now()
	for {
		got, err := w.fetcher.Fetch(ctx, w.next)
		if err != nil {
			return err
		}
		if len(got.Records) > 0 {
			if err := w.handle(ctx, got); err != nil {
				return err
			}
			idle = time.Now()
		} else if time.Since(idle) >= time.Second {
			if err := w.idle(ctx); err != nil {
				return err
			}
			idle = time.Now()
		}
		w.next = got.Next // past what is no record, too
		if time.Since(w.lastTime) >= w.cfg.CommitEvery {
			w.commit(ctx)
		}
	}
}

func (w *worker) begin(ctx context.Context, start Start) error {
	offset, found, err := w.assignment.Committed(ctx)
	if err != nil {
		return err
	}
	w.lastTime, w.committed = time.Now(), -1
	switch {
	case start.own:
		w.next, w.highest = start.offset, start.highest
		if found && offset.Offset == start.offset {
			w.committed = offset.Offset
		}
	case found:
		w.next, w.committed, w.highest = offset.Offset, offset.Offset, parseHighest(offset.Metadata)
	default:
		w.highest = NoSource
		w.next, _, err = w.cfg.Client.Bounds(ctx, w.cfg.Topic, w.assignment.partition)
	}
	return err
}

func (w *worker) idle(ctx context.Context) error {
	if idler, ok := w.handler.(Idler); ok {
		return idler.Idle(ctx, w.assignment.partition)
	}
	return nil
}

// handle gives a piece to the handler until it takes it.
func (w *worker) handle(ctx context.Context, got Fetched) error {
	b := Batch{Partition: w.assignment.partition, Next: got.Next}
	b.Records, b.HighestSource = Unseen(got.Records, w.highest)
	if err := w.bury(ctx, &b); err != nil {
		return err
	}
	var retry broker.Backoff
	for len(b.Records) > 0 {
		err := w.handler.Handle(ctx, b)
		if err == nil {
			break
		}
		if ctx.Err() != nil || errors.Is(err, ErrReassign) || errors.Is(err, ErrRejoin) {
			return err
		}
		var reject *RejectError
		if errors.As(err, &reject) && w.cfg.DeadLetters != nil && w.reject(ctx, &b, reject) {
			continue
		}
		w.log.Error("handling failed, trying again", "error", err, "offset", b.Records[0].Offset)
		if err := retry.Wait(ctx); err != nil {
			return err
		}
	}
	// Only ever together: they are committed as one.
	w.next, w.highest = b.Next, b.HighestSource
	return nil
}

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

// reject moves a record that the handler won't take; false where the batch has
// no such record.
func (w *worker) reject(ctx context.Context, b *Batch, e *RejectError) bool {
	for i, r := range b.Records {
		if r.Offset != e.Offset {
			continue
		}
		if w.deadLetter(ctx, r, e.Reason, e.Detail) != nil {
			return false
		}
		b.Records = append(b.Records[:i:i], b.Records[i+1:]...)
		return true
	}
	return false
}

// deadLetter returns once the record is acknowledged: the partition waits while
// the dead letters' topic refuses.
func (w *worker) deadLetter(ctx context.Context, r event.Record, reason event.Reason, detail string) error {
	var retry broker.Backoff
	for {
		_, err := w.cfg.DeadLetters.PublishTo(ctx, 0, event.DeadLetter(r, reason, detail))
		if err == nil {
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
