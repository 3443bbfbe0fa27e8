package gateway

import (
	"math/rand/v2"
	"testing"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/internal/redislayout"
	"github.com/firstcome/firstcome/services/gateway/internal/redisstore"
)

// Whatever state Redis is in, an answer about a claim is the log's own, or none; and none only while the state has not
// reached the claim, or has dropped its people.
func TestJudge_NeverContradictsTheLog(t *testing.T) {
	told := map[fcfs.Outcome]int{}
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 3))
		log := history(r, 60)
		_, want := replay(log)
		for p := range log {
			state, _ := replay(log[:p+1])
			for o, a := range log {
				if a.define != nil {
					continue
				}
				x := ticket{Offset: int64(o), AppendTime: a.t, CouponID: a.coupon, UserID: a.user}
				got := judge(x, reading(state, x), 0)
				told[got.Outcome]++
				switch {
				case got.Outcome == fcfs.None:
					if p >= o || got.Position != int64(o-p) {
						t.Fatalf("seed %d, progress %d: claim %d is pending with position %d", seed, p, o, got.Position)
					}
				case p < o:
					t.Fatalf("seed %d, progress %d: claim %d is told %s before it was decided", seed, p, o, got.Outcome)
				case got.Outcome == fcfs.Retired:
					d := state.Coupon(a.coupon).Current()
					over := func(end fcfs.Millis) bool { return end != 0 && state.LogTime() >= end+24*hour }
					if !over(d.ClosesAt) && !over(d.DayEnd(reading(state, x).Window)) {
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
		log := history(r, 60)
		for i := range log {
			if log[i].define != nil && r.IntN(4) == 0 {
				log[i].define.TimeZone = "Europe/Berlin"
			}
		}
		_, want := replay(log)
		for p := range log {
			state, _ := replay(log[:p+1])
			for o, a := range log[:p+1] {
				if a.define == nil {
					continue
				}
				got := judgeDefinition(*a.define, int64(o), reading(state, ticket{CouponID: a.coupon}), 0)
				told[got]++
				// A conflict of long ago may be called retired: both are no, and PUT has given up by then.
				if got != want[o] && !(want[o] == fcfs.Conflict && got == fcfs.Retired) {
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
	claim := ticket{Offset: 10, AppendTime: historyT, CouponID: "c", UserID: "u"}
	at := func(offset int64, entry *fcfs.Entry) redisstore.Reading {
		return redisstore.Reading{
			Progress:    redislayout.Progress{Offset: offset, LogTime: historyT},
			Definitions: []fcfs.Defined{{Offset: 1, Definition: first}}, Entry: entry,
		}
	}
	for _, c := range []struct {
		what  string
		r     redisstore.Reading
		heard int64
		want  fcfs.Outcome
	}{
		{"not reached", at(9, nil), 0, fcfs.None},
		{"not reached, and the person holds one", at(9, &fcfs.Entry{Sequence: 1, Offset: 3}), 0, fcfs.None},
		{"Redis is empty", at(redisstore.Missing, nil), 12, fcfs.None},
		{"Redis was rewound: reached, and lower than heard", at(11, nil), 12, fcfs.None},
		{"its own entry", at(10, &fcfs.Entry{Sequence: 1, Offset: 10}), 10, fcfs.Granted},
		{"an earlier entry", at(10, &fcfs.Entry{Sequence: 1, Offset: 3}), 0, fcfs.AlreadyIssued},
		{"no entry", at(10, nil), 0, fcfs.SoldOut},
		{"a later entry: the limit was raised, and the person came again", at(20, &fcfs.Entry{Sequence: 2, Offset: 15}), 0, fcfs.SoldOut},
	} {
		if got := judge(claim, c.r, c.heard); got.Outcome != c.want {
			t.Errorf("%s: told %s, want %s", c.what, got.Outcome, c.want)
		}
	}
}

func TestRuling_Border(t *testing.T) {
	// 2026-11-22T15:00Z is midnight in Seoul.
	midnight := fcfs.FromTime(mustTime("2026-11-22T15:00:00Z"))
	opens, closes := midnight+hour, midnight+5*hour
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
		got := ruling(c.now)(&d)
		if want := (redisstore.Ruling{Window: c.window, Refused: c.want, Near: c.near}); got != want {
			t.Errorf("at %s: %+v, want %+v", timeText(c.now), got, want)
		}
	}
	if got := ruling(midnight)(nil); got != (redisstore.Ruling{}) {
		t.Errorf("an unknown coupon: %+v", got)
	}
}
