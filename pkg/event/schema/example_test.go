package schema_test

import (
	"encoding/json"
	"fmt"

	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/event/schema"
)

func ExampleValue() {
	var s struct {
		Title    string
		Required []string
	}
	if err := json.Unmarshal(schema.Value("coupon.requests", event.TypeClaimRequested), &s); err != nil {
		panic(err)
	}
	fmt.Println(s.Title, s.Required)
	// Output: firstcome.claim.requested [coupon_id user_id]
}
