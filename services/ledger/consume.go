package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/firstcome/firstcome/internal/lifecycle"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/ledger/internal/postgres"
)

// journalStore is where the journal is written to.
type journalStore interface {
	Migrate(context.Context) error
	Begin(ctx context.Context, partition int32) (postgres.Place, error)
	Place(ctx context.Context, partition int32) (postgres.Place, error)
	Write(ctx context.Context, b postgres.Batch, settle func(context.Context, postgres.Refused) error) error
}

// deadLetters is the topic for what cannot be written. Publish returns once all are acknowledged.
type deadLetters interface {
	Publish(context.Context, []event.Message) error
}

// journal tells whether a partition still is the one that a place was reached in.
type journal interface {
	Check(ctx context.Context, partition int32, p postgres.Place) error
}

// handler writes the journal into Postgres, each partition from its own row on. What it remembers is only where it
// believes the row to be; every transaction compares that first, so a ledger that was paused, or a database that was
// restored, leads to beginning again and to nothing else.
type handler struct {
	store   journalStore
	letters deadLetters
	journal journal
	metrics *metrics
	log     *slog.Logger
	waiting *lifecycle.Waiting

	mu     sync.Mutex
	places map[int32]postgres.Place
	stuck  map[int32]func() // takes what a partition waits for off the list
	seen   map[string]bool  // unknown types that were told of
}

func newHandler(store journalStore, letters deadLetters, journal journal, m *metrics, log *slog.Logger, waiting *lifecycle.Waiting) *handler {
	return &handler{store: store, letters: letters, journal: journal, metrics: m, log: log, waiting: waiting,
		places: make(map[int32]postgres.Place), stuck: make(map[int32]func()), seen: make(map[string]bool)}
}

// Assigned begins at the partition's row, never at the group's offset.
func (h *handler) Assigned(ctx context.Context, partition int32) (consumer.Start, error) {
	p, err := h.begin(ctx, partition)
	h.tell(partition, err)
	if err != nil {
		return consumer.Start{}, err
	}
	h.mu.Lock()
	h.places[partition] = p
	h.mu.Unlock()
	h.metrics.next(partition, p.Next)
	h.log.Info("beginning", "partition", partition, "next", p.Next, "highest_source", p.HighestSource)
	return consumer.From(p.Next, p.HighestSource), nil
}

func (h *handler) begin(ctx context.Context, partition int32) (postgres.Place, error) {
	p, err := h.store.Begin(ctx, partition)
	if postgres.IsOutdated(err) {
		if err := h.store.Migrate(ctx); err != nil {
			return p, err
		}
		p, err = h.store.Begin(ctx, partition)
	}
	if err != nil {
		return p, fmt.Errorf("reading the row of partition %d: %w", partition, err)
	}
	return p, h.journal.Check(ctx, partition, p)
}

// Handle writes a batch. When it returns nil the batch is committed, and its dead letters are acknowledged.
func (h *handler) Handle(ctx context.Context, b consumer.Batch) error {
	began := time.Now()
	page := read(h.place(b.Partition), b)
	var violations []letter
	err := h.store.Write(ctx, page.batch, func(ctx context.Context, refused postgres.Refused) error {
		violations = violating(b.Records, refused)
		return h.bury(ctx, slices.Concat(violations, page.letters))
	})
	if postgres.IsOutdated(err) {
		if err = h.store.Migrate(ctx); err == nil {
			err = postgres.ErrMoved
		}
	}
	h.tell(b.Partition, err)
	if errors.Is(err, postgres.ErrMoved) {
		h.metrics.moved.Inc()
		return fmt.Errorf("%w: %w", consumer.ErrReassign, err)
	}
	if err != nil {
		return fmt.Errorf("writing journal records up to offset %d: %w", b.Next, err)
	}
	h.mu.Lock()
	h.places[b.Partition] = page.batch.To
	h.mu.Unlock()
	h.written(page, violations, began)
	return nil
}

// Idle begins again where the row has moved: a database restored from its backup catches up without traffic.
func (h *handler) Idle(ctx context.Context, partition int32) error {
	ctx, cancel := context.WithTimeout(ctx, postgres.SettleTimeout)
	defer cancel()
	p, err := h.store.Place(ctx, partition)
	if postgres.IsOutdated(err) || err == nil && !p.Equal(h.place(partition)) {
		err = postgres.ErrMoved
	}
	h.tell(partition, err)
	if errors.Is(err, postgres.ErrMoved) {
		h.metrics.moved.Inc()
		return fmt.Errorf("%w: %w", consumer.ErrReassign, err)
	}
	if err != nil { // the next look may find out more, and the next batch compares anyway
		h.log.Warn("looking at a partition's row failed", "partition", partition, "error", err)
	}
	return nil
}

// Revoked forgets the partition.
func (h *handler) Revoked(partition int32) {
	h.tell(partition, nil)
	h.mu.Lock()
	delete(h.places, partition)
	h.mu.Unlock()
	h.metrics.revoked(partition)
}

func (h *handler) place(partition int32) postgres.Place {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.places[partition]
}

// tell keeps the list of what is waited for: a partition that cannot go on is there, with its reason.
func (h *handler) tell(partition int32, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if done := h.stuck[partition]; done != nil {
		done()
		delete(h.stuck, partition)
	}
	if err != nil && !errors.Is(err, postgres.ErrMoved) && !errors.Is(err, context.Canceled) {
		h.stuck[partition] = h.waiting.For(fmt.Sprintf("partition %d: %v", partition, err))
	}
}

// violating finds the refused records.
func violating(records []event.Record, refused postgres.Refused) (letters []letter) {
	if len(refused) == 0 {
		return nil
	}
	at := make(map[event.Source]bool, len(refused))
	for _, s := range refused {
		at[s] = true
	}
	for _, r := range records {
		if s, ok := event.SourceOf(r); ok && at[s] {
			letters = append(letters, letter{r, event.ReasonUniqueViolation, "contradicts what is stored: its source, its person or its sequence is another record's"})
		}
	}
	return letters
}

// bury returns once the dead letters are acknowledged.
func (h *handler) bury(ctx context.Context, letters []letter) error {
	if len(letters) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, postgres.SettleTimeout)
	defer cancel()
	messages := make([]event.Message, len(letters))
	for i, l := range letters {
		messages[i] = event.DeadLetter(l.record, l.reason, l.detail)
	}
	if err := h.letters.Publish(ctx, messages); err != nil {
		return fmt.Errorf("the dead letters' topic refuses: %w", err)
	}
	return nil
}

// written tells of a batch once it is committed: no alarm is raised for what was rolled back.
func (h *handler) written(p page, violations []letter, began time.Time) {
	for _, l := range violations {
		h.log.Error("a journal record contradicts what is stored; it was not written", "partition", l.record.Partition, "offset", l.record.Offset)
	}
	for _, l := range p.letters {
		h.log.Error("a journal record cannot be read", "partition", l.record.Partition, "offset", l.record.Offset,
			"last_offset", l.record.LastOffset, "reason", string(l.reason), "detail", l.detail)
	}
	for kind := range p.unknown {
		if h.firstSeen(kind) {
			h.log.Warn("journal records of a type that this ledger does not know are passed over; is it older than the issuer?", "type", kind)
		}
	}
	h.metrics.written(p, violations, began)
}

// firstSeen is bounded, as types come from outside.
func (h *handler) firstSeen(kind string) bool {
	const most = 100
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.seen[kind] || len(h.seen) >= most {
		return false
	}
	h.seen[kind] = true
	return true
}
