package verdict_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/internal/redislayout"
	"github.com/firstcome/firstcome/services/gateway/verdict"
	"github.com/firstcome/firstcome/services/gateway/verdict/verdicttest"
)

// Whatever state Redis is in, an answer about a claim is the log's own, or none; and none only while the state has not
// reached the claim, or has dropped its people.
func TestJudge_NeverContradictsTheLog(t *testing.T) {
	told := map[fcfs.Outcome]int{}
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 3))
		log := verdicttest.History(r, 60)
		_, want := verdicttest.Replay(log)
		for p := range log {
			state, _ := verdicttest.Replay(log[:p+1])
			for o, a := range log {
				if a.Define != nil {
					continue
				}
				x := verdict.Ticket{Offset: int64(o), AppendTime: a.Time, CouponID: a.Coupon, UserID: a.User}
				got := verdict.Judge(x, verdicttest.Reading(state, x), 0)
				told[got.Outcome]++
				switch {
				case got.Outcome == fcfs.None:
					if p >= o || got.Position != int64(o-p) {
						t.Fatalf("seed %d, progress %d: claim %d is pending with position %d", seed, p, o, got.Position)
					}
				case p < o:
					t.Fatalf("seed %d, progress %d: claim %d is told %s before it was decided", seed, p, o, got.Outcome)
				case got.Outcome == fcfs.Retired:
					d := state.Coupon(a.Coupon).Current()
					over := func(end fcfs.Millis) bool { return end != 0 && state.LogTime() >= end+24*verdicttest.Hour }
					if !over(d.ClosesAt) && !over(d.DayEnd(verdicttest.Reading(state, x).Window)) {
						t.Fatalf("seed %d, progress %d: claim %d is called retired, and is not", seed, p, o)
					}
				case got.Outcome != want[o]:
					t.Fatalf("seed %d, progress %d: claim %d (%s) is told %s, and was %s", seed, p, o, a, got.Outcome, want[o])
				}
			}
		}
	}
	for _, o := range []fcfs.Outcome{fcfs.None, fcfs.Granted, fcfs.AlreadyIssued, fcfs.SoldOut, fcfs.NotOpen, fcfs.Closed, fcfs.UnknownCoupon, fcfs.Retired} {
		if told[o] < 100 {
			t.Errorf("%s was told only %d times: the histories are too tame", o, told[o])
		}
	}
}

// Whether a definition took effect is told truly too.
func TestJudgeDefinition_NeverContradictsTheLog(t *testing.T) {
	told := map[fcfs.Outcome]int{}
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 4))
		log := verdicttest.History(r, 60)
		for i := range log {
			if log[i].Define != nil && r.IntN(4) == 0 {
				log[i].Define.TimeZone = "Europe/Berlin"
			}
		}
		_, want := verdicttest.Replay(log)
		for p := range log {
			state, _ := verdicttest.Replay(log[:p+1])
			for o, a := range log[:p+1] {
				if a.Define == nil {
					continue
				}
				got := verdict.JudgeDefinition(*a.Define, int64(o), verdicttest.Reading(state, verdict.Ticket{CouponID: a.Coupon}), 0)
				told[got]++
				// A conflict of long ago may be called retired once the coupon is: both are no, and true by then.
				late := want[o] == fcfs.Conflict && got == fcfs.Retired && state.Coupon(a.Coupon).Current().CouponRetired(state.LogTime())
				if got != want[o] && !late {
					t.Fatalf("seed %d, progress %d: definition %d is told %s, and was %s", seed, p, o, got, want[o])
				}
			}
		}
	}
	for _, o := range []fcfs.Outcome{fcfs.Created, fcfs.Changed, fcfs.Conflict, fcfs.Retired} {
		if told[o] < 100 {
			t.Errorf("%s was told only %d times: the histories are too tame", o, told[o])
		}
	}
}

