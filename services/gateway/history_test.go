package gateway

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/internal/redislayout"
	"github.com/firstcome/firstcome/services/gateway/internal/redisstore"
)

// asked is one record of a made-up requests log: a definition, or a claim of coupon by user.
type asked struct {
	t            fcfs.Millis
	define       *fcfs.Definition
	coupon, user string
}

func (a asked) String() string {
	if a.define != nil {
		return fmt.Sprintf("%s define %+v", timeText(a.t), *a.define)
	}
	return fmt.Sprintf("%s claim %s by %s", timeText(a.t), a.coupon, a.user)
}

const (
	hour     fcfs.Millis = 3_600_000
	historyT fcfs.Millis = 1795500000000 // some day of 2026
)

// history makes a log of n records: few coupons and people, so that everything happens; times that jump about and now and
// then go backwards, so that windows open, close, end and retire in it.
func history(r *rand.Rand, n int) []asked {
	at, log := historyT, make([]asked, n)
	for i := range log {
		switch r.IntN(12) {
		case 0:
			at += fcfs.Millis(r.Int64N(int64(20 * hour)))
		case 1:
			at -= fcfs.Millis(r.Int64N(int64(2 * hour)))
		default:
			at += fcfs.Millis(r.Int64N(int64(hour)))
		}
		log[i] = asked{t: at, coupon: fmt.Sprint("c", r.IntN(2)), user: fmt.Sprint("u", r.IntN(4))}
		if i == 0 || r.IntN(8) == 0 {
			log[i].define = definition(r, log[i].coupon, at)
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
		d.OpensAt = at + fcfs.Millis(r.Int64N(int64(4*hour))) - hour
	}
	if r.IntN(2) == 0 {
		d.ClosesAt = max(at, d.OpensAt) + fcfs.Millis(r.Int64N(int64(30*hour))) + 1
	}
	return d
}

// replay is the state at the end of a log, and the outcome of each record.
func replay(log []asked) (*fcfs.Log, []fcfs.Outcome) {
	l, outcomes := fcfs.NewLog(0), make([]fcfs.Outcome, len(log))
	for i, a := range log {
		if a.define != nil {
			outcomes[i], _ = l.Define(int64(i), a.t, *a.define)
			continue
		}
		decision, _ := l.Claim(int64(i), a.t, a.coupon, a.user)
		outcomes[i] = decision.Outcome
	}
	return l, outcomes
}

// reading is what Redis tells of a claim in the state l.
func reading(l *fcfs.Log, t ticket) redisstore.Reading {
	r := redisstore.Reading{Progress: redislayout.Progress{Offset: l.Progress(), AppendTime: l.AppendTime(), LogTime: l.LogTime()}}
	c := l.Coupon(t.CouponID)
	if c == nil {
		return r
	}
	r.Definitions = c.Definitions()
	r.Window = windowOf(t)(r.Definitions)
	r.Granted, r.Total = c.Count(r.Window), c.Total()
	if e, ok := c.Entry(r.Window, t.UserID); ok {
		r.Entry = &e
	}
	return r
}

func mustTime(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t
}
