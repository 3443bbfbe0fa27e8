package fcfs

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

func newTestLog(t *testing.T, text string) (*Log, []Fact) {
	t.Helper()
	l := NewLog(7)
	var facts []Fact
	for offset, line := range strings.Split(strings.TrimSpace(text), "\n") {
		r, err := parseRecord(line)
		if err != nil {
			t.Fatal(err)
		}
		if _, f := r.decide(l, int64(offset)); f != nil {
			facts = append(facts, *f)
		}
	}
	return l, facts
}

func TestLog_facts(t *testing.T) {
	l, facts := newTestLog(t, `
		22 09:00 define limit=2 window=daily
		22 09:30 claim ann
		22 09:10 claim bob
		22 09:20 claim eve`)
	if len(facts) != 3 {
		t.Fatalf("%d facts", len(facts))
	}
	d := facts[0]
	if d.Source != (Source{7, 0}) || d.Granted != nil || *d.Defined != l.Coupon("c").Current() {
		t.Errorf("definition: %+v", d)
	}
	g := facts[2]
	want := GrantFact{CouponID: "c", UserID: "bob", Window: "2026-11-22", Sequence: 2, Limit: 2}
	if g.Source != (Source{7, 2}) || g.Defined != nil || *g.Granted != want {
		t.Errorf("grant: %+v", g)
	}
	asked, _ := parseTime("22T09:10")
	highest, _ := parseTime("22T09:30")
	if g.RequestedAt != asked || g.LogTime != highest {
		t.Errorf("bob asked at %v, log time %v", g.RequestedAt.Time(), g.LogTime.Time())
	}
	if l.Progress() != 3 || l.LogTime() != highest || l.AppendTime() >= highest {
		t.Errorf("progress %d, append time %v, log time %v", l.Progress(), l.AppendTime().Time(), l.LogTime().Time())
	}
}

func TestLog_coupon(t *testing.T) {
	l, _ := newTestLog(t, `
		22 09:00 define limit=2 window=daily
		22 09:01 claim ann
		22 09:02 define limit=3 window=daily
		23 09:00 claim ann
		23 09:01 claim bob`)
	c := l.Coupon("c")
	if c.Total() != 3 || c.Count("2026-11-22") != 1 || c.Count("2026-11-23") != 2 {
		t.Errorf("total %d, %d and %d", c.Total(), c.Count("2026-11-22"), c.Count("2026-11-23"))
	}
	if got := c.Windows(); !slices.Equal(got, []string{"2026-11-22", "2026-11-23"}) {
		t.Errorf("windows %v", got)
	}
	if got := maps.Collect(c.People("2026-11-23")); len(got) != 2 || got["bob"] != (Entry{2, 4}) {
		t.Errorf("people %v", got)
	}
	for offset, limit := range map[int64]int64{0: 2, 1: 2, 2: 3, 100: 3} {
		if d, ok := c.InForce(offset); !ok || d.Limit != limit {
			t.Errorf("in force at %d: %+v %v", offset, d, ok)
		}
	}
	if d, ok := c.InForce(-1); ok {
		t.Errorf("in force before the first: %+v", d)
	}
	if ds := c.Definitions(); len(ds) != 2 || ds[1].Offset != 2 || ds[1].Limit != 3 {
		t.Errorf("definitions %+v", ds)
	}
	if l.Coupon("d") != nil {
		t.Error("coupon d is known")
	}
}

// Dropped are the people; of a day the count too, of window "" it stays; the total always stays.
func TestLog_drops(t *testing.T) {
	const days = `
		22 09:00 define limit=2 window=daily
		22 09:01 claim ann
		23 09:00 claim bob
		23 23:59 invalid`
	l, _ := newTestLog(t, days)
	if _, ok := l.Coupon("c").Entry("2026-11-22", "ann"); !ok {
		t.Error("ann is dropped too early")
	}
	l, _ = newTestLog(t, days+"\n24 00:00 invalid")
	c := l.Coupon("c")
	if got := c.Windows(); !slices.Equal(got, []string{"2026-11-23"}) || c.Total() != 2 {
		t.Errorf("windows %v, total %d", got, c.Total())
	}
	if _, ok := c.Entry("2026-11-22", "ann"); ok {
		t.Error("ann is not dropped")
	}

	l, _ = newTestLog(t, `
		22 09:00 define limit=2 closes=22T18:00
		22 09:01 claim ann
		23 18:00 invalid`)
	checkDropped(t, l)

	// A closing that was set into the past drops with its own record.
	l, _ = newTestLog(t, `
		22 09:00 define limit=2
		22 09:01 claim ann
		24 09:00 define limit=2 closes=22T18:00`)
	checkDropped(t, l)
}

func checkDropped(t *testing.T, l *Log) {
	t.Helper()
	c := l.Coupon("c")
	if _, ok := c.Entry("", "ann"); ok || c.Count("") != 1 || c.Total() != 1 {
		t.Errorf("ann is there: %v; count %d, total %d", ok, c.Count(""), c.Total())
	}
}

func TestLog_definitions(t *testing.T) {
	l := NewLog(0)
	d := Definition{CouponID: "c", Limit: 5, Window: WindowNone, TimeZone: "UTC", Rules: 1}
	for offset := range int64(MaxDefinitions) {
		want := Changed
		if offset == 0 {
			want = Created
		}
		if got, _ := l.Define(offset, 1, d); got != want {
			t.Fatalf("definition %d: %v", offset+1, got)
		}
	}
	d.Limit = 6
	if got, f := l.Define(MaxDefinitions, 1, d); got != Invalid || f != nil {
		t.Errorf("the 1,001st: %v %v", got, f)
	}
	if l.Coupon("c").Current().Limit != 5 {
		t.Error("the 1,001st took effect")
	}
}

func TestLog_misuse(t *testing.T) {
	for _, offset := range []int64{5, 4, -1} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("offset %d is taken after offset 5", offset)
				}
			}()
			l := NewLog(0)
			l.Invalid(5, 1)
			l.Invalid(offset, 1)
		}()
	}
}

func TestLog_Apply_refuses(t *testing.T) {
	const text = "22 09:00 define limit=2\n22 09:01 claim ann\n22 09:02 claim bob"
	_, facts := newTestLog(t, text)
	for name, change := range map[string]func(*Fact){
		"another partition":     func(f *Fact) { f.Source.Partition = 8 },
		"neither":               func(f *Fact) { f.Granted = nil },
		"both":                  func(f *Fact) { f.Defined = facts[0].Defined },
		"coupon never defined":  func(f *Fact) { f.Granted.CouponID = "d" },
		"a sequence left out":   func(f *Fact) { f.Granted.Sequence = 3 },
		"a sequence repeated":   func(f *Fact) { f.Granted.Sequence = 1 },
		"definition of nothing": func(f *Fact) { f.Granted, f.Defined = nil, &Definition{} },
	} {
		t.Run(name, func(t *testing.T) {
			_, facts := newTestLog(t, text)
			l := NewLog(7)
			for _, f := range facts[:2] {
				if err := l.Apply(f); err != nil {
					t.Fatal(err)
				}
			}
			before := snapshot(l)
			f := facts[2]
			change(&f)
			if err := l.Apply(f); err == nil {
				t.Error("it is taken")
			}
			if after := snapshot(l); after != before {
				t.Errorf("it has changed\n%s\nto\n%s", before, after)
			}
		})
	}
}
