package partitiontest

import (
	"fmt"
	"math/rand/v2"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/services/issuer/partition"
)

const (
	hour  = fcfs.Millis(3600_000)
	began = fcfs.Millis(1_800_000_000_000)
)

// RandomHistory is a log of few coupons and few people, so that everything meets: limits up and down, days, openings and
// closings, retirement, redefinition, records that are refused, clocks that go back.
func RandomHistory(rng *rand.Rand, records int) []partition.Request {
	t := began
	coupons := []string{"a", "b", "c"}
	var log []partition.Request
	for range records {
		t += fcfs.Millis(rng.Int64N(int64(hour)))
		switch rng.IntN(25) {
		case 0:
			t += 20 * hour
		case 1:
			t -= 5 * hour
		}
		id := coupons[rng.IntN(len(coupons))]
		switch n := rng.IntN(20); {
		case n < 4 || len(log) < 2:
			log = append(log, Define(t, randomDefinition(rng, id, t)))
		case n == 4 && rng.IntN(2) == 0:
			log = append(log, RefuseNewer(t))
		case n == 4:
			log = append(log, Refuse(t, 1+rng.Int64N(3)))
		default:
			log = append(log, Claim(t, id, people[rng.IntN(len(people))]))
		}
	}
	return log
}

// people have ids with everything in them that separates something somewhere.
var people = []string{"u0", "u1", "2:3", `4 "x"`, `5\\`, "여섯|+{}"}

func randomDefinition(rng *rand.Rand, id string, t fcfs.Millis) fcfs.Definition {
	d := fcfs.Definition{CouponID: id, Limit: 1 + rng.Int64N(4), Window: fcfs.WindowNone, TimeZone: "UTC", Rules: 1}
	if id == "b" || rng.IntN(6) == 0 {
		d.Window = fcfs.WindowDaily
	}
	if rng.IntN(4) == 0 {
		d.TimeZone = "Asia/Seoul"
	}
	if rng.IntN(3) == 0 {
		d.OpensAt = t + fcfs.Millis(rng.Int64N(int64(3*hour)))
	}
	if rng.IntN(3) == 0 {
		d.ClosesAt = max(t, d.OpensAt) + fcfs.Millis(rng.Int64N(int64(60*hour))) - 36*hour
		if d.ClosesAt <= d.OpensAt {
			d.ClosesAt = d.OpensAt + hour
		}
	}
	return d
}

// LongHistory is one RandomHistory after another, each about coupons of its own, and once in a while about those of one
// before, which may be closed or retired by then. Half of them have fewer definitions, and stock for many people.
func LongHistory(rng *rand.Rand, records int) []partition.Request {
	var log []partition.Request
	past := fcfs.Millis(0)
	for n := 0; len(log) < records; n++ {
		chapter := RandomHistory(rng, 30+rng.IntN(60))
		last := chapter[len(chapter)-1].Time
		crowd := rng.IntN(2) == 0
		for i := range chapter {
			q := &chapter[i]
			if crowd && q.Definition != nil && i > 10 && rng.IntN(5) > 0 {
				*q = Claim(q.Time, q.CouponID, people[rng.IntN(len(people))])
			}
			if crowd && q.UserID != "" {
				q.UserID = fmt.Sprint(q.UserID, rng.IntN(30))
			}
			of := n
			if rng.IntN(12) == 0 {
				of = rng.IntN(n + 1)
			}
			*q = later(*q, past, of, crowd)
		}
		past += last - began
		log = append(log, chapter...)
	}
	return log[:records]
}

// later is a request of a later chapter.
func later(q partition.Request, past fcfs.Millis, chapter int, crowd bool) partition.Request {
	q.Time += past
	if q.CouponID == "" {
		return q
	}
	q.CouponID = fmt.Sprint(q.CouponID, chapter)
	if q.Definition == nil {
		return q
	}
	d := *q.Definition
	d.CouponID = q.CouponID
	if d.OpensAt != 0 {
		d.OpensAt += past
	}
	if d.ClosesAt != 0 {
		d.ClosesAt += past
	}
	if crowd {
		d.Limit *= 15
	}
	q.Definition = &d
	return q
}
