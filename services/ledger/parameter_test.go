package ledger

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/firstcome/firstcome/internal/problem"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/ledger/internal/postgres"
)

func TestFilterOf(t *testing.T) {
	page := cursor(postgres.Position{CouponID: "tea", Window: "2026-11-22", Sequence: 3})
	for _, c := range []struct {
		query string
		wrong string // the parameters named in the refusal
	}{
		{"", ""},
		{"coupon_id=tea&user_id=ada&window=2026-11-22&limit=1000&after=" + page, ""},
		{"window=", ""},
		{"user_id=%F0%9F%92%90%20%2B'", ""},
		{"limit=1", ""},
		{"coupon_id=tea&window=&from=2026-11-22T12:00:00Z&to=2026-11-22T12:00:00.5%2B09:00", ""},
		{"grant_id=00000000-0001-8002-9df6-a2b6e0c41f73", ""},
		{"grant_id=", "grant_id"},
		{"grant_id=00000000-0001-4002-9df6-a2b6e0c41f73", "grant_id"},
		{"from=2026-11-22T12:00:00Z", "from"},
		{"coupon_id=tea&to=2026-11-22T12:00:00Z", "to"},
		{"window=&to=2026-11-22T12:00:00Z", "to"},
		{"coupon_id=tea&window=&from=now&to=2026-11-22", "from to"},
		{"coupon_id=tea&window=&from=0001-01-01T00:00:00Z", "from"},
		{"coupon_id=", "coupon_id"},
		{"coupon_id=.tea", "coupon_id"},
		{"coupon_id=" + strings.Repeat("a", 101), "coupon_id"},
		{"user_id=", "user_id"},
		{"user_id=%00", "user_id"},
		{"user_id=%ff", "user_id"},
		{"user_id=" + strings.Repeat("a", 201), "user_id"},
		{"window=none", "window"},
		{"window=2026-02-30", "window"},
		{"window=2026-11-22T00:00:00Z", "window"},
		{"limit=0", "limit"},
		{"limit=1001", "limit"},
		{"limit=-1", "limit"},
		{"limit=ten", "limit"},
		{"limit=", "limit"},
		{"limit=99999999999999999999", "limit"},
		{"after=", "after"},
		{"after=" + page + "A", "after"},
		{"after=" + page + "%3D", "after"},
		{"after=dGVhLy8w", "after"},
		{"coupon_id=cup&after=" + page, "after"},
		{"window=&after=" + page, "after"},
		{"coupon_id=tea&coupon_id=tea", "coupon_id"},
		{"coupon=tea", "coupon"},
		{"Coupon_id=tea", "Coupon_id"},
		{"=tea", "="},
		{"limit=0&user_id=&zeal=1&alpha=", "user_id limit alpha zeal"},
	} {
		_, err := filterOf(httptest.NewRequest("GET", "/v1/grants?"+c.query, nil))
		var named []string
		var p *problem.Problem
		if errors.As(err, &p) {
			for _, e := range p.Errors {
				named = append(named, e.Parameter)
				if e.Detail == "" {
					t.Errorf("%s: no detail", c.query)
				}
			}
		}
		if got := strings.Join(named, " "); got != c.wrong || (err == nil) != (c.wrong == "") {
			t.Errorf("%s: wrong %q, not %q (%v)", c.query, got, c.wrong, err)
		}
	}
	for _, query := range []string{"limit=%zz", "a=1;b=2"} {
		_, err := filterOf(httptest.NewRequest("GET", "/v1/grants?"+query, nil))
		if p := problem.From(err); p == nil || p.Name != problem.Malformed {
			t.Errorf("%s: %v", query, err)
		}
	}
}

func FuzzCursor(f *testing.F) {
	f.Add("tea", "", int64(1))
	f.Add("a~.-_", "2026-11-22", int64(100_000_000))
	f.Add("tea/", "x", int64(-1))
	f.Fuzz(func(t *testing.T, coupon, window string, sequence int64) {
		p := postgres.Position{CouponID: coupon, Window: window, Sequence: sequence}
		if got, ok := parseCursor(cursor(p)); ok && got != p {
			t.Errorf("%+v came back as %+v", p, got)
		}
		if got, ok := parseCursor(coupon); ok && cursor(got) != coupon {
			t.Errorf("%q was taken for %+v", coupon, got)
		}
	})
}

func TestCursor(t *testing.T) {
	for _, p := range []postgres.Position{{CouponID: "tea", Sequence: 1}, {CouponID: "-~.", Window: "2026-11-22", Sequence: 100_000_000}} {
		if got, ok := parseCursor(cursor(p)); !ok || got != p {
			t.Errorf("%+v came back as %+v, %v", p, got, ok)
		}
	}
}

func TestCell(t *testing.T) {
	for id, want := range map[string]string{
		"":               "",
		"ada":            "ada",
		"=1+1":           "'=1+1",
		"+41 44 123":     "'+41 44 123",
		"-1":             "'-1",
		"@ada":           "'@ada",
		"＝1":             "'＝1",
		"＋1":             "'＋1",
		"－1":             "'－1",
		"＠ada":           "'＠ada",
		"a=b":            "a=b",
		" =1":            " =1",
		"'ada":           "''ada",
		"'=1":            "''=1",
		"ada, \"Z\"; b'": "ada, \"Z\"; b'",
	} {
		if got := cell(id); got != want {
			t.Errorf("%q is written as %q, not %q", id, got, want)
		}
	}
}

// Whoever takes one apostrophe away has the id again.
func FuzzCell(f *testing.F) {
	for _, id := range []string{"ada", "=x", "'=x", "''", "＝"} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		got := cell(id)
		if strings.TrimPrefix(got, "'") != id || got != "" && strings.ContainsAny(got[:1], "=+-@") {
			t.Errorf("%q is written as %q", id, got)
		}
	})
}

// Whatever is asked for, it is a filter within its bounds, or a refusal that names what was wrong.
func FuzzFilterOf(f *testing.F) {
	for _, query := range []string{"", "coupon_id=tea&user_id=ada&window=2026-11-22&limit=1000", "after=dGVhLy8x", "limit=0", "limit=%zz", "a=1;b=2", "coupon_id=tea&coupon_id=tea", "window=%ff", "nobody=1", "grant_id=00000000-0001-8002-9df6-a2b6e0c41f73", "coupon_id=tea&window=&from=2026-11-22T12:00:00Z"} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest("GET", "/v1/grants", nil)
		r.URL.RawQuery = query
		got, err := filterOf(r)
		if err != nil {
			if p := problem.From(err); p.Name != problem.Malformed && p.Name != problem.Invalid {
				t.Fatalf("%q: %v", query, err)
			}
			return
		}
		if got.Limit < 1 || got.Limit > maxLimit || got.CouponID != nil && event.CheckCouponID(*got.CouponID) != nil || got.UserID != nil && event.CheckUserID(*got.UserID) != nil {
			t.Fatalf("%q asks for %+v", query, got)
		}
	})
}
