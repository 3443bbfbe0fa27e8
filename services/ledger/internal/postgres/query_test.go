package postgres

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/firstcome/firstcome/pkg/event"
)

// many are grants of several coupons, people and windows, in the order of answers.
func many() []event.CouponGranted {
	var all []event.CouponGranted
	offset := int64(0)
	for _, coupon := range []string{"-tea", "Tea", "tea", "tea.2", "tea~"} {
		for _, window := range []string{"", "2026-11-22", "2026-11-23"} {
			for n := range int64(1 + len(coupon)*5) {
				offset++
				// The same people in each window, in another order: é in both of its forms, and what sorts around it.
				person := []string{"é", "e\u0301", "e", "f", "E", "💐", "\u00a0", "-", "'", "zz"}[(n*7+offset)%10] + fmt.Sprint(n)
				all = append(all, grant(0, offset, coupon, person, window, n+1))
			}
		}
	}
	return all
}

func inOrder(a, b event.CouponGranted) int {
	return cmp.Or(strings.Compare(a.CouponID, b.CouponID), strings.Compare(a.Window, b.Window), cmp.Compare(a.Sequence, b.Sequence))
}

func (f Filter) fits(g event.CouponGranted) bool {
	same := func(asked *string, is string) bool { return asked == nil || *asked == is }
	return same(f.CouponID, g.CouponID) && same(f.UserID, g.UserID) && same(f.Window, g.Window)
}

// Every combination of filters, read in pages of several sizes, gives what going through all grants gives.
func TestGrants(t *testing.T) {
	checkLeaks(t)
	s := newStore(t)
	all := many()
	shuffled := slices.Clone(all)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	write(t, s, batch(0, begin(t, s, 0), nil, shuffled...))
	for _, f := range filters("tea", all[40].UserID, "2026-11-22") {
		var want []event.CouponGranted
		for _, g := range all {
			if f.fits(g) {
				want = append(want, g)
			}
		}
		slices.SortFunc(want, inOrder)
		for _, f.Limit = range []int{1, 3, len(all) + 1} {
			if got := pages(t, s, f); !slices.Equal(got, want) {
				t.Errorf("%s by %d: got %d, not %d:\n%+v\nnot\n%+v", f, f.Limit, len(got), len(want), got, want)
			}
		}
	}
}

// filters are all combinations of these.
func filters(coupon, user, window string) (all []Filter) {
	none := ""
	for bits := range 8 {
		for _, window := range []*string{&window, &none} {
			var f Filter
			if bits&1 > 0 {
				f.CouponID = &coupon
			}
			if bits&2 > 0 {
				f.UserID = &user
			}
			if bits&4 > 0 {
				f.Window = window
			}
			all = append(all, f)
		}
	}
	return all
}

func (f Filter) String() string {
	text := func(s *string) string {
		if s == nil {
			return "any"
		}
		return fmt.Sprintf("%q", *s)
	}
	return fmt.Sprintf("coupon %s, user %s, window %s, after %v", text(f.CouponID), text(f.UserID), text(f.Window), f.After)
}

func pages(t *testing.T, s *Store, f Filter) (all []event.CouponGranted) {
	t.Helper()
	for {
		page, err := s.Grants(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page...)
		if len(page) < f.Limit {
			return all
		}
		last := page[len(page)-1]
		f.After = &Position{last.CouponID, last.Window, last.Sequence}
	}
}

func TestCoupon(t *testing.T) {
	s := newStore(t)
	at := write(t, s, batch(0, begin(t, s, 0), []event.CouponDefined{definition(0, 0, "tea"), definition(0, 1, "cup")},
		grant(0, 9, "tea", "ada", "", 2), grant(0, 5, "tea", "bob", "", 1), grant(0, 7, "cup", "ada", "2026-11-22", 1)))
	write(t, s, batch(0, at, []event.CouponDefined{definition(0, 10, "tea")}, grant(0, 11, "tea", "eve", "", 3)))
	c, err := s.Coupon(t.Context(), "tea")
	want := []Window{{Granted: 3, First: grant(0, 5, "", "", "", 0).RequestedAt, Last: grant(0, 11, "", "", "", 0).RequestedAt}}
	if err != nil || len(c.Definitions) != 2 || c.Definitions[1].Source.Offset != 10 || !slices.Equal(c.Windows, want) {
		t.Errorf("got %+v, %v", c, err)
	}
	if c, err := s.Coupon(t.Context(), "none"); err != nil || len(c.Definitions) != 0 || len(c.Windows) != 0 {
		t.Errorf("got %+v, %v", c, err)
	}
}
