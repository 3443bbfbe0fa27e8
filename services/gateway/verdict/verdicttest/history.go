// Package verdicttest makes up requests logs in which everything happens, and what they led to.
package verdicttest

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/internal/redislayout"
	"github.com/firstcome/firstcome/services/gateway/verdict"
)

// Asked is one record of a made-up requests log: a definition, or a claim of coupon by user.
type Asked struct {
	Time         fcfs.Millis
	Define       *fcfs.Definition
	Coupon, User string
}

func (a Asked) String() string {
	if a.Define != nil {
		return fmt.Sprintf("%s define %+v", a.Time.Time().Format(time.RFC3339Nano), *a.Define)
	}
	return fmt.Sprintf("%s claim %s by %s", a.Time.Time().Format(time.RFC3339Nano), a.Coupon, a.User)
}

const (
	Hour  fcfs.Millis = 3_600_000
	Began fcfs.Millis = 1795500000000 // some day of 2026, when histories begin
)

// History makes a log of n records: few coupons and people, so that everything happens; times that jump about and now and
// then go backwards, so that windows open, close, end and retire in it.
func History(r *rand.Rand, n int) []Asked {
	at, log := Began, make([]Asked, n)
	for i := range log {
		switch r.IntN(12) {
		case 0:
			at += fcfs.Millis(r.Int64N(int64(20 * Hour)))
		case 1:
			at -= fcfs.Millis(r.Int64N(int64(2 * Hour)))
		default:
			at += fcfs.Millis(r.Int64N(int64(Hour)))
		}
		log[i] = Asked{Time: at, Coupon: fmt.Sprint("c", r.IntN(2)), User: fmt.Sprint("u", r.IntN(4))}
		if i == 0 || r.IntN(8) == 0 {
			log[i].Define = definition(r, log[i].Coupon, at)
		}
	}
	return log
}

func definition(r *rand.Rand, coupon string, at fcfs.Millis) *fcfs.Definition {
	d := &fcfs.Definition{CouponID: coupon, Limit: 1 + r.Int64N(3), Window: fcfs.WindowNone, TimeZone: "Asia/Seoul", Rules: 1}
	if coupon == "c1" {
		d.Window = fcfs.WindowDaily
	}
	if r.IntN(2) == 0 {
		d.OpensAt = at + fcfs.Millis(r.Int64N(int64(4*Hour))) - Hour
	}
	if r.IntN(2) == 0 {
		d.ClosesAt = max(at, d.OpensAt) + fcfs.Millis(r.Int64N(int64(30*Hour))) + 1
	}
	return d
}

// Replay is the state at the end of a log, and the outcome of each record.
func Replay(log []Asked) (*fcfs.Log, []fcfs.Outcome) {
	l, outcomes := fcfs.NewLog(0), make([]fcfs.Outcome, len(log))
	for i, a := range log {
		if a.Define != nil {
			outcomes[i], _ = l.Define(int64(i), a.Time, *a.Define)
			continue
		}
		decision, _ := l.Claim(int64(i), a.Time, a.Coupon, a.User)
		outcomes[i] = decision.Outcome
	}
	return l, outcomes
}

// Reading is what Redis tells of a claim in the state l.
func Reading(l *fcfs.Log, t verdict.Ticket) verdict.Reading {
	r := verdict.Reading{Progress: redislayout.Progress{Offset: l.Progress(), AppendTime: l.AppendTime(), LogTime: l.LogTime()}}
	c := l.Coupon(t.CouponID)
	if c == nil {
		return r
	}
	r.Definitions = c.Definitions()
	r.Window = verdict.WindowOf(t)(r.Definitions)
	r.Granted, r.Total = c.Count(r.Window), c.Total()
	if e, ok := c.Entry(r.Window, t.UserID); ok {
		r.Entry = &e
	}
	return r
}
