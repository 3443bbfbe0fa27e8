package fcfs

import (
	"slices"
	"testing"
	"time"
)

func TestDefinition_Validate(t *testing.T) {
	good := Definition{CouponID: "c", Limit: 100, Window: WindowDaily, TimeZone: "Asia/Seoul", OpensAt: 1000, ClosesAt: 2000, Rules: 1}
	for _, tt := range []struct {
		name   string
		change func(*Definition)
		wrong  []string // members
	}{
		{"good", func(*Definition) {}, nil},
		{"limit 1", func(d *Definition) { d.Limit = 1 }, nil},
		{"limit 0", func(d *Definition) { d.Limit = 0 }, []string{"limit"}},
		{"limit below 0", func(d *Definition) { d.Limit = -1 }, []string{"limit"}},
		{"limit 100,000,000", func(d *Definition) { d.Limit = 100_000_000 }, nil},
		{"limit 100,000,001", func(d *Definition) { d.Limit = 100_000_001 }, []string{"limit"}},
		{"window none", func(d *Definition) { d.Window = WindowNone }, nil},
		{"window absent", func(d *Definition) { d.Window = "" }, []string{"window"}},
		{"window Daily", func(d *Definition) { d.Window = "Daily" }, []string{"window"}},
		{"UTC", func(d *Definition) { d.TimeZone = "UTC" }, nil},
		{"no time zone", func(d *Definition) { d.TimeZone = "" }, []string{"time_zone"}},
		{"Local", func(d *Definition) { d.TimeZone = "Local" }, []string{"time_zone"}},
		{"an unknown zone matters where the window is none, too", func(d *Definition) { d.Window, d.TimeZone = WindowNone, "Mars/Utopia" }, []string{"time_zone"}},
		{"never opens, never closes", func(d *Definition) { d.OpensAt, d.ClosesAt = 0, 0 }, nil},
		{"opens only", func(d *Definition) { d.ClosesAt = 0 }, nil},
		{"closes only", func(d *Definition) { d.OpensAt = 0 }, nil},
		{"closes as it opens", func(d *Definition) { d.ClosesAt = d.OpensAt }, []string{"closes_at"}},
		{"closes before it opens", func(d *Definition) { d.ClosesAt = d.OpensAt - 1 }, []string{"closes_at"}},
		{"opens in 1969", func(d *Definition) { d.OpensAt = -1 }, []string{"opens_at"}},
		{"closes in 1969", func(d *Definition) { d.ClosesAt = -1 }, []string{"closes_at"}},
		{"closes with 9999", func(d *Definition) { d.ClosesAt = MaxTime }, nil},
		{"closes in 10000", func(d *Definition) { d.ClosesAt = MaxTime + 1 }, []string{"closes_at"}},
		{"opens in 10000", func(d *Definition) { d.OpensAt = MaxTime + 1 }, []string{"opens_at"}},
		{"rules absent", func(d *Definition) { d.Rules = 0 }, []string{"rules"}},
		{"rules of later code", func(d *Definition) { d.Rules = 2 }, []string{"rules"}},
		{"everything", func(d *Definition) { *d = Definition{OpensAt: -1, ClosesAt: -2, Rules: -1} },
			[]string{"limit", "window", "time_zone", "opens_at", "closes_at", "rules"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := good
			tt.change(&d)
			var wrong []string
			for _, p := range d.Validate() {
				wrong = append(wrong, p.Member)
				if p.Detail == "" {
					t.Errorf("%s: no detail", p.Member)
				}
			}
			if !slices.Equal(wrong, tt.wrong) {
				t.Errorf("wrong are %v, want %v", wrong, tt.wrong)
			}
		})
	}
}

func TestMillis(t *testing.T) {
	if MaxTime.Time().Format(time.RFC3339Nano) != "9999-12-31T23:59:59.999Z" {
		t.Errorf("MaxTime is %v", MaxTime.Time())
	}
	if FromTime(time.Time{}) != 0 || !Millis(0).Time().IsZero() {
		t.Error("the zero time is not absent")
	}
	at := time.Date(2026, 11, 22, 0, 0, 0, 1_999_999, time.FixedZone("", 9*60*60))
	if got := FromTime(at).Time(); !got.Equal(at.Truncate(time.Millisecond)) || got.Location() != time.UTC {
		t.Errorf("%v became %v", at, got)
	}
	if got := FromTime(time.Unix(0, -1)); got != -1 {
		t.Errorf("a nanosecond before 1970 is %d", got)
	}
}
