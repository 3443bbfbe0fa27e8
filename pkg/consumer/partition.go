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

// Log is one partition of a topic, and the group's offset in it. Run's is the
// brokers'; another one, in memory, is enough to test a Handler.
type Log interface {
	// Fetch gives the records from offset on; after a while without any, none.
	// It tries again by itself as long as that can help: see Fetcher.Fetch.
	Fetch(ctx context.Context, offset int64) (Fetched, error)
	// Bounds are the log's first offset and the next one to be written.
	Bounds(ctx context.Context) (start, end int64, err error)
	// Committed is the group's offset, by whomever; false where there is none.
	Committed(ctx context.Context) (broker.Offset, bool, error)
	// Commit commits the next offset to be read, with a text. It is refused
	// once the group has moved on.
	Commit(ctx context.Context, offset int64, metadata string) error
}

// DeadLetters is where records go that nobody will handle: partition 0 of a
// topic. A *producer.Producer is one. PublishTo returns once all are
// acknowledged; it is tried again after an error.
type DeadLetters interface {
	PublishTo(ctx context.Context, partition int32, messages ...event.Message) ([]producer.Ack, error)
}

// PartitionConfig says how to consume one partition.
type PartitionConfig struct {
	Partition   int32
	CommitEvery time.Duration // as in Config
	// Log gets what goes wrong and is tried again; nil means slog.Default().
	Log *slog.Logger
	// DeadLetters is as in Config; nil means that there are none.
	DeadLetters DeadLetters
	Retry       Retry                           // as in Config
	Healthy     func(ctx context.Context) error // as in Config
	Observe     func(Stats)                     // as in Config
}

// RunPartition is what Run does for each partition that it owns: it hands a
// log to a Handler, in order and without the journal's duplicates, and commits
// the group's offset. It starts no goroutine, so a handler's own tests can run
// it without a broker, over a Log in memory.
//
// It never returns nil, and always after Revoked, if Assigned had returned a
// start. It begins again by itself at ErrReassign, and calls Handle again
// after other errors of it. What it returns:
//
//   - ctx's error, or the one that a call met when ctx had ended
//   - ErrRejoin, from Handle or Idle: the owner may be none any more
//   - a *StopError, where Retry says Stop; ErrNoGroup, from Committed; and what
//     is wrong with cfg
//   - the error of Assigned, Idle, Fetch (such as *OutOfRangeError), Committed
//     or Bounds; and producer.ErrClosed, from dead letters that were needed for
//     a record that can't be read
//
// The owner may then call it again, and Run does, after growing waits: it
// begins with Assigned, and nothing is passed over.
func RunPartition(ctx context.Context, cfg PartitionConfig, of Log, h Handler) error {
	if cfg.CommitEvery <= 0 {
		cfg.CommitEvery = time.Second
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if err := errors.Join(cfg.Retry.problems(cfg.DeadLetters != nil)...); err != nil {
		return fmt.Errorf("consumer.PartitionConfig: %w", err)
	}
	w := &worker{cfg: cfg, handler: h, records: of, log: cfg.Log.With("partition", cfg.Partition)}
	return w.run(ctx)
}

// worker consumes one partition while it is owned.
type worker struct {
	cfg     PartitionConfig
	handler Handler
	records Log
	log     *slog.Logger

	next      int64 // offset to fetch
	highest   int64 // source
	committed int64 // offset that the group has
	lastTime  time.Time

	end     int64     // the log's, when it was last asked
	asked   time.Time // when that was
	doneAt  time.Time // of the last record that is done
	letters int       // dead letters that were not told of yet
	paused  bool
}

func (w *worker) run(ctx context.Context) error {
	for {
		start, err := w.handler.Assigned(ctx, w.cfg.Partition)
		if err != nil {
			return fmt.Errorf("assigning: %w", err)
		}
		err = w.consume(ctx, start)
		w.handler.Revoked(w.cfg.Partition)
		w.tell(ctx, nil, Stats{Revoked: true})
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
		got, err := w.records.Fetch(ctx, w.next)
		if err != nil {
			return err
		}
		w.end, w.asked = got.End, time.Now()
		if len(got.Records) > 0 {
			if err := w.handle(ctx, got); err != nil {
				return err
			}
			idle = time.Now()
		} else if w.next = got.Next; time.Since(idle) >= time.Second { // past what is no record, too
			if err := w.idle(ctx); err != nil {
				return err
			}
			idle = time.Now()
			w.tell(ctx, nil, Stats{})
		}
		if time.Since(w.lastTime) >= w.cfg.CommitEvery {
			w.commit(ctx)
		}
	}
}

func (w *worker) idle(ctx context.Context) error {
	if idler, ok := w.handler.(Idler); ok {
		return idler.Idle(ctx, w.cfg.Partition)
	}
	return nil
}
