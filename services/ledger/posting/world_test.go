package posting_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/ledger/posting"
	"github.com/firstcome/firstcome/services/ledger/posting/postingtest"
)

const requests = event.TopicRequests

// entry is a record of the journal, and what has to become of it.
type entry struct {
	fact   fcfs.Fact
	change func(*event.Message) // makes another record of it
	letter event.Reason         // it becomes a dead letter
	drop   bool                 // it is passed over
}

func define(source, limit int64) fcfs.Fact {
	return fcfs.Fact{Source: fcfs.Source{Offset: source}, RequestedAt: fcfs.Millis(1e12 + source), LogTime: fcfs.Millis(1e12 + source),
		Defined: &fcfs.Definition{CouponID: "tea", Limit: limit, Window: fcfs.WindowNone, TimeZone: "UTC", Rules: 1}}
}

func grant(source int64, user string, sequence int64) fcfs.Fact {
	return fcfs.Fact{Source: fcfs.Source{Offset: source}, RequestedAt: fcfs.Millis(1e12 + source), LogTime: fcfs.Millis(1e12 + source),
		Granted: &fcfs.GrantFact{CouponID: "tea", UserID: user, Sequence: sequence, Limit: 100}}
}

func elsewhere(f fcfs.Fact) fcfs.Fact {
	f.Source.Partition = 3
	return f
}

// story has one of everything that a ledger can meet.
var story = []entry{
	{fact: define(0, 3)},
	{fact: grant(2, "ada", 1)},
	{fact: grant(5, "bob", 2)},
	{fact: grant(2, "ada", 1), drop: true}, // a former owner's late batch
	{fact: grant(5, "bob", 2), drop: true},
	{fact: grant(7, "ada", 3), letter: event.ReasonUniqueViolation}, // the person of another record
	{fact: grant(8, "kim", 3)},
	{fact: grant(9, "lee", 4), change: func(m *event.Message) { m.Value = []byte("garbage") }, letter: event.ReasonMalformed},
	{fact: grant(10, "eve", 3), letter: event.ReasonUniqueViolation}, // the sequence of another record
	{fact: define(11, 100)},
	{fact: grant(12, "zoe", 5), change: func(m *event.Message) { m.Headers[typeAt(m)].Value = []byte("firstcome.coupon.stopped") }, drop: true},
	{fact: grant(7, "ada", 3), drop: true}, // late as well, of what was refused
	{fact: elsewhere(grant(13, "max", 6)), letter: event.ReasonWrongPartition},
	{fact: grant(14, "tom", 7)},
}

func typeAt(m *event.Message) int {
	return slices.IndexFunc(m.Headers, func(h event.Header) bool { return h.Key == "ce_type" })
}

// world is partition 0 of the journal, the store and the dead letters, all in memory.
type world struct {
	t       *testing.T
	piece   int // records that are fetched at once
	journal []event.Record
	store   *postingtest.Store
	letters map[string]event.Reason // by the journal's offset
	alarms  map[string]bool
	wanted  map[string]event.Reason // letters
	want    []event.Source          // of what is stored
}

func newWorld(t *testing.T, piece int) *world {
	w := &world{t: t, piece: piece, store: postingtest.NewStore(), letters: map[string]event.Reason{}, alarms: map[string]bool{}, wanted: map[string]event.Reason{}}
	w.store.Restore(postingtest.Backup{})
	return w
}

func (w *world) append(entries ...entry) {
	w.t.Helper()
	for _, e := range entries {
		m, err := postingtest.Message(requests, e.fact)
		if err != nil {
			w.t.Fatal(err)
		}
		if e.change != nil {
			e.change(&m)
		}
		offset := int64(len(w.journal))
		w.journal = append(w.journal, event.Record{Topic: event.TopicGrants, Offset: offset, LastOffset: offset, Time: m.Time, Key: m.Key, Value: m.Value, Headers: m.Headers})
		switch {
		case e.letter != "":
			w.wanted[strconv.FormatInt(offset, 10)] = e.letter
		case !e.drop:
			w.want = append(w.want, event.Source(e.fact.Source))
		}
	}
}

