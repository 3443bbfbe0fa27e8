package gateway

import (
	"fmt"
	"time"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/internal/problem"
)

// problemOf names the refusals that the log decides about claims.
var problemOf = map[fcfs.Outcome]string{
	fcfs.AlreadyIssued: problem.AlreadyIssued,
	fcfs.SoldOut:       problem.SoldOut,
	fcfs.NotOpen:       problem.NotOpen,
	fcfs.Closed:        problem.Closed,
	fcfs.UnknownCoupon: problem.UnknownCoupon,
	fcfs.Retired:       problem.Retired,
}

var detailOf = map[fcfs.Outcome]string{
	fcfs.AlreadyIssued: "this person holds the coupon already",
	fcfs.SoldOut:       "all coupons were given out before this claim",
	fcfs.NotOpen:       "the claim came before the coupon opens",
	fcfs.Closed:        "the claim came after the coupon closed",
	fcfs.UnknownCoupon: "there is no such coupon",
	fcfs.Retired:       "the coupon closed more than a day ago; the ledger knows who was granted",
}

// refused is the problem of a claim that is not granted.
func refused(o fcfs.Outcome) *problem.Problem {
	name, known := problemOf[o]
	if !known {
		return problem.New(problem.Internal, "").Because(fmt.Errorf("a claim with outcome %s", o))
	}
	return problem.New(name, detailOf[o])
}

// unavailable asks to come back soon.
func unavailable(detail string, cause error) *problem.Problem {
	p := problem.New(problem.Unavailable, detail).After(time.Second)
	if cause != nil {
		p = p.Because(cause)
	}
	return p
}
