package postgres

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/ledger/posting"
)

func TestWrite(t *testing.T) {
	checkLeaks(t)
	s := newStore(t)
	at := begin(t, s, 3)
	if !at.Equal(posting.Place{HighestSource: -1}) {
		t.Fatalf("a new partition begins at %+v", at)
	}
	d := definition(3, 0, "tea")
	d.OpensAt = noon
	grants := []event.CouponGranted{
		grant(3, 1, "tea", "ada", "", 1),
		grant(3, 2, "tea", "Zoë, 'the' \"one\"", "", 2),
		grant(3, 5, "day", "ada", "2026-11-22", 1),
		grant(3, 1<<48-1, "day", strings.Repeat("💐", 50), "2026-11-23", 1),
	}
	to := write(t, s, batch(3, at, []event.CouponDefined{d}, grants...))
	if got := begin(t, s, 3); !got.Equal(to) {
		t.Errorf("the row is at %+v, not %+v", got, to)
	}
	got, err := s.Grants(t.Context(), Filter{Limit: 10})
	slices.SortFunc(got, func(a, b event.CouponGranted) int { return int(a.Source.Offset - b.Source.Offset) })
	if err != nil || !slices.Equal(got, grants) {
		t.Errorf("got %+v, %v", got, err)
	}
	c, err := s.Coupon(t.Context(), "tea")
	if err != nil || len(c.Definitions) != 1 || *c.Definitions[0].Source != *d.Source {
		t.Fatalf("got %+v, %v", c, err)
	}
	c.Definitions[0].Source = d.Source
	if c.Definitions[0] != d || !slices.Equal(c.Windows, []Window{{Granted: 2, First: grants[0].RequestedAt, Last: grants[1].RequestedAt}}) {
		t.Errorf("got %+v", c)
	}
}

// Whoever comes with another place than the row's changes nothing, whatever the batch holds: not even a unique violation
// comes to light.
func TestWrite_Moved(t *testing.T) {
	s := newStore(t)
	at := write(t, s, batch(0, begin(t, s, 0), nil, grant(0, 1, "tea", "ada", "", 1)))
	before := stored(t, s)
	for name, from := range map[string]posting.Place{
		"behind":            {HighestSource: -1},
		"ahead":             {Next: at.Next + 1, HighestSource: at.HighestSource, Last: at.Last},
		"another highest":   {Next: at.Next, HighestSource: at.HighestSource + 1, Last: at.Last},
		"another last time": {Next: at.Next, HighestSource: at.HighestSource, Last: &posting.Mark{Offset: at.Last.Offset, Time: noon}},
		"no last":           {Next: at.Next, HighestSource: at.HighestSource},
	} {
		t.Run(name, func(t *testing.T) {
			b := batch(0, from, []event.CouponDefined{definition(0, 7, "tea")}, grant(0, 8, "tea", "ada", "", 1), grant(0, 9, "tea", "bob", "", 2))
			err := s.Write(t.Context(), b, func(context.Context, posting.Refused) error {
				t.Error("asked to settle")
				return nil
			})
			if !errors.Is(err, posting.ErrMoved) {
				t.Errorf("got %v", err)
			}
			if after := stored(t, s); after != before {
				t.Errorf("changed to\n%s", after)
			}
		})
	}
	t.Run("no row", func(t *testing.T) {
		if err := s.Write(t.Context(), batch(1, at, nil), accept); !errors.Is(err, posting.ErrMoved) {
			t.Errorf("got %v", err)
		}
	})
}