// exact compares what is stored, and what became dead letters and alarms, with what the journal says.
func (w *world) exact(what string) {
	w.t.Helper()
	var got []event.Source
	for _, g := range w.store.Grants() {
		got = append(got, g.Source)
	}
	for _, d := range w.store.Definitions() {
		got = append(got, *d.Source)
	}
	slices.SortFunc(got, func(a, b event.Source) int { return int(a.Offset - b.Offset) })
	if !slices.Equal(got, w.want) {
		w.t.Errorf("%s: stored %v, not %v", what, got, w.want)
	}
	if !maps.Equal(w.letters, w.wanted) {
		w.t.Errorf("%s: dead letters %v, not %v", what, w.letters, w.wanted)
	}
	for offset := range w.wanted {
		if !w.alarms[offset] {
			w.t.Errorf("%s: no alarm for the record at %s", what, offset)
		}
	}
	for offset := range w.alarms {
		if w.wanted[offset] == "" {
			w.t.Errorf("%s: a false alarm for the record at %s", what, offset)
		}
	}
	last := w.journal[len(w.journal)-1]
	highest, _ := event.SourceOf(last)
	end := posting.Place{Next: last.Offset + 1, HighestSource: highest.Offset, Last: &posting.Mark{Offset: last.Offset, Time: last.Time}}
	if at, err := w.store.Place(w.t.Context(), 0); err != nil || !at.Equal(end) {
		w.t.Errorf("%s: the row is at %+v, %v", what, at, err)
	}
}

// saved gives a function that makes everything as it is now, but for the journal.
func (w *world) saved() (again func()) {
	store, letters, alarms := w.store.Backup(), maps.Clone(w.letters), maps.Clone(w.alarms)
	return func() {
		w.store.Restore(store)
		w.letters, w.alarms = maps.Clone(letters), maps.Clone(alarms)
	}
}

type fault int

const (
	none fault = iota
	failBefore
	failAfter
	crashBefore
	crashAfter
)

var errFault = errors.New("a fault")

// owner is a process that believes to own the partition. before is called with the number and name of each of its calls to
// the outside, and says what goes wrong with it.
type owner struct {
	*world
	before func(o *owner, number int, call string) fault
	calls  int
	end    context.CancelFunc // of the process
	quiet  int                // fetches in a row that found nothing
	raised int                // alarms
	moved  bool               // the row was not where it had left it
	stuck  error
}

// run lets an owner work until it has found nothing for a while, as often as it crashes in a new process.
func (w *world) run(before func(o *owner, number int, call string) fault) {
	w.t.Helper()
	o := &owner{world: w, before: before}
	for range 10 {
		ctx, cancel := context.WithCancel(w.t.Context())
		o.end = cancel
		h := posting.New(posting.Config{Store: o, Letters: o, Journal: o, Observer: o, Log: slog.New(slog.DiscardHandler)})
		for tries := 0; ctx.Err() == nil && tries < 20; tries++ {
			err := consumer.RunPartition(ctx, consumer.PartitionConfig{Log: slog.New(slog.DiscardHandler)}, memory{o}, h)
			if err == nil {
				w.t.Error("stopped without a reason")
			}
		}
		stuck := o.waitsFor()
		cancel()
		if left := o.waitsFor(); left != nil {
			w.t.Errorf("another's partition, and it waits for %v", left)
		}
		if o.quiet >= 5 || w.t.Failed() {
			if stuck != nil {
				w.t.Errorf("still stuck: %v", stuck)
			}
			return
		}
	}
	w.t.Fatalf("never done; stuck for %v", o.stuck)
}

// waitsFor is what the owner's partition waits for, once all is said.
func (o *owner) waitsFor() error {
	synctest.Wait()
	return o.stuck
}

