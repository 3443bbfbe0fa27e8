package strategy

import (
	"errors"
	"testing"

	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/strategy"
)

// Who waits for longer than a second is told so, and nothing is decided.
func TestLock_Busy(t *testing.T) {
	t.Parallel()
	client := coupontest.StartAlone(t, coupontest.Redis).Redis(t)
	shop := strategy.Lock{Redis: client}
	check(t, shop.SetLimit(t.Context(), "tea", 1))
	check(t, client.Set(t.Context(), "lock:coupon:tea", "somebody", 0).Err())
	if _, err := shop.Claim(t.Context(), "tea", "ada"); !errors.Is(err, strategy.ErrBusy) {
		t.Errorf("ada is told %v", err)
	}
	if left, err := shop.Remaining(t.Context(), "tea"); err != nil || left != 1 {
		t.Errorf("there remain %d, %v", left, err)
	}
}