func TestWrite_UniqueViolation(t *testing.T) {
	old := grant(0, 1, "tea", "ada", "", 1)
	changed := func(change func(*event.CouponGranted)) event.CouponGranted {
		g := old
		change(&g)
		return g
	}
	for _, c := range []struct {
		name    string
		grant   event.CouponGranted
		refused bool
	}{
		{"the same record again", old, false},
		{"the same person, another source", grant(0, 2, "tea", "ada", "", 2), true},
		{"the same sequence, another source", grant(0, 2, "tea", "bob", "", 1), true},
		{"the same source, another person", changed(func(g *event.CouponGranted) { g.UserID = "bob"; g.Sequence = 2 }), true},
		{"the same source, another time", changed(func(g *event.CouponGranted) { g.RequestedAt = noon.AddDate(0, 0, 1) }), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			checkLeaks(t)
			s := newStore(t)
			at := write(t, s, batch(0, begin(t, s, 0), nil, old))
			var settled []posting.Refused
			b := batch(0, at, []event.CouponDefined{definition(0, 20, "tea")}, grant(0, 21, "tea", "eve", "", 3), c.grant, grant(0, 23, "tea", "kim", "", 4))
			err := s.Write(t.Context(), b, func(_ context.Context, r posting.Refused) error {
				settled = append(settled, r)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(settled) != 1 || (len(settled[0]) == 1) != c.refused || c.refused && settled[0][0] != c.grant.Source {
				t.Errorf("settled %v", settled)
			}
			got, err := s.Grants(t.Context(), Filter{Limit: 10})
			want := []event.CouponGranted{old, b.Grants[0], b.Grants[2]}
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("got %+v, %v", got, err)
			}
			if c, err := s.Coupon(t.Context(), "tea"); err != nil || c.Windows[0].Granted != 3 || len(c.Definitions) != 1 {
				t.Errorf("got %+v, %v", c, err)
			}
			if got := begin(t, s, 0); !got.Equal(b.To) {
				t.Errorf("the row is at %+v", got)
			}
		})
	}
	t.Run("within one batch", func(t *testing.T) {
		s := newStore(t)
		var refused posting.Refused
		b := batch(0, begin(t, s, 0), nil, grant(0, 1, "tea", "ada", "", 1), grant(0, 2, "tea", "ada", "", 2))
		err := s.Write(t.Context(), b, func(_ context.Context, r posting.Refused) error { refused = r; return nil })
		if err != nil || !slices.Equal(refused, posting.Refused{{Partition: 0, Offset: 2}}) {
			t.Errorf("refused %v, %v", refused, err)
		}
	})
}

func TestWrite_DefinitionAgain(t *testing.T) {
	s := newStore(t)
	old := definition(0, 1, "tea")
	at := write(t, s, batch(0, begin(t, s, 0), []event.CouponDefined{old}))
	other := definition(0, 1, "tea")
	other.Limit = 7
	var refused posting.Refused
	settle := func(_ context.Context, r posting.Refused) error { refused = r; return nil }
	for _, c := range []struct {
		again event.CouponDefined
		want  int
	}{{old, 0}, {other, 1}} {
		b := batch(0, at, []event.CouponDefined{c.again, definition(0, at.Next+10, "tea")})
		if err := s.Write(t.Context(), b, settle); err != nil || len(refused) != c.want {
			t.Errorf("refused %v, %v", refused, err)
		}
		at = b.To
	}
	if c, err := s.Coupon(t.Context(), "tea"); err != nil || len(c.Definitions) != 3 || c.Definitions[0].Limit != old.Limit {
		t.Errorf("got %+v, %v", c, err)
	}
}

// The row is locked before it is compared: who comes second waits, and finds it moved, even with nothing to write that any
// other rule would refuse.
func TestWrite_WaitsForTheRow(t *testing.T) {
	checkLeaks(t)
	url := newDatabase(t)
	first, second := open(t, url), open(t, url)
	at := begin(t, first, 0)
	done := make(chan error, 1)
	err := first.Write(t.Context(), batch(0, at, nil, grant(0, 1, "tea", "ada", "", 1), grant(0, 2, "tea", "bob", "", 2)), func(context.Context, posting.Refused) error {
		go func() {
			b := posting.Batch{From: at, To: posting.Place{Next: 1, HighestSource: -1}} // a record of an unknown type, say
			done <- second.Write(t.Context(), b, func(context.Context, posting.Refused) error {
				t.Error("asked to settle")
				return nil
			})
		}()
		until(t, first, `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database())`)
		return nil
	})
	if second := <-done; err != nil || !errors.Is(second, posting.ErrMoved) {
		t.Errorf("the first: %v, the second: %v", err, second)
	}
	if got := begin(t, first, 0); got.Next != 2 {
		t.Errorf("the row is at %+v", got)
	}
}