// do makes one call to the outside.
func (o *owner) do(ctx context.Context, name string, call func() error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	number := o.calls
	if o.calls++; o.calls > 300 {
		o.t.Errorf("goes on for ever, stuck for %v", o.stuck)
		o.end()
	}
	f := none
	if o.before != nil {
		f = o.before(o, number, name)
	}
	if f == crashBefore {
		o.end()
		return errFault
	}
	if f == failBefore {
		return errFault
	}
	err := call()
	if f == crashAfter {
		o.end()
	}
	if f != none {
		return errFault
	}
	return err
}

func (o *owner) Migrate(ctx context.Context) error {
	return o.do(ctx, "migrate", func() error { return o.store.Migrate(ctx) })
}

func (o *owner) Begin(ctx context.Context, partition int32) (p posting.Place, err error) {
	o.moved = false
	err = o.do(ctx, "begin", func() (err error) { p, err = o.store.Begin(ctx, partition); return err })
	return p, err
}

func (o *owner) Place(ctx context.Context, partition int32) (p posting.Place, err error) {
	err = o.do(ctx, "place", func() (err error) { p, err = o.store.Place(ctx, partition); return err })
	return p, err
}

// Write sees to it that no batch counts as written before its dead letters are there.
func (o *owner) Write(ctx context.Context, b posting.Batch, settle func(context.Context, posting.Refused) error) error {
	return o.do(ctx, "write", func() error {
		if o.moved {
			o.t.Error("writes on although the row has moved")
		}
		err := o.store.Write(ctx, b, settle)
		o.moved = errors.Is(err, posting.ErrMoved)
		for offset := b.From.Next; offset < b.To.Next && err == nil; offset++ {
			if at := strconv.FormatInt(offset, 10); o.wanted[at] != o.letters[at] {
				o.t.Errorf("written up to %d, but the dead letter of %d is not there", b.To.Next, offset)
			}
		}
		return err
	})
}

func (o *owner) Bounds(ctx context.Context, partition int32) (start, end int64, err error) {
	err = o.do(ctx, "bounds", func() error { end = int64(len(o.journal)); return nil })
	return start, end, err
}

func (o *owner) Record(ctx context.Context, partition int32, offset int64) (r event.Record, found bool, err error) {
	err = o.do(ctx, "record", func() error { r, found = o.journal[offset], true; return nil })
	return r, found, err
}

func (o *owner) Publish(ctx context.Context, letters []event.Message) error {
	return o.do(ctx, "publish", func() error {
		for _, m := range letters {
			of := map[string]string{}
			for _, h := range m.Headers {
				of[h.Key] = string(h.Value)
			}
			o.letters[of["fc_offset"]] = event.Reason(of["fc_reason"])
		}
		return nil
	})
}

func (o *owner) Beginning(int32, posting.Place) {}
func (o *owner) Written(posting.Written)        {}
func (o *owner) Moved(int32)                    {}
func (o *owner) Stuck(_ int32, why error)       { o.stuck = why }
func (o *owner) Revoked(int32)                  {}

func (o *owner) Buried(letters []posting.Letter) {
	for _, l := range letters {
		o.alarms[strconv.FormatInt(l.Record.Offset, 10)] = true
		o.raised++
	}
}

// memory is the journal as consumer reads it.
type memory struct{ *owner }

func (m memory) Fetch(ctx context.Context, offset int64) (consumer.Fetched, error) {
	end := int64(len(m.journal))
	got := consumer.Fetched{End: end, Next: min(end, offset+int64(m.piece))}
	if offset < end {
		m.quiet = 0
		got.Records = slices.Clone(m.journal[offset:got.Next])
		return got, ctx.Err()
	}
	if m.quiet++; m.quiet >= 5 {
		m.end()
	}
	select {
	case <-ctx.Done():
		return got, ctx.Err()
	case <-time.After(500 * time.Millisecond):
		return got, nil
	}
}

func (m memory) Bounds(context.Context) (start, end int64, err error) {
	return 0, int64(len(m.journal)), nil
}

func (m memory) Committed(ctx context.Context) (broker.Offset, bool, error) {
	return broker.Offset{Offset: 1}, true, ctx.Err() // of no meaning to a ledger
}

func (m memory) Commit(context.Context, int64, string) error { return nil }
