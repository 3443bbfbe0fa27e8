package ledger

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/ledger/posting"
)

var journalServers = []coupontest.Need{coupontest.Kafka, coupontest.Postgres}

// Ledgers come and go while the journal grows, full of duplicates: Postgres has each fact once.
func TestService_Exact(t *testing.T) {
	checkLeaks(t, journalServers...)
	w := newWorld(t, coupontest.Start(t, journalServers...), 3)
	var l logs
	w.grow(200)
	_, stopFirst := w.start(&l, nil)
	w.caughtUp()
	w.start(&l, nil)
	w.grow(200)
	w.caughtUp()
	w.start(&l, nil)
	w.grow(100)
	stopFirst()
	w.grow(200)
	w.caughtUp()
	w.exact()
	if got := l.alarms(); len(got) > 0 {
		t.Errorf("alarms: %v", got)
	}
	if got := w.letters(); len(got) > 0 {
		t.Errorf("dead letters: %v", got)
	}
	w.committed()
}

// committed waits until the group's offsets, which lag tools look at, are the journal's ends.
func (w *world) committed() {
	for p := range w.logs {
		_, end := w.bounds(int32(p))
		eventually(w.t, "the group's offset", func() bool {
			at, ok, err := w.client.Committed(w.t.Context(), w.servers.TopicPrefix+group, w.grants, int32(p))
			return err == nil && ok && at.Offset == end && strings.HasPrefix(at.Metadata, "source=")
		})
	}
}

// Two ledgers that both believe to own everything, for the whole time.
func TestService_TwoOwners(t *testing.T) {
	w := newWorld(t, coupontest.Start(t, journalServers...), 2)
	var l logs
	for _, name := range []string{"one", "two"} {
		w.start(&l, func(s *Service) { s.group = w.servers.TopicPrefix + name })
	}
	for range 5 {
		w.grow(60)
		w.caughtUp()
	}
	w.exact()
	if got := l.alarms(); len(got) > 0 {
		t.Errorf("alarms: %v", got)
	}
	if got := w.letters(); len(got) > 0 {
		t.Errorf("dead letters: %v", got)
	}
}

// unknownStop is an issuer of the future's record.
var unknownStop = "firstcome.coupon.stopped"

// Records that cannot be read, do not belong, or are of a later time: the others go on, nothing is lost.
func TestService_BadRecords(t *testing.T) {
	w := newWorld(t, coupontest.Start(t, journalServers...), 2)
	var l logs
	s, _ := w.start(&l, nil)
	w.grow(50)
	good := func(change func(*event.Message)) event.Message {
		f := w.facts[0][0]
		w.offset++
		f.Source.Offset = w.offset
		m := message(t, w.requests, f)
		change(&m)
		return m
	}
	header := func(m *event.Message, key, value string) {
		for i := range m.Headers {
			if m.Headers[i].Key == key {
				m.Headers[i].Value = []byte(value)
			}
		}
	}
	_, at := w.bounds(0)
	want := map[string]string{}
	for _, c := range []struct {
		reason string // none: passed over
		m      event.Message
	}{
		{"not_cloudevent", event.Message{Value: []byte("garbage")}},
		{"not_cloudevent", event.Message{}},
		{"malformed", good(func(m *event.Message) { m.Value = nil })},
		{"malformed", good(func(m *event.Message) { m.Value = m.Value[1:] })},
		{"invalid", good(func(m *event.Message) { m.Value = []byte("{}") })},
		{"invalid", good(func(m *event.Message) { m.Key = []byte("other") })},
		{"", good(func(m *event.Message) { header(m, "ce_type", unknownStop) })},
		{"", good(func(m *event.Message) { header(m, "ce_type", event.TypeClaimRequested) })},
		{"wrong_partition", message(t, w.requests, w.facts[1][0])},
		{"unsupported_rules", good(func(m *event.Message) {
			m.Value = []byte(strings.Replace(string(m.Value), `"rules":1`, `"rules":2`, 1))
		})},
	} {
		w.send(0, c.m)
		if c.reason != "" {
			want[fmt.Sprintf("0/%d", at)] = c.reason
		}
		at++
	}
	w.grow(50)
	w.caughtUp()
	w.exact()
	if got := w.letters(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("dead letters\n%v, not\n%v", got, want)
	}
	if got := l.alarms(); len(got) != 1 || !strings.Contains(got[0], "cannot be read") {
		t.Errorf("alarms: %v", got)
	}
	eventually(t, "both kinds are counted", func() bool { return s.metric("unknown") == 2 && s.metric("malformed") == 2 })
	later := good(func(m *event.Message) { header(m, "ce_type", unknownStop) })
	w.send(0, later, later) // the last of all, and once more by a former owner
	_, end := w.bounds(0)
	eventually(t, "the row moves over what only a newer ledger can read", func() bool {
		at, err := w.store.Place(t.Context(), 0)
		return err == nil && at.Next == end && at.HighestSource == w.offset
	})
	eventually(t, "a duplicate is none of them", func() bool { return s.metric("unknown") == 3 })
	if told := l.count("is it older than the issuer"); told != 2 {
		t.Errorf("told %d times of 2 unknown types", told)
	}
}

