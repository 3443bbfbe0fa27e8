package ledger

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/services/ledger/posting"
)

// contradict writes a grant into the journal that gives a person of an earlier one a coupon again, from another request.
func (w *world) contradict(p int) {
	w.t.Helper()
	i := slices.IndexFunc(w.facts[p], func(f fcfs.Fact) bool { return f.Granted != nil })
	f := w.facts[p][i]
	g := *f.Granted
	g.Sequence, g.Limit = 99_000, 100_000
	w.offset++
	f.Source.Offset, f.Granted = w.offset, &g
	_, at := w.bounds(int32(p))
	w.contradictions = append(w.contradictions, at)
	w.publish(p, f)
}

// A record that contradicts what is stored is a dead letter and an alarm, and stops nobody: neither those of its own batch
// nor later ones.
func TestService_UniqueViolation(t *testing.T) {
	for name, first := range map[string]func(w *world, begin func()){
		"of a batch": func(w *world, begin func()) {
			begin()
			w.grow(100)
			w.caughtUp()
			w.contradict(0)
			w.grow(100)
		},
		"within one batch": func(w *world, begin func()) {
			w.grow(100)
			w.contradict(0)
			w.grow(100)
			begin()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, coupontest.Start(t, journalServers...), 2)
			var l logs
			var s *Service
			first(w, func() { s, _ = w.start(&l, nil) })
			w.caughtUp()
			w.grow(100)
			w.caughtUp()
			w.exact()
			w.violated(s, &l, w.contradictions...)
		})
	}
}

// violated sees to it that just these records of partition 0 became dead letters, and alarms, and that all goes on.
func (w *world) violated(s *Service, l *logs, offsets ...int64) {
	w.t.Helper()
	want := map[string]string{}
	for _, at := range offsets {
		want[fmt.Sprintf("0/%d", at)] = "unique_violation"
	}
	if got := w.letters(); fmt.Sprint(got) != fmt.Sprint(want) {
		w.t.Errorf("dead letters %v, not %v", got, want)
	}
	if got := l.alarms(); len(got) != 1 || !strings.Contains(got[0], "contradicts") {
		w.t.Errorf("alarms: %v", got)
	}
	if got := s.metric("unique_violation"); got != float64(len(offsets)) {
		w.t.Errorf("the metric says %v", got)
	}
	if got := s.Ready(); len(got) > 0 {
		w.t.Errorf("waits for %v", got)
	}
}

// meddledStore is one that somebody else writes to, once, between the reading of a batch and its transaction.
type meddledStore struct {
	posting.Store
	once   sync.Once
	meddle func()
}

func (m *meddledStore) Write(ctx context.Context, b posting.Batch, settle func(context.Context, posting.Refused) error) error {
	m.once.Do(m.meddle)
	return m.Store.Write(ctx, b, settle)
}

// Contradicting rows come into the tables while their records are on the way: a definition's as well as a grant's.
func TestService_ContradictedMeanwhile(t *testing.T) {
	w := newWorld(t, coupontest.Start(t, journalServers...), 1)
	w.grow(50)
	var facts []fcfs.Fact
	for _, f := range []fcfs.Fact{
		{Defined: &fcfs.Definition{CouponID: "stray", Limit: 5, Window: fcfs.WindowNone, TimeZone: "UTC", Rules: 1}},
		{Granted: &fcfs.GrantFact{CouponID: "stray", UserID: "una", Sequence: 1, Limit: 5}},
	} {
		w.offset++
		f.Source.Offset, f.RequestedAt, f.LogTime = w.offset, fcfs.FromTime(noon), fcfs.FromTime(noon)
		facts = append(facts, f)
	}
	_, at := w.bounds(0)
	w.publish(0, facts...)
	w.grow(50)
	var l logs
	s, _ := w.start(&l, func(s *Service) {
		s.posting.Store = &meddledStore{Store: s.posting.Store, meddle: func() {
			w.exec(fmt.Sprintf(`INSERT INTO definitions VALUES (0, %d, 'stray', 6, 'none', 'UTC', NULL, NULL, 1, now(), now())`, facts[0].Source.Offset))
			w.exec(`INSERT INTO grants VALUES (9, 1, gen_random_uuid(), 'stray', 'una', '', 2, 6, now(), now())`)
		}}
	})
	w.caughtUp()
	w.grow(50)
	w.caughtUp()
	w.exec(`DELETE FROM grants WHERE source_partition = 9`)
	w.exact()
	w.violated(s, &l, at, at+1)
}
