package downstream

import (
	"fmt"
	"testing"

	"github.com/firstcome/firstcome/pkg/event"
)

// The program is killed 50 times while people ask, each time in the middle of a transaction: first it is alone, then it is
// one of three that all read the whole journal into the same table.
func TestExactlyOnce(t *testing.T) {
	t.Parallel()
	s := newSale(t, 20)
	k := newKilling(t, s)
	stop := s.load(t, 4)
	for range 30 {
		k.kill(k.start())
	}
	three := []*writer{k.start(), k.start(), k.start()}
	for n := range 20 {
		k.kill(three[n%3])
		three[n%3] = k.start()
	}
	stop()
	k.finish(three...)
}

// In a group each process has partitions of its own. What a killed one had is the others' once its session has ended, six
// seconds later.
func TestExactlyOnce_Group(t *testing.T) {
	t.Parallel()
	s := newSale(t, 20)
	k := newKilling(t, s, "-group", s.TopicPrefix+"exactlyonce")
	stop := s.load(t, 1)
	two := k.startTwo()
	k.kill(two[0])
	k.kill(two[1])
	two = k.startTwo()
	k.kill(two[0])
	stop()
	k.finish(two[1])
}

// A database that was restored from its backup catches up, though nobody asks any more.
func TestExactlyOnce_Restored(t *testing.T) {
	t.Parallel()
	s := newSale(t, 3)
	k := newKilling(t, s)
	p := k.start()
	ask := func(from, to int) {
		for n := from; n < to; n++ {
			s.ask(t, s.coupons[n%3], fmt.Sprint("user-", n))
		}
		k.caughtUp(to)
	}
	ask(0, 10)
	k.exec(`CREATE TABLE owners_then AS TABLE owners`, `CREATE TABLE offsets_then AS TABLE journal_offsets`)
	ask(10, 30)
	k.exec(`TRUNCATE owners, journal_offsets`,
		`INSERT INTO owners OVERRIDING SYSTEM VALUE TABLE owners_then`, `INSERT INTO journal_offsets TABLE offsets_then`)
	k.finish(p)
}

// A late batch of an issuer that owned the partition before stands in the journal once more. It is told by its source, also
// by a process that was not there when it came the first time.
func TestExactlyOnce_LateBatch(t *testing.T) {
	t.Parallel()
	s := newSale(t, 3)
	k := newKilling(t, s)
	p := k.start()
	for n := range 30 {
		s.ask(t, s.coupons[n%3], fmt.Sprint("user-", n))
	}
	k.caughtUp(30)
	p.stop(t)
	s.again(t, s.journal(t))
	s.ask(t, s.coupons[0], "last")
	k.finish(k.start())
}

// What finish holds a table against is the journal: it must see each way in which they can differ.
func TestDifferences(t *testing.T) {
	grant := func(id string) event.CouponGranted { return event.CouponGranted{GrantID: id, UserID: "user of " + id} }
	journal := [][]event.CouponGranted{{grant("a"), grant("b"), grant("c")}, {grant("x"), grant("y")}}
	other := grant("b")
	other.Sequence = 7
	for _, c := range []struct {
		name string
		rows []event.CouponGranted
		want int
	}{
		{"none, in another order of partitions", []event.CouponGranted{grant("x"), grant("a"), grant("b"), grant("y"), grant("c")}, 0},
		{"missing", []event.CouponGranted{grant("a"), grant("b"), grant("x"), grant("y")}, 1},
		{"twice", []event.CouponGranted{grant("a"), grant("b"), grant("b"), grant("c"), grant("x"), grant("y")}, 1},
		{"one too many", []event.CouponGranted{grant("a"), grant("b"), grant("c"), grant("x"), grant("y"), grant("z")}, 1},
		{"another value", []event.CouponGranted{grant("a"), other, grant("c"), grant("x"), grant("y")}, 1},
		{"another order", []event.CouponGranted{grant("b"), grant("a"), grant("c"), grant("x"), grant("y")}, 1},
		{"empty", nil, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := differences(journal, c.rows); len(got) != c.want {
				t.Errorf("%d differences, want %d: %q", len(got), c.want, got)
			}
		})
	}
}
