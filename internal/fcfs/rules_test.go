package fcfs

import "testing"

func TestDefinition_Admit(t *testing.T) {
	const h = 60 * 60 * second
	opens, closes := at(t, "2026-11-22T09:00:00Z"), at(t, "2026-11-22T18:00:00Z")
	midnight := at(t, "2026-11-23T00:00:00Z") // end of the day
	open := Definition{Limit: 1, Window: WindowNone, TimeZone: "UTC", Rules: 1}
	timed := Definition{Limit: 1, Window: WindowNone, TimeZone: "UTC", OpensAt: opens, ClosesAt: closes, Rules: 1}
	day := daily("UTC")
	timedDay := day
	timedDay.OpensAt, timedDay.ClosesAt = opens, closes

	for _, tt := range []struct {
		name       string
		d          Definition
		t, logTime Millis
		window     string
		want       Outcome
	}{
		{"without times, always", open, 1, 1, "", None},
		{"without times, always, also when the log is years ahead", open, 1, MaxTime, "", None},
		{"t < opens_at", timed, opens - 1, opens - 1, "", NotOpen},
		{"t = opens_at", timed, opens, opens, "", None},
		{"t < closes_at", timed, closes - 1, closes - 1, "", None},
		{"t = closes_at", timed, closes, closes, "", Closed},
		{"append time decides, not log time: after closing, but asked before", timed, closes - 1, closes + h, "", None},
		{"append time decides, not log time: after opening, but asked before", timed, opens - 1, opens + h, "", NotOpen},
		{"just not retired", timed, closes - 1, closes + 24*h - 1, "", None},
		{"retired, though asked in time", timed, closes - 1, closes + 24*h, "", Closed},
		{"retired comes before not open", timed, opens - 1, closes + 24*h, "", Closed},
		{"a day", day, opens, opens, "2026-11-22", None},
		{"its last instant", day, midnight - 1, midnight - 1, "2026-11-22", None},
		{"the next day", day, midnight, midnight, "2026-11-23", None},
		{"a late claim of the day before", day, midnight - 1, midnight + 24*h - 1, "2026-11-22", None},
		{"a claim of a retired day", day, midnight - 1, midnight + 24*h, "2026-11-22", Closed},
		{"a claim of a retired day, asked very early", day, 1, midnight + 24*h, "1970-01-01", Closed},
		{"a refused claim has a window, too", timedDay, opens - 1, opens - 1, "2026-11-22", NotOpen},
		{"a day of a retired coupon, itself not retired", timedDay, closes - 1, closes + 24*h, "2026-11-22", Closed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if window, refused := tt.d.Admit(tt.t, tt.logTime); window != tt.window || refused != tt.want {
				t.Errorf("%q %v, want %q %v", window, refused, tt.window, tt.want)
			}
		})
	}
}

func TestGrant(t *testing.T) {
	for _, tt := range []struct {
		name           string
		holds          bool
		granted, limit int64
		want           Outcome
		sequence       int64
	}{
		{"the first", false, 0, 3, Granted, 1},
		{"the last", false, 2, 3, Granted, 3},
		{"one too many", false, 3, 3, SoldOut, 0},
		{"a limit that fell below", false, 3, 1, SoldOut, 0},
		{"again", true, 1, 3, AlreadyIssued, 0},
		{"again, sold out: the person has one", true, 3, 3, AlreadyIssued, 0},
	} {
		if outcome, sequence := Grant(tt.holds, tt.granted, tt.limit); outcome != tt.want || sequence != tt.sequence {
			t.Errorf("%s: %v #%d, want %v #%d", tt.name, outcome, sequence, tt.want, tt.sequence)
		}
	}
}

func TestRedefine(t *testing.T) {
	old := Definition{CouponID: "c", Limit: 10, Window: WindowDaily, TimeZone: "UTC", OpensAt: 1, ClosesAt: 1000, Rules: 1}
	retired := old.ClosesAt + retireAfter
	change := func(f func(*Definition)) Definition {
		d := old
		f(&d)
		return d
	}
	higher := change(func(d *Definition) { d.Limit = 20 })
	lower := change(func(d *Definition) { d.Limit = 1 })
	cleared := change(func(d *Definition) { d.OpensAt, d.ClosesAt = 0, 0 })
	once := change(func(d *Definition) { d.Window = WindowNone })
	elsewhere := change(func(d *Definition) { d.TimeZone = "Asia/Seoul" })

	for _, tt := range []struct {
		name        string
		old         *Definition
		definitions int
		issued      bool
		next        Definition
		logTime     Millis
		want        Outcome
	}{
		{"the first definition", nil, 0, false, old, 0, Created},
		{"the first definition of a coupon that closed long ago", nil, 0, false, old, MaxTime, Created},
		{"the same again", &old, 1, true, old, 0, Changed},
		{"the limit can rise", &old, 1, true, higher, 0, Changed},
		{"the limit can fall, below what was granted", &old, 1, true, lower, 0, Changed},
		{"times can be cleared", &old, 1, true, cleared, 0, Changed},
		{"window, nothing granted yet", &old, 1, false, once, 0, Changed},
		{"window, once something was granted", &old, 1, true, once, 0, Conflict},
		{"time zone, nothing granted yet", &old, 1, false, elsewhere, 0, Changed},
		{"time zone, once something was granted", &old, 1, true, elsewhere, 0, Conflict},
		{"closed, not yet retired: may open again", &old, 1, true, cleared, retired - 1, Changed},
		{"retired: cannot come back", &old, 1, true, cleared, retired, Retired},
		{"retired: also where nothing was ever granted", &old, 1, false, cleared, retired, Retired},
		{"retired comes before conflict", &old, 1, true, once, retired, Retired},
		{"the 1,000th", &old, 999, true, higher, 0, Changed},
		{"the 1,001st", &old, 1000, true, higher, 0, Invalid},
		{"conflict comes before the 1,001st", &old, 1000, true, once, 0, Conflict},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Redefine(tt.old, tt.definitions, tt.issued, tt.next, tt.logTime); got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}
