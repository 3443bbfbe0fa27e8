package fcfs

import (
	"math"
	"testing"
	"time"
)

func at(t testing.TB, rfc3339 string) Millis {
	t.Helper()
	v, err := time.Parse(time.RFC3339, rfc3339)
	if err != nil {
		t.Fatal(err)
	}
	return FromTime(v)
}

func daily(zone string) Definition {
	return Definition{CouponID: "c", Limit: 10, Window: WindowDaily, TimeZone: zone, Rules: 1}
}

func TestDefinition_WindowAt(t *testing.T) {
	for _, tt := range []struct{ zone, at, want string }{
		{"Asia/Seoul", "2026-11-21T14:59:59.999Z", "2026-11-21"},
		{"Asia/Seoul", "2026-11-21T15:00:00.000Z", "2026-11-22"},
		{"Asia/Seoul", "2026-11-22T14:59:59.999Z", "2026-11-22"},
		{"UTC", "2026-11-22T00:00:00Z", "2026-11-22"},
		{"America/New_York", "2026-03-08T04:59:59.999Z", "2026-03-07"}, // −5 h
		{"America/New_York", "2026-03-09T03:59:59.999Z", "2026-03-08"}, // −4 h
		{"America/New_York", "2026-03-09T04:00:00Z", "2026-03-09"},
		{"Pacific/Kiritimati", "2026-11-21T10:00:00Z", "2026-11-22"}, // +14 h
		{"America/St_Johns", "2007-11-04T02:30:30Z", "2007-11-04"},   // 00:00:30, before clocks go back at 00:01
		{"America/St_Johns", "2007-11-04T02:31:00Z", "2007-11-03"},   // 23:01, again
	} {
		if got := daily(tt.zone).WindowAt(at(t, tt.at)); got != tt.want {
			t.Errorf("%s at %s: %q, want %q", tt.zone, tt.at, got, tt.want)
		}
	}
	none := Definition{Window: WindowNone, TimeZone: "UTC"}
	if got := none.WindowAt(at(t, "2026-11-22T00:00:00Z")); got != "" {
		t.Errorf("window none: %q", got)
	}
}

// A topic with CreateTime can hold anything.
func TestDefinition_WindowAt_anyTime(t *testing.T) {
	for zone := range mustZones(t) {
		d := daily(zone)
		for _, when := range []Millis{math.MinInt64, -1, 0, 1, MaxTime, MaxTime + 1, MaxTime + 3*day, math.MaxInt64} {
			window := d.WindowAt(when)
			if len(window) != len(time.DateOnly) {
				t.Fatalf("%s at %d: %q", zone, when, window)
			}
			if _, err := time.Parse(time.DateOnly, window); err != nil {
				t.Fatalf("%s at %d: %v", zone, when, err)
			}
			_, refused := d.Admit(when, max(0, when))
			if retired := d.WindowRetired(window, max(0, when)); retired != (refused == Closed) {
				t.Fatalf("%s at %d: retired %v, but %v", zone, when, retired, refused)
			}
		}
	}
}

func TestDefinition_DayEnd(t *testing.T) {
	for _, tt := range []struct {
		zone, day, end string
		hours          float64
	}{
		{"Asia/Seoul", "2026-11-22", "2026-11-22T15:00:00Z", 24},
		{"UTC", "2028-02-29", "2028-03-01T00:00:00Z", 24},
		{"UTC", "9999-12-30", "9999-12-31T00:00:00Z", 24},
		{"America/New_York", "2026-03-08", "2026-03-09T04:00:00Z", 23},
		{"America/New_York", "2026-11-01", "2026-11-02T05:00:00Z", 25},
		{"America/New_York", "2028-12-30", "2028-12-31T05:00:00Z", 24}, // the end of a leap year
		{"America/New_York", "2028-12-31", "2029-01-01T05:00:00Z", 24},
		{"America/New_York", "2099-11-01", "2099-11-02T05:00:00Z", 25}, // by the rule that goes on for ever
		{"Australia/Lord_Howe", "2026-10-04", "2026-10-04T13:00:00Z", 23.5},
		{"America/Sao_Paulo", "2018-11-03", "2018-11-04T03:00:00Z", 24}, // the next midnight does not exist
		{"America/Sao_Paulo", "2018-11-04", "2018-11-05T02:00:00Z", 23},
		{"America/Sao_Paulo", "2018-02-17", "2018-02-18T03:00:00Z", 25}, // midnight goes back to 23:00
		{"Africa/Cairo", "2024-04-25", "2024-04-25T22:00:00Z", 24},
		{"Africa/Cairo", "2024-04-26", "2024-04-26T21:00:00Z", 23},
		{"Africa/Cairo", "2024-10-31", "2024-10-31T22:00:00Z", 25},
		{"Asia/Beirut", "2024-03-30", "2024-03-30T22:00:00Z", 24},
		{"Asia/Beirut", "2024-03-31", "2024-03-31T21:00:00Z", 23},
		{"America/St_Johns", "2007-11-03", "2007-11-04T03:30:00Z", 25}, // ends twice: at 00:01 it is 23:01 again
		{"Pacific/Apia", "2011-12-29", "2011-12-30T10:00:00Z", 24},
		{"Pacific/Apia", "2011-12-30", "2011-12-30T10:00:00Z", 0}, // never was
		{"Pacific/Apia", "2011-12-31", "2011-12-31T10:00:00Z", 24},
		{"America/Juneau", "1970-01-01", "1970-01-02T08:00:00Z", 24},
	} {
		d := daily(tt.zone)
		end := d.DayEnd(tt.day)
		if end != at(t, tt.end) {
			t.Errorf("%s in %s ends %v, want %s", tt.day, tt.zone, end.Time(), tt.end)
		}
		date, err := time.Parse(time.DateOnly, tt.day)
		if err != nil {
			t.Fatal(err)
		}
		before := date.AddDate(0, 0, -1).Format(time.DateOnly)
		if hours := float64(end-d.DayEnd(before)) / float64(60*60*second); hours != tt.hours {
			t.Errorf("%s in %s has %v hours, want %v", tt.day, tt.zone, hours, tt.hours)
		}
	}
	if end := (Definition{Window: WindowNone, TimeZone: "UTC"}).DayEnd(""); end != 0 {
		t.Errorf("window none ends %d", end)
	}
	for _, notADay := range []string{"", "2026-11-31", "2026-1-1", "today"} {
		if end := daily("UTC").DayEnd(notADay); end != 0 {
			t.Errorf("%q ends %d", notADay, end)
		}
	}
}

