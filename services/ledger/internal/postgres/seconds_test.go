package postgres

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/firstcome/firstcome/pkg/event"
)

// sale are grants of a coupon at a pace that changes, by a clock that sometimes goes back: the log time then stands still.
func sale(r *rand.Rand, coupon string, grants int, pace time.Duration) (all []event.CouponGranted) {
	clock, logTime := noon, noon
	for n := range int64(grants) {
		g := grant(0, n, coupon, fmt.Sprint("u", n), "", n+1)
		clock = clock.Add(time.Duration(r.Int64N(int64(pace)))).Truncate(time.Millisecond)
		if r.IntN(20) == 0 {
			clock = clock.Add(-2 * pace)
		}
		if clock.After(logTime) {
			logTime = clock
		}
		g.RequestedAt, g.LogTime = clock, logTime
		all = append(all, g)
	}
	return all
}

// A range of time gives what going through all grants gives, in pages too; and so does one grant's id.
func TestGrants_ByTimeAndID(t *testing.T) {
	s, r := newStore(t), rand.New(rand.NewPCG(6, 6))
	all := sale(r, "tea", 300, 3*time.Second)
	write(t, s, batch(0, begin(t, s, 0), nil, all...))
	coupon, window := "tea", ""
	moment := func() *time.Time {
		at := all[r.IntN(len(all))].LogTime.Add(time.Duration(r.IntN(3)-1) * time.Millisecond)
		return []*time.Time{nil, &at, &at, &at}[r.IntN(4)]
	}
	for range 40 {
		f := Filter{CouponID: &coupon, Window: &window, From: moment(), To: moment(), Limit: 1 + r.IntN(120)}
		var want []event.CouponGranted
		for _, g := range all {
			if (f.From == nil || !g.LogTime.Before(*f.From)) && (f.To == nil || g.LogTime.Before(*f.To)) {
				want = append(want, g)
			}
		}
		if got := pages(t, s, f); !slices.Equal(got, want) {
			t.Errorf("from %v to %v: %d grants, want %d", f.From, f.To, len(got), len(want))
		}
	}
	other, user := "cup", all[7].UserID
	for _, c := range []struct {
		filter Filter
		want   int
	}{
		{Filter{GrantID: &all[7].GrantID}, 1},
		{Filter{GrantID: &all[7].GrantID, CouponID: &coupon, UserID: &user, Window: &window}, 1},
		{Filter{GrantID: &all[7].GrantID, CouponID: &other}, 0},
		{Filter{GrantID: &all[7].GrantID, Window: &window}, 1},
		{Filter{GrantID: &other}, 0},
		{Filter{CouponID: &coupon, Window: &window, UserID: &user, From: &all[299].LogTime}, 0},
		{Filter{CouponID: &other, Window: &window, From: &noon}, 0},
	} {
		c.filter.Limit = 10
		if got, err := s.Grants(t.Context(), c.filter); err != nil || len(got) != c.want || c.want == 1 && got[0] != all[7] {
			t.Errorf("%s: %v, %v", c.filter, got, err)
		}
	}
	foreign := grant(0, 7, "", "", "", 0).GrantID[:35] + "0" // the place is right, the log is another
	if got, err := s.Grants(t.Context(), Filter{GrantID: &foreign, Limit: 10}); err != nil || len(got) != 0 {
		t.Errorf("another log's id: %v, %v", got, err)
	}
}

// A histogram counts each grant once, where its log time is, in no more parts than it may have.
func TestHistogram(t *testing.T) {
	s, r := newStore(t), rand.New(rand.NewPCG(7, 6))
	at := begin(t, s, 0)
	if steps, _, err := s.Histogram(t.Context(), "tea", "", 100); err != nil || len(steps) != 0 {
		t.Errorf("nothing was granted, and it has %v, %v", steps, err)
	}
	for i, c := range []struct {
		pace   time.Duration
		most   int
		length time.Duration
	}{
		{20 * time.Millisecond, 3600, time.Second},
		{3 * time.Second, 3600, time.Second},
		{3 * time.Second, 100, 10 * time.Second},
		{time.Hour, 100, 24 * time.Hour},
		{240 * time.Hour, 100, 32 * 24 * time.Hour},
	} {
		coupon := fmt.Sprint("c", i)
		all := sale(r, coupon, 500, c.pace)
		for n := range all {
			all[n].Source.Offset += int64(i) * 1000
			all[n].GrantID = grant(0, all[n].Source.Offset, "", "", "", 0).GrantID
		}
		at = write(t, s, batch(0, at, nil, all...))
		got, length, err := s.Histogram(t.Context(), coupon, "", c.most)
		if length != c.length {
			t.Errorf("%v: parts of %v, want %v", c, length, c.length)
		}
		count := map[time.Time]int64{}
		for _, g := range all {
			count[g.LogTime.Truncate(length)]++
		}
		want := []Step{}
		for begin, n := range count {
			want = append(want, Step{begin, n})
		}
		slices.SortFunc(want, func(a, b Step) int { return a.Begin.Compare(b.Begin) })
		if err != nil || !slices.Equal(got, want) || len(got) > c.most || len(got) < 3 {
			t.Errorf("%v: %d parts of %v, %v; want %d", c, len(got), length, err, len(want))
		}
	}
}
