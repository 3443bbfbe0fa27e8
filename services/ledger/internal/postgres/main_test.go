package postgres

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/ledger/posting"
)

func TestMain(m *testing.M) { coupontest.Main(m) }

// checkLeaks fails a test that leaves a goroutine of this package's or of the driver's behind.
func checkLeaks(t testing.TB) {
	coupontest.Start(t, coupontest.Postgres) // the server itself stays
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}

// newStore is a store on a migrated database of the test's own.
func newStore(t testing.TB) *Store {
	t.Helper()
	return open(t, newDatabase(t))
}

func newDatabase(t testing.TB) string {
	t.Helper()
	return coupontest.Start(t, coupontest.Postgres).DatabaseFrom(t, "ledger", func(ctx context.Context, url string) error {
		s, err := New(url)
		if err != nil {
			return err
		}
		defer s.Close()
		return s.Migrate(ctx)
	})
}

func open(t testing.TB, url string) *Store {
	t.Helper()
	s, err := New(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func begin(t testing.TB, s *Store, partition int32) posting.Place {
	t.Helper()
	p, err := s.Begin(t.Context(), partition)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, int(7*time.Millisecond), time.UTC)

func grant(partition int32, offset int64, couponID, userID, window string, sequence int64) event.CouponGranted {
	source := event.Source{Partition: partition, Offset: offset}
	return event.CouponGranted{
		GrantID:  fcfs.GrantID(event.TopicRequests, fcfs.Source(source)),
		CouponID: couponID, UserID: userID, Window: window, Sequence: sequence, Limit: 1000,
		RequestedAt: noon.Add(time.Duration(offset%1e6) * time.Millisecond), LogTime: noon.Add(time.Duration(offset%1e6+1) * time.Millisecond),
		Source: source,
	}
}

func definition(partition int32, offset int64, couponID string) event.CouponDefined {
	return event.CouponDefined{
		CouponID: couponID, Limit: 1000, Window: event.WindowNone, TimeZone: "Asia/Seoul", ClosesAt: noon.Add(time.Hour), Rules: 1,
		RequestedAt: noon, LogTime: noon, Source: &event.Source{Partition: partition, Offset: offset},
	}
}

// batch continues at from with these records; the journal has one record for each.
func batch(partition int32, from posting.Place, definitions []event.CouponDefined, grants ...event.CouponGranted) posting.Batch {
	to := posting.Place{Next: from.Next + int64(len(definitions)+len(grants)), HighestSource: from.HighestSource, Last: from.Last}
	take := func(s event.Source, at time.Time) {
		to.HighestSource = max(to.HighestSource, s.Offset)
		to.Last = &posting.Mark{Offset: to.Next - 1, Time: at}
	}
	for _, d := range definitions {
		take(*d.Source, d.RequestedAt)
	}
	for _, g := range grants {
		take(g.Source, g.RequestedAt)
	}
	return posting.Batch{Partition: partition, From: from, To: to, Definitions: definitions, Grants: grants}
}

// accept settles a batch that must have nothing refused.
func accept(_ context.Context, refused posting.Refused) error {
	if len(refused) > 0 {
		return fmt.Errorf("refused: %v", refused)
	}
	return nil
}

func write(t testing.TB, s *Store, b posting.Batch) posting.Place {
	t.Helper()
	if err := s.Write(t.Context(), b, accept); err != nil {
		t.Fatal(err)
	}
	return b.To
}

// stored is everything that the tables hold, as text.
func stored(t testing.TB, s *Store) string {
	t.Helper()
	var all string
	for _, table := range []string{"ledger_offsets", "definitions", "grants", "coupon_windows"} {
		var rows string
		err := s.write.QueryRow(t.Context(), `SELECT coalesce(string_agg(t::text, E'\n' ORDER BY t::text COLLATE "C"), '') FROM `+table+` t`).Scan(&rows)
		if err != nil {
			t.Fatal(err)
		}
		all += table + "\n" + rows + "\n"
	}
	return all
}
