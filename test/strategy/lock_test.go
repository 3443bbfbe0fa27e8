package strategy

import (
	"errors"
	"testing"

	"github.com/firstcome/firstcome/strategy"
)

// Who waits for longer than a second is told so, and nothing is decided.
func TestLock_Busy(t *testing.T) {
	t.Parallel()
	client, id := place(t, "lock")
	shop := strategy.Lock{Redis: client}
	check(t, shop.SetLimit(t.Context(), id, 1))
	check(t, client.Set(t.Context(), "lock:coupon:"+id, "somebody", 0).Err())
	if _, err := shop.Claim(t.Context(), id, "ada"); !errors.Is(err, strategy.ErrBusy) {
		t.Errorf("ada is told %v", err)
	}
	if left, err := shop.Remaining(t.Context(), id); err != nil || left != 1 {
		t.Errorf("there remain %d, %v", left, err)
	}
}
