package posting_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/ledger/posting"
	"github.com/firstcome/firstcome/services/ledger/posting/postingtest"
)

const half = 7 // entries of the story

// forEachCall tells the story again and again, record by record, in pieces and at once, to a ledger that is new and to one
// that had come half way: each time something happens at the next call to the outside, until there is none any more.
func forEachCall(t *testing.T, try func(t *testing.T, w *world, at int, what string) (reached bool)) {
	for _, piece := range []int{1, 3, 100} {
		for _, beginning := range []string{"new", "half way"} {
			name := fmt.Sprintf("%s, %d records at once", beginning, piece)
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					at := 0
					for reached := true; reached && !t.Failed(); at++ {
						w := newWorld(t, piece)
						if beginning == "half way" {
							w.append(story[:half]...)
							w.run(nil)
						}
						w.append(story[len(w.journal):]...)
						reached = try(t, w, at, fmt.Sprintf("call %d", at))
					}
					if at < 6 {
						t.Errorf("only %d calls", at)
					}
				})
			})
		}
	}
}

// Each call to the outside fails twice, once before and once after it took effect, and the process crashes before and after
// it. Each entry is stored once, exactly what contradicts or cannot be read is a dead letter, and none goes without its
// alarm.
func TestHandler_EachCallFails(t *testing.T) {
	seen := map[string]bool{}
	forEachCall(t, func(t *testing.T, w *world, at int, what string) (reached bool) {
		again := w.saved()
		for _, f := range []fault{failBefore, failAfter, crashBefore, crashAfter} {
			again()
			w.run(func(_ *owner, number int, call string) fault {
				if number != at {
					return none
				}
				reached, seen[call] = true, true
				return f
			})
			w.exact(fmt.Sprintf("%s, fault %d", what, f))
		}
		return reached
	})
	for _, call := range []string{"migrate", "begin", "bounds", "record", "write", "publish", "place"} {
		if !seen[call] {
			t.Errorf("%s is never called", call)
		}
	}
}

// Before each call, those of an idle ledger included, the store is as it once was: everything comes back.
func TestHandler_StoreRestored(t *testing.T) {
	fresh := postingtest.NewStore()
	forEachCall(t, func(t *testing.T, w *world, at int, what string) (reached bool) {
		again, older := w.saved(), w.store.Backup()
		for name, backup := range map[string]postingtest.Backup{"older": older, "empty": fresh.Backup(), "without schema": {}} {
			again()
			w.run(func(_ *owner, number int, _ string) fault {
				if number == at {
					w.store.Restore(backup)
					reached = true
				}
				return none
			})
			w.exact(what + ", " + name)
		}
		return reached
	})
}

// Before each call the owner is paused: another one comes, and goes further than the journal went. What the paused one then
// does changes nothing, and where it had not yet locked the row it alarms nobody; it goes on from where the other one was.
func TestHandler_Paused(t *testing.T) {
	further := []entry{{fact: grant(20, "una", 8)}, {fact: grant(21, "ada", 9), letter: story[5].letter}, {fact: grant(22, "ida", 10)}}
	forEachCall(t, func(t *testing.T, w *world, at int, what string) (reached bool) {
		var stored postingtest.Backup
		raised := -1 // alarms of the paused one, when it has no right to more
		w.run(func(o *owner, number int, call string) fault {
			if number != at {
				if raised >= 0 && o.raised != raised {
					t.Errorf("%s: the paused owner raises an alarm", what)
				}
				return none
			}
			reached = true
			w.append(further...)
			w.run(nil)
			w.exact(what + ", the other owner")
			stored = w.store.Backup()
			if call == "write" {
				raised = o.raised
			}
			return none
		})
		if reached {
			w.exact(what)
			if !w.store.Backup().Equal(stored) {
				t.Errorf("%s: the paused owner has changed something", what)
			}
		}
		return reached
	})
}

// A journal that is not the one that the row was reached in, or has a hole, is not read on.
func TestHandler_AnotherJournal(t *testing.T) {
	at := time.UnixMilli(1e12).UTC()
	for _, c := range []struct {
		name       string
		start, end int64
		last       *posting.Mark
		time       time.Time // of the record at last
		lost       bool      // there is no record at last
		says       string    // none: all is well
	}{
		{name: "a new one", last: nil},
		{name: "as it was", end: 10, last: &posting.Mark{Offset: 9, Time: at}, time: at},
		{name: "longer", end: 99, last: &posting.Mark{Offset: 9, Time: at}, time: at},
		{name: "cut off, but only what was written", start: 10, end: 12, last: &posting.Mark{Offset: 9, Time: at}, lost: true},
		{name: "a hole", start: 11, end: 12, last: &posting.Mark{Offset: 9, Time: at}, says: "has lost its records from offset 10 to 10"},
		{name: "shorter", end: 9, last: &posting.Mark{Offset: 9, Time: at}, says: "ends at offset 9"},
		{name: "another record", end: 10, last: &posting.Mark{Offset: 9, Time: at}, time: at.Add(time.Millisecond), says: "is not the one that was written"},
		{name: "no record", end: 10, last: &posting.Mark{Offset: 9, Time: at}, lost: true, says: "is not the one that was written"},
	} {
		t.Run(c.name, func(t *testing.T) {
			place := posting.Place{HighestSource: -1}
			if c.last != nil {
				place = posting.Place{Next: 10, HighestSource: 30, Last: c.last}
			}
			h := posting.New(posting.Config{Store: placed{place: place}, Journal: span{c.start, c.end, c.time, c.lost}})
			_, err := h.Assigned(t.Context(), 0)
			if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A table that is gone though the schema's version says otherwise is told and tried again with growing waits, like any other
// error: beginning again would not help.
func TestHandler_MigratingDoesNotHelp(t *testing.T) {
	store := broken{Store: postingtest.NewStore()}
	h := posting.New(posting.Config{Store: store, Journal: span{end: 9}})
	err := h.Handle(t.Context(), consumer.Batch{Next: 1, HighestSource: -1})
	if !errors.Is(err, posting.ErrOutdated) || errors.Is(err, consumer.ErrReassign) {
		t.Errorf("got %v", err)
	}
}

type broken struct{ *postingtest.Store }

func (broken) Write(context.Context, posting.Batch, func(context.Context, posting.Refused) error) error {
	return posting.ErrOutdated
}

type placed struct {
	posting.Store
	place posting.Place
}

func (p placed) Begin(context.Context, int32) (posting.Place, error) { return p.place, nil }

// span is a journal of which only so much is asked.
type span struct {
	start, end int64
	time       time.Time
	lost       bool
}

func (s span) Bounds(context.Context, int32) (start, end int64, err error) {
	return s.start, s.end, nil
}

func (s span) Record(_ context.Context, _ int32, offset int64) (event.Record, bool, error) {
	return event.Record{Offset: offset, Time: s.time}, !s.lost, nil
}
