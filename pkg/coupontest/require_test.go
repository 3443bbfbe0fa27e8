package coupontest_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
)

// grant is one of partition 4: whose, which sequence, and the offset of the request.
func grant(user string, sequence, offset int64) event.CouponGranted {
	return event.CouponGranted{CouponID: "tea", UserID: user, Sequence: sequence, Source: event.Source{Partition: 4, Offset: offset}}
}

func on(day string, g event.CouponGranted) event.CouponGranted {
	g.Window = day
	return g
}

func lines(text ...string) string { return strings.Join(text, "\n  ") }

func TestRequireGranted(t *testing.T) {
	grants := []event.CouponGranted{grant("ada", 1, 3), grant("bob", 2, 4)}
	for _, c := range []struct {
		name  string
		users []string
		want  string
	}{
		{"all", []string{"bob", "ada"}, ""},
		{"nobody asked about", nil, ""},
		{"some have none", []string{"eve", "ada", "Bob"}, lines("coupontest: 2 of 3 people have no grant among 2:", "eve", "Bob")},
	} {
		t.Run(c.name, func(t *testing.T) {
			if said := failure(t, func(tb testing.TB) { coupontest.RequireGranted(tb, grants, c.users...) }); said != c.want {
				t.Errorf("said\n%s\nwant\n%s", said, c.want)
			}
		})
	}
}

func TestRequireExactly(t *testing.T) {
	ada, bob, eve := grant("ada", 1, 3), grant("bob", 2, 4), grant("eve", 3, 9)
	cake := event.CouponGranted{CouponID: "cake", UserID: "ada", Sequence: 1}
	for _, c := range []struct {
		name   string
		grants []event.CouponGranted
		n      int
		want   string
	}{
		{"exactly", []event.CouponGranted{eve, cake, ada, bob}, 3, ""},
		{"none", []event.CouponGranted{cake}, 0, ""},
		{"none of some", []event.CouponGranted{cake}, 3, lines("coupontest: tea has 0 grants, want exactly 3:", "none of 1 is for this coupon")},
		{"one too few", []event.CouponGranted{ada, eve}, 3, lines("coupontest: tea has 2 grants, want exactly 3:", "sequence 2 is missing")},
		{"many too few", []event.CouponGranted{ada}, 100, lines("coupontest: tea has 1 grants, want exactly 100:", "sequences 2 to 100 are missing")},
		{"one too many", []event.CouponGranted{ada, bob, eve}, 2, lines("coupontest: tea has 3 grants, want exactly 2:", "there should be none of eve, sequence 3 (request 4/9)")},
		{"none wanted", []event.CouponGranted{ada}, 0, lines("coupontest: tea has 1 grants, want exactly 0:", "there should be none of ada, sequence 1 (request 4/3)")},
		{
			"a person twice", []event.CouponGranted{ada, bob, grant("ada", 3, 7)}, 3,
			lines("coupontest: tea has 3 grants, want exactly 3:", "one person has two: ada, sequence 1 (request 4/3), and ada, sequence 3 (request 4/7)"),
		},
		{
			"a sequence twice", []event.CouponGranted{ada, bob, grant("eve", 2, 7)}, 3,
			lines("coupontest: tea has 3 grants, want exactly 3:", "two have one sequence: bob, sequence 2 (request 4/4), and eve, sequence 2 (request 4/7)", "sequence 3 is missing"),
		},
		{
			"a record twice", []event.CouponGranted{ada, bob, bob}, 2,
			lines("coupontest: tea has 3 grants, want exactly 2:", "the grant of bob, sequence 2 (request 4/4) is there more than once: the same record, seen again"),
		},
		{
			"sequence 0", []event.CouponGranted{grant("ada", 0, 3), bob}, 2,
			lines("coupontest: tea has 2 grants, want exactly 2:", "there should be none of ada, sequence 0 (request 4/3)", "sequence 1 is missing"),
		},
		{"two days", []event.CouponGranted{on("2026-11-22", ada), on("2026-11-23", ada), on("2026-11-23", bob)}, 3, ""},
		{
			"a day without its first", []event.CouponGranted{on("2026-11-22", ada), on("2026-11-23", bob)}, 3,
			lines("coupontest: tea has 2 grants, want exactly 3:", "sequence 1 of 2026-11-23 is missing", "there should be none of bob, sequence 2 of 2026-11-23 (request 4/4)", "there are 1 in 2026-11-22, 1 in 2026-11-23"),
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if said := failure(t, func(tb testing.TB) { coupontest.RequireExactly(tb, c.grants, "tea", c.n) }); said != c.want {
				t.Errorf("said\n%s\nwant\n%s", said, c.want)
			}
		})
	}
}

// A failure that is as long as the sale is read by nobody.
func TestRequire_ListsTen(t *testing.T) {
	var users []string
	for _, claim := range coupontest.Claims("tea", 500) {
		users = append(users, claim.UserID)
	}
	said := failure(t, func(tb testing.TB) { coupontest.RequireGranted(tb, nil, users...) })
	want := append([]string{"coupontest: 500 of 500 people have no grant among 0:"}, users[:10]...)
	if said != lines(append(want, "and 490 more")...) {
		t.Errorf("said\n%s", said)
	}
}

func TestClaims(t *testing.T) {
	claims := coupontest.Claims("tea", 100)
	if len(claims) != 100 || claims[0] != (event.ClaimRequested{CouponID: "tea", UserID: "person-001"}) || claims[99].UserID != "person-100" {
		t.Errorf("%d claims, from %v to %v", len(claims), claims[0], claims[len(claims)-1])
	}
	slices.SortFunc(claims, func(a, b event.ClaimRequested) int { return strings.Compare(a.UserID, b.UserID) })
	if one := slices.Compact(claims); len(one) != 100 {
		t.Errorf("of %d people", len(one))
	}
	if _, err := claims[0].Message(event.Meta{Source: "/test"}); err != nil {
		t.Error(err)
	}
	if _, err := coupontest.Coupon("tea", 100).Message(event.Meta{Source: "/test"}); err != nil {
		t.Error(err)
	}
	if n := len(coupontest.Claims("tea", 0)); n != 0 {
		t.Errorf("%d claims", n)
	}
}
