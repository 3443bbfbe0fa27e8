package gateway

import (
	"fmt"
	"testing"
)

// The README's story: a coupon of three, five people.
func TestGateway_Story(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.put("tea", `{"limit":3}`).is(t, 201, "")
	var third reply
	for i := 1; i <= 5; i++ {
		got := r.claim("tea", fmt.Sprint("user-", i), "wait=5")
		if i > 3 {
			got.is(t, 409, "sold-out")
			continue
		}
		third = got.is(t, 200, "")
		if got.string("status") != "granted" || got.number("sequence") != int64(i) || got.string("window") != "" {
			t.Errorf("claim %d: %s", i, got.text)
		}
		if got.header.Get("Preference-Applied") != "wait=5" {
			t.Errorf("claim %d: Preference-Applied is %q", i, got.header.Get("Preference-Applied"))
		}
		if again := r.get("/v1/claims/"+got.string("claim_id")).is(t, 200, ""); again.text != got.text {
			t.Errorf("told %s, then %s", got.text, again.text)
		}
	}
	again := r.claim("tea", "user-3", "").is(t, 409, "duplicate-request")
	if again.string("claim_id") != third.string("claim_id") {
		t.Errorf("the duplicate is told claim %q, the first was %q", again.string("claim_id"), third.string("claim_id"))
	}
	r.expireGuards()
	later := r.claim("tea", "user-3", "").is(t, 409, "already-issued")
	grant, _ := later.body["grant"].(map[string]any)
	if grant["sequence"] != float64(3) || grant["grant_id"] != third.string("grant_id") || grant["window"] != "" {
		t.Errorf("already-issued with grant %v, want that of %s", grant, third.text)
	}
	if claim, told := later.body["claim_id"]; told {
		t.Errorf("an early refusal has the claim id %v", claim)
	}
	coupon := r.get("/v1/coupons/tea").is(t, 200, "")
	want := `{"coupon_id":"tea","limit":3,"granted":3,"remaining":0,"status":"sold_out","window":"none","current_window":"","time_zone":"UTC"}` + "\n"
	if coupon.text != want {
		t.Errorf("coupon\n%swant\n%s", coupon.text, want)
	}
}