// What contradicts comes to light after the row was locked and compared: somebody else's transaction is under way then. Its
// end decides whether the record is refused.
func TestWrite_ContradictedMeanwhile(t *testing.T) {
	for end, refused := range map[string]posting.Refused{"COMMIT": {{Partition: 0, Offset: 2}}, "ROLLBACK": nil} {
		t.Run(end, func(t *testing.T) {
			checkLeaks(t)
			s := newStore(t)
			at := begin(t, s, 0)
			other, err := s.write.Acquire(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer other.Release()
			stray := grant(5, 7, "tea", "bob", "", 9)
			exec := func(sql string) {
				if _, err := other.Exec(t.Context(), sql); err != nil {
					t.Fatal(err)
				}
			}
			exec(`BEGIN`)
			if _, err := other.CopyFrom(t.Context(), pgx.Identifier{"grants"}, grantColumns, newGrantRows([]event.CouponGranted{stray})); err != nil {
				t.Fatal(err)
			}
			b := batch(0, at, []event.CouponDefined{definition(0, 0, "tea")}, grant(0, 1, "tea", "ada", "", 1), grant(0, 2, "tea", "bob", "", 2), grant(0, 3, "tea", "eve", "", 3))
			done := make(chan error, 1)
			var settled posting.Refused
			go func() {
				done <- s.Write(t.Context(), b, func(_ context.Context, r posting.Refused) error { settled = r; return nil })
			}()
			until(t, s, `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'copy "grants"%' AND datname = current_database())`)
			exec(end)
			if err := <-done; err != nil || !slices.Equal(settled, refused) {
				t.Fatalf("refused %v, %v", settled, err)
			}
			got, err := s.Grants(t.Context(), Filter{Limit: 10})
			if err != nil || len(got) != 3 || !slices.Contains(got, b.Grants[0]) || !slices.Contains(got, b.Grants[2]) {
				t.Errorf("got %+v, %v", got, err)
			}
			if got := begin(t, s, 0); !got.Equal(b.To) {
				t.Errorf("the row is at %+v", got)
			}
		})
	}
}

// What settle refuses is rolled back, all of it, and settle sees nothing committed.
func TestWrite_SettleFails(t *testing.T) {
	s := newStore(t)
	at := begin(t, s, 0)
	before := stored(t, s)
	broken := errors.New("broken")
	err := s.Write(t.Context(), batch(0, at, nil, grant(0, 1, "tea", "ada", "", 1)), func(context.Context, posting.Refused) error {
		if now := stored(t, s); now != before {
			t.Errorf("committed before it was settled:\n%s", now)
		}
		return broken
	})
	if !errors.Is(err, broken) || stored(t, s) != before {
		t.Errorf("got %v and\n%s", err, stored(t, s))
	}
}

// Two ledgers that believe to own the same partition write in turns and against each other; every batch lands once.
func TestWrite_TwoOwners(t *testing.T) {
	checkLeaks(t)
	url := newDatabase(t)
	const grants, each = 200, 5
	own := func(s *Store) error {
		at, err := s.Begin(t.Context(), 0)
		for err == nil && at.Next < grants {
			var run []event.CouponGranted
			for n := at.Next; n < min(at.Next+each, grants); n++ {
				run = append(run, grant(0, n, "tea", string(rune('a'+n)), "", n+1))
			}
			b := batch(0, at, nil, run...)
			err = s.Write(t.Context(), b, accept)
			at = b.To
			if errors.Is(err, posting.ErrMoved) {
				at, err = s.Begin(t.Context(), 0)
			}
		}
		return err
	}
	a, b := open(t, url), open(t, url)
	done := make(chan error, 2)
	go func() { done <- own(a) }()
	go func() { done <- own(b) }()
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	var n, last int
	err := a.write.QueryRow(t.Context(), `SELECT count(*), max(sequence) FROM grants`).Scan(&n, &last)
	if err != nil || n != grants || last != grants {
		t.Errorf("%d grants up to %d, %v", n, last, err)
	}
	if c, err := a.Coupon(t.Context(), "tea"); err != nil || c.Windows[0].Granted != grants {
		t.Errorf("got %+v, %v", c.Windows, err)
	}
}

func TestPlace_NoRow(t *testing.T) {
	s := newStore(t)
	if _, err := s.Place(t.Context(), 5); !errors.Is(err, posting.ErrMoved) {
		t.Errorf("got %v", err)
	}
	if _, err := s.write.Exec(t.Context(), `DROP TABLE ledger_offsets`); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Place(t.Context(), 5); !errors.Is(err, posting.ErrOutdated) || !IsUnavailable(err) {
		t.Errorf("got %v", err)
	}
}

func TestGrantRows_BadID(t *testing.T) {
	for _, id := range []string{"", "not a uuid", "0123456789012345678901234567890123456", "zzzzzzzz-0000-8000-8000-000000000000", "00000000000000000000000000000000000-"} {
		g := grant(0, 1, "tea", "ada", "", 1)
		g.GrantID = id
		rows := newGrantRows([]event.CouponGranted{g})
		if rows.Next() || rows.Err() == nil {
			t.Errorf("%q was taken", id)
		}
		if _, err := grantArrays([]event.CouponGranted{g}); err == nil {
			t.Errorf("%q was taken", id)
		}
	}
	if got := formatUUID(mustUUID(t, "0192f0c1-2b3c-8d4e-9f50-6172839405a6")); got != "0192f0c1-2b3c-8d4e-9f50-6172839405a6" {
		t.Error(got)
	}
}

func mustUUID(t testing.TB, s string) [16]byte {
	t.Helper()
	id, err := parseUUID(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

var _ pgx.CopyFromSource = (*grantRows)(nil)