// flaky fails a call once: before it was done, or after.
type flaky struct {
	posting.Store
	posting.Letters
	posting.Journal
	call      string
	skip      int32 // calls that succeed before
	persisted bool
	failed    atomic.Bool
	calls     atomic.Int32
}

func (f *flaky) run(call string, do func() error) error {
	if call != f.call || f.calls.Add(1) <= f.skip || f.failed.Swap(true) {
		return do()
	}
	if f.persisted {
		if err := do(); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s failed", call)
}

func (f *flaky) Begin(ctx context.Context, partition int32) (p posting.Place, err error) {
	err = f.run("begin", func() (err error) { p, err = f.Store.Begin(ctx, partition); return err })
	return p, err
}

func (f *flaky) Place(ctx context.Context, partition int32) (p posting.Place, err error) {
	err = f.run("place", func() (err error) { p, err = f.Store.Place(ctx, partition); return err })
	return p, err
}

func (f *flaky) Write(ctx context.Context, b posting.Batch, settle func(context.Context, posting.Refused) error) error {
	return f.run("write", func() error { return f.Store.Write(ctx, b, settle) })
}

func (f *flaky) Bounds(ctx context.Context, partition int32) (start, end int64, err error) {
	err = f.run("bounds", func() (err error) { start, end, err = f.Journal.Bounds(ctx, partition); return err })
	return start, end, err
}

func (f *flaky) Publish(ctx context.Context, letters []event.Message) error {
	return f.run("publish", func() error { return f.Letters.Publish(ctx, letters) })
}

// Each call to the outside fails once, before and after it had its effect.
func TestService_EachCallFails(t *testing.T) {
	for _, call := range []string{"begin", "bounds", "write", "write later", "publish", "place"} {
		for _, persisted := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, persisted %v", call, persisted), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, coupontest.Start(t, journalServers...), 1)
				f := &flaky{call: call, persisted: persisted}
				if call == "write later" {
					f.call, f.skip = "write", 1
				}
				w.grow(60)
				w.contradict(0)
				w.send(0, event.Message{Value: []byte("garbage")})
				var l logs
				w.start(&l, func(s *Service) {
					f.Store, f.Letters, f.Journal = s.posting.Store, s.posting.Letters, s.posting.Journal
					s.posting.Store, s.posting.Letters, s.posting.Journal = f, f, f
				})
				w.caughtUp()
				w.grow(60)
				w.caughtUp()
				eventually(t, call+" has failed", func() bool { return f.failed.Load() })
				w.grow(10)
				w.caughtUp()
				w.exact()
				if got := w.letters(); len(got) != 2 {
					t.Errorf("dead letters: %v", got)
				}
			})
		}
	}
}