// Around every change of every zone's clocks: nothing after a day's end is in that day or before, and the last millisecond
// before it is not after.
func TestDefinition_DayEnd_everyChange(t *testing.T) {
	last := time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)
	days := 0
	for name, zone := range mustZones(t) {
		d := daily(name)
		change := time.Unix(0, 0)
		for n := 0; ; n++ {
			_, next := change.In(zone).ZoneBounds()
			if next.IsZero() || next.After(last) {
				break
			}
			if !next.After(change) { // the last day of a leap year (Go 1.26)
				next = change.Add(24 * time.Hour)
			}
			change = next
			if !thorough() && n%7 != 0 {
				continue
			}
			for delta := -1; delta <= 1; delta++ {
				days++
				checkDayEnd(t, d, d.WindowAt(FromTime(change.Add(time.Duration(delta)*24*time.Hour))))
			}
		}
	}
	t.Log(days, "days")
}

func checkDayEnd(t *testing.T, d Definition, window string) {
	t.Helper()
	end := d.DayEnd(window)
	if before := d.WindowAt(end - 1); before > window {
		t.Errorf("%s: %s ends %v, but just before it is %s", d.TimeZone, window, end.Time(), before)
	}
	for ahead := Millis(0); ahead < 36*60*60*second; ahead += 60 * 60 * second {
		if after := d.WindowAt(end + ahead); after <= window {
			t.Errorf("%s: %s ends %v, but at %v it is %s", d.TimeZone, window, end.Time(), (end + ahead).Time(), after)
		}
	}
}

func mustZones(t *testing.T) map[string]*time.Location {
	t.Helper()
	files, err := zoneFiles()
	if err != nil {
		t.Fatal(err)
	}
	zones := make(map[string]*time.Location, len(files))
	for name := range files {
		if zones[name], err = LoadZone(name); err != nil {
			t.Fatal(err)
		}
	}
	return zones
}

func TestDefinition_retirement(t *testing.T) {
	const h = 60 * 60 * second
	noon := at(t, "2026-11-22T12:00:00Z")
	midnight := at(t, "2026-11-23T00:00:00Z")
	none := Definition{Limit: 1, Window: WindowNone, TimeZone: "UTC", Rules: 1}
	closing := none
	closing.ClosesAt = noon
	day := daily("UTC")
	closingDay := day
	closingDay.ClosesAt = noon

	for _, tt := range []struct {
		name   string
		d      Definition
		window string
		drop   Millis // 0: never
		coupon Millis // first log time at which the coupon is retired; 0: never
		claims Millis // ... and the window
	}{
		{"none, never closes", none, "", 0, 0, 0},
		{"none, closes at noon", closing, "", noon + 24*h, noon + 24*h, noon + 24*h},
		{"daily, never closes", day, "2026-11-22", midnight + 24*h, 0, midnight + 24*h},
		{"daily, closes at noon", closingDay, "2026-11-22", midnight + 24*h, noon + 24*h, noon + 24*h},
		{"daily, closes at noon, the day before", closingDay, "2026-11-21", midnight, noon + 24*h, midnight},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if drop, ever := tt.d.DropAt(tt.window); drop != tt.drop || ever != (tt.drop != 0) {
				t.Errorf("dropped at %v, %v", drop.Time(), ever)
			}
			edge := func(what string, first Millis, retired func(Millis) bool) {
				if first == 0 {
					if retired(MaxTime) {
						t.Errorf("%s is retired at last", what)
					}
				} else if retired(first-1) || !retired(first) {
					t.Errorf("%s is not retired exactly from %v on", what, first.Time())
				}
			}
			edge("coupon", tt.coupon, tt.d.CouponRetired)
			edge("window", tt.claims, func(log Millis) bool { return tt.d.WindowRetired(tt.window, log) })
		})
	}
}