func TestJudge(t *testing.T) {
	first := fcfs.Definition{CouponID: "c", Limit: 1, Window: fcfs.WindowNone, TimeZone: "UTC", Rules: 1}
	claim := verdict.Ticket{Offset: 10, AppendTime: verdicttest.Began, CouponID: "c", UserID: "u"}
	at := func(offset int64, entry *fcfs.Entry) verdict.Reading {
		return verdict.Reading{
			Progress:    redislayout.Progress{Offset: offset, LogTime: verdicttest.Began},
			Definitions: []fcfs.Defined{{Offset: 1, Definition: first}}, Entry: entry,
		}
	}
	for _, c := range []struct {
		what  string
		r     verdict.Reading
		heard int64
		want  fcfs.Outcome
	}{
		{"not reached", at(9, nil), 0, fcfs.None},
		{"not reached, and the person holds one", at(9, &fcfs.Entry{Sequence: 1, Offset: 3}), 0, fcfs.None},
		{"Redis is empty", at(-1, nil), 12, fcfs.None},
		{"Redis was rewound: reached, and lower than heard", at(11, nil), 12, fcfs.None},
		{"its own entry", at(10, &fcfs.Entry{Sequence: 1, Offset: 10}), 10, fcfs.Granted},
		{"an earlier entry", at(10, &fcfs.Entry{Sequence: 1, Offset: 3}), 0, fcfs.AlreadyIssued},
		{"no entry", at(10, nil), 0, fcfs.SoldOut},
		{"a later entry: the limit was raised, and the person came again", at(20, &fcfs.Entry{Sequence: 2, Offset: 15}), 0, fcfs.SoldOut},
	} {
		if got := verdict.Judge(claim, c.r, c.heard); got.Outcome != c.want {
			t.Errorf("%s: told %s, want %s", c.what, got.Outcome, c.want)
		}
	}
}

func TestRulesAt_Border(t *testing.T) {
	// 2026-11-22T15:00Z is midnight in Seoul.
	midnight := fcfs.FromTime(time.Date(2026, 11, 22, 15, 0, 0, 0, time.UTC))
	opens, closes := midnight+verdicttest.Hour, midnight+5*verdicttest.Hour
	d := fcfs.Definition{CouponID: "c", Limit: 1, Window: fcfs.WindowDaily, TimeZone: "Asia/Seoul", OpensAt: opens, ClosesAt: closes, Rules: 1}
	for _, c := range []struct {
		now    fcfs.Millis
		near   bool
		window string
		want   fcfs.Outcome
	}{
		{opens - 2001, false, "2026-11-23", fcfs.NotOpen},
		{opens - 2000, true, "2026-11-23", fcfs.NotOpen},
		{opens, true, "2026-11-23", fcfs.None},
		{opens + 2000, true, "2026-11-23", fcfs.None},
		{opens + 2001, false, "2026-11-23", fcfs.None},
		{closes - 2001, false, "2026-11-23", fcfs.None},
		{closes - 2000, true, "2026-11-23", fcfs.None},
		{closes + 2000, true, "2026-11-23", fcfs.Closed},
		{closes + 2001, false, "2026-11-23", fcfs.Closed},
		{midnight - 2001, false, "2026-11-22", fcfs.NotOpen},
		{midnight - 2000, true, "2026-11-22", fcfs.NotOpen},
		{midnight + 2000, true, "2026-11-23", fcfs.NotOpen},
		{midnight + 2001, false, "2026-11-23", fcfs.NotOpen},
	} {
		got := verdict.RulesAt(c.now)(&d)
		if want := (verdict.Ruling{Window: c.window, Refused: c.want, Near: c.near}); got != want {
			t.Errorf("at %s: %+v, want %+v", c.now.Time(), got, want)
		}
	}
	if got := verdict.RulesAt(midnight)(nil); got != (verdict.Ruling{}) {
		t.Errorf("an unknown coupon: %+v", got)
	}
}
