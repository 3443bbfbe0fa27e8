package coupontest

import (
	"fmt"

	"github.com/firstcome/firstcome/pkg/event"
)

// Coupon is the definition of a coupon that is given once to each person, limit times in all, from now on and without an
// end. What else it should have is set on what is returned. Running.Define puts it in force; its Message is what a producer
// publishes.
func Coupon(id string, limit int64) event.CouponDefined {
	return event.CouponDefined{CouponID: id, Limit: limit, Window: event.WindowNone, TimeZone: "UTC"}
}

// Claims are n claims for a coupon, each of another person: person-001 to person-500 where n is 500.
func Claims(couponID string, n int) []event.ClaimRequested {
	claims := make([]event.ClaimRequested, n)
	digits := len(fmt.Sprint(n))
	for i := range claims {
		claims[i] = event.ClaimRequested{CouponID: couponID, UserID: fmt.Sprintf("person-%0*d", digits, i+1)}
	}
	return claims
}
