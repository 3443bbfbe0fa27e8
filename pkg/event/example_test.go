package event_test

import (
	"errors"
	"fmt"

	"github.com/firstcome/firstcome/pkg/event"
)

// An upstream system asks for a coupon in a person's name.
func ExampleClaimRequested_Message() {
	claim := event.ClaimRequested{CouponID: "blackfriday-2026", UserID: "u1"}
	m, err := claim.Message(event.Meta{Source: "/crm"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(m.Key), string(m.Value), "to partition", event.Partition(claim.CouponID, 12))
	// Output: blackfriday-2026 {"coupon_id":"blackfriday-2026","user_id":"u1"} to partition 0
}

func ExampleParseObject() {
	o, err := event.ParseObject([]byte(`{"limit":1e2,"Window":"none"}`))
	if err != nil {
		fmt.Println(err) // a *event.SyntaxError: answer 400
		return
	}
	limit := o.Int("limit", true, 1, event.MaxLimit)
	window := o.String("window", true)
	o.Unknown()
	if errs := o.Errors(); errs != nil {
		fmt.Println(event.FieldErrors(errs)) // answer 422
		return
	}
	fmt.Println(limit, window)
	// Output: #/limit must be an integer, without fraction or exponent; #/window is required; #/Window is not known
}

func ExampleDecode() {
	_, err := event.Decode(event.Record{Topic: "coupon.requests", Value: []byte("hello")})
	var refused *event.DecodeError
	if errors.As(err, &refused) {
		fmt.Println(refused.Reason)
	}
	// Output: not_cloudevent
}
