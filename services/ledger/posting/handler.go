package posting

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/event"
)

// Config is what a Handler works with.
type Config struct {
	Store    Store
	Letters  Letters
	Journal  Journal
	Observer Observer     // nil: nobody
	Log      *slog.Logger // nil: slog.Default()
}

// Handler writes the journal into the store, each partition from its own row on. What it remembers is only where it
// believes the row to be; every transaction compares that first, so a ledger that was paused, or a store that was
// restored, leads to beginning again and to nothing else.
type Handler struct {
	cfg Config

	mu     sync.Mutex
	places map[int32]Place
	failed map[int32]func() bool // see tellUntilGone
	seen   map[string]bool       // unknown types that were told of
}

// New makes a Handler for all partitions.
func New(cfg Config) *Handler {
	if cfg.Observer == nil {
		cfg.Observer = nobody{}
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	return &Handler{cfg: cfg, places: make(map[int32]Place), failed: make(map[int32]func() bool), seen: make(map[string]bool)}
}

// Assigned begins at the partition's row, never at the group's offset.
func (h *Handler) Assigned(ctx context.Context, partition int32) (consumer.Start, error) {
	p, err := h.begin(ctx, partition)
	h.tellUntilGone(ctx, partition, err)
	if err != nil {
		return consumer.Start{}, err
	}
	h.mu.Lock()
	h.places[partition] = p
	h.mu.Unlock()
	h.cfg.Observer.Beginning(partition, p)
	h.cfg.Log.Info("beginning", "partition", partition, "next", p.Next, "highest_source", p.HighestSource)
	return consumer.From(p.Next, p.HighestSource), nil
}

// tellUntilGone says whether a partition could be assigned. What it waits for counts no more once it is another's: Revoked is
// not called for one that was never assigned.
func (h *Handler) tellUntilGone(ctx context.Context, partition int32, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if stop := h.failed[partition]; stop != nil {
		stop()
		delete(h.failed, partition)
	}
	h.tell(partition, err)
	if err != nil {
		h.failed[partition] = context.AfterFunc(ctx, func() { h.tell(partition, nil) })
	}
}

func (h *Handler) begin(ctx context.Context, partition int32) (Place, error) {
	p, err := h.cfg.Store.Begin(ctx, partition)
	if errors.Is(err, ErrOutdated) {
		if err := h.cfg.Store.Migrate(ctx); err != nil {
			return p, err
		}
		p, err = h.cfg.Store.Begin(ctx, partition)
	}
	if err != nil {
		return p, fmt.Errorf("reading the row of partition %d: %w", partition, err)
	}
	return p, check(ctx, h.cfg.Journal, partition, p)
}

// Handle writes a batch. When it returns nil the batch is committed, and its dead letters are acknowledged.
func (h *Handler) Handle(ctx context.Context, b consumer.Batch) error {
	began := time.Now()
	page := read(h.place(b.Partition), b)
	write := func() error {
		return h.cfg.Store.Write(ctx, page.batch, func(ctx context.Context, refused Refused) error {
			return h.bury(ctx, slices.Concat(violating(b.Records, refused), page.letters))
		})
	}
	err := write()
	if errors.Is(err, ErrOutdated) {
		if err = h.cfg.Store.Migrate(ctx); err == nil {
			err = write() // to a new row, which is ErrMoved; what migrating did not mend is told
		}
	}
	h.tell(b.Partition, err)
	if errors.Is(err, ErrMoved) {
		return h.moved(b.Partition, err)
	}
	if err != nil {
		return fmt.Errorf("writing journal records up to offset %d: %w", b.Next, err)
	}
	h.mu.Lock()
	h.places[b.Partition] = page.batch.To
	h.mu.Unlock()
	h.written(Written{page.batch, page.unknown, time.Since(began)})
	return nil
}

// Idle begins again where the row has moved: a database restored from its backup catches up without traffic.
func (h *Handler) Idle(ctx context.Context, partition int32) error {
	ctx, cancel := context.WithTimeout(ctx, SettleTimeout)
	defer cancel()
	p, err := h.cfg.Store.Place(ctx, partition)
	if errors.Is(err, ErrOutdated) || err == nil && !p.Equal(h.place(partition)) {
		err = ErrMoved
	}
	h.tell(partition, err)
	if errors.Is(err, ErrMoved) {
		return h.moved(partition, err)
	}
	if err != nil { // the next look may find out more, and the next batch compares anyway
		h.cfg.Log.Warn("looking at a partition's row failed", "partition", partition, "error", err)
	}
	return nil
}

// Revoked forgets the partition.
func (h *Handler) Revoked(partition int32) {
	h.tell(partition, nil)
	h.mu.Lock()
	delete(h.places, partition)
	h.mu.Unlock()
	h.cfg.Observer.Revoked(partition)
}

func (h *Handler) place(partition int32) Place {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.places[partition]
}

// moved is what to return where the row has moved.
func (h *Handler) moved(partition int32, err error) error {
	h.cfg.Observer.Moved(partition)
	return fmt.Errorf("%w: %w", consumer.ErrReassign, err)
}

// tell says whether a partition can go on: one whose row has moved can, from there.
func (h *Handler) tell(partition int32, err error) {
	if errors.Is(err, ErrMoved) || errors.Is(err, context.Canceled) {
		err = nil
	}
	h.cfg.Observer.Stuck(partition, err)
}

// violating finds the refused records.
func violating(records []event.Record, refused Refused) (letters []Letter) {
	if len(refused) == 0 {
		return nil
	}
	at := make(map[event.Source]bool, len(refused))
	for _, s := range refused {
		at[s] = true
	}
	for _, r := range records {
		if s, ok := event.SourceOf(r); ok && at[s] {
			letters = append(letters, Letter{r, event.ReasonUniqueViolation, "contradicts what is stored: its source, its person or its sequence is another record's"})
		}
	}
	return letters
}

// bury returns once the dead letters are acknowledged. The alarm is raised then and there, at least once as the letters are:
// the row is locked and was compared, so it is no false one, and a commit whose answer gets lost does not take it along.
func (h *Handler) bury(ctx context.Context, letters []Letter) error {
	if len(letters) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, SettleTimeout)
	defer cancel()
	messages := make([]event.Message, len(letters))
	for i, l := range letters {
		messages[i] = event.DeadLetter(l.Record, l.Reason, l.Detail)
	}
	if err := h.cfg.Letters.Publish(ctx, messages); err != nil {
		return fmt.Errorf("the dead letters' topic refuses: %w", err)
	}
	h.alarm(letters)
	return nil
}

func (h *Handler) alarm(letters []Letter) {
	for _, l := range letters {
		what := "a journal record cannot be read"
		if l.Reason == event.ReasonUniqueViolation {
			what = "a journal record contradicts what is stored; it was not written"
		}
		h.cfg.Log.Error(what, "partition", l.Record.Partition, "offset", l.Record.Offset,
			"last_offset", l.Record.LastOffset, "reason", string(l.Reason), "detail", l.Detail)
	}
	h.cfg.Observer.Buried(letters)
}

func (h *Handler) written(w Written) {
	for kind := range w.Unknown {
		if h.firstSeen(kind) {
			h.cfg.Log.Warn("journal records of a type that this ledger does not know are passed over; is it older than the issuer?", "type", kind)
		}
	}
	h.cfg.Observer.Written(w)
}

// firstSeen is bounded, as types come from outside.
func (h *Handler) firstSeen(kind string) bool {
	const most = 100
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.seen[kind] || len(h.seen) >= most {
		return false
	}
	h.seen[kind] = true
	return true
}
