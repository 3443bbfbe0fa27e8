package simulation

import (
	"fmt"
	"time"

	"github.com/firstcome/firstcome/internal/fcfs"
)

// grant is who got what, and for which record of the requests log.
type grant struct {
	offset          int64
	coupon, window  string
	user            string
	sequence, limit int64
}

func (g grant) String() string {
	return fmt.Sprintf("%q has %s %s number %d of %d by offset %d", g.user, g.coupon, g.window, g.sequence, g.limit, g.offset)
}

// expected tells once more who has to get what, in words of its own: of the code under test, and of the rules that it is
// held against, it uses nothing. It knows the two time zones that people use here, and neither has summer time.
func expected(asked []*asked) []grant {
	e := expectation{coupons: map[string]*couponState{}}
	for _, a := range asked {
		e.logTime = max(e.logTime, a.time)
		switch {
		case a.refused != "":
		case a.definition != nil:
			e.define(*a.definition)
		default:
			e.claim(a)
		}
	}
	return e.grants
}

type expectation struct {
	logTime fcfs.Millis
	coupons map[string]*couponState
	grants  []grant
}

type couponState struct {
	fcfs.Definition
	given   int
	in      map[string]int64 // given in a window
	holders map[string]bool  // window and person
}

const aDay = 24 * hour

func (e *expectation) define(d fcfs.Definition) {
	c := e.coupons[d.CouponID]
	switch {
	case c == nil:
		e.coupons[d.CouponID] = &couponState{Definition: d, in: map[string]int64{}, holders: map[string]bool{}}
	case e.over(c):
	case c.given > 0 && (c.Window != d.Window || c.TimeZone != d.TimeZone):
	default:
		c.Definition = d
	}
}

// over: a coupon is gone for good a day after it closed.
func (e *expectation) over(c *couponState) bool {
	return c.ClosesAt != 0 && e.logTime >= c.ClosesAt+aDay
}

func (e *expectation) claim(a *asked) {
	c := e.coupons[a.coupon]
	if c == nil || e.over(c) {
		return
	}
	window := ""
	if c.Window == fcfs.WindowDaily {
		var tomorrow fcfs.Millis
		if window, tomorrow = dayOf(a.time, c.TimeZone); e.logTime >= tomorrow+aDay {
			return
		}
	}
	early, late := a.time < c.OpensAt, c.ClosesAt != 0 && a.time >= c.ClosesAt
	if holder := window + "/" + a.user; !early && !late && !c.holders[holder] && c.in[window] < c.Limit {
		c.given++
		c.in[window]++
		c.holders[holder] = true
		e.grants = append(e.grants, grant{a.offset, a.coupon, window, a.user, c.in[window], c.Limit})
	}
}

// dayOf is the day of an instant, and when the next one begins.
func dayOf(t fcfs.Millis, zone string) (day string, tomorrow fcfs.Millis) {
	east := fcfs.Millis(0)
	if zone == "Asia/Seoul" {
		east = 9 * hour
	}
	local := t + east
	return time.UnixMilli(int64(local)).UTC().Format(time.DateOnly), (local/aDay+1)*aDay - east
}
