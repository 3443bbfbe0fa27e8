package strategytest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/firstcome/firstcome/strategy"
)

// contract is what no page may be excused from: one server, people one after the other.
func contract(t *testing.T, s Subject) {
	t.Run("first come", func(t *testing.T) { firstCome(t, s) })
	t.Run("limit changed", func(t *testing.T) { limitChanged(t, s) })
	t.Run("no such coupon", func(t *testing.T) { noSuchCoupon(t, s) })
	t.Run("bad input", func(t *testing.T) { badInput(t, s) })
	t.Run("context ended", func(t *testing.T) { contextEnded(t, s) })
}

// open defines a coupon, with a worker where one is needed.
func open(t T, s Subject, limit int64) (shop strategy.Strategy, couponID string) {
	t.Helper()
	shop, couponID = s.New(t), s.CouponID(t)
	must(t, shop.SetLimit(t.Context(), couponID, limit))
	t.Cleanup(Work(t, s.New(t), couponID))
	return shop, couponID
}

// once claims a single time: whatever is told is told, also that something went wrong.
func once(t T, shop strategy.Strategy, couponID, userID string) strategy.Told {
	t.Helper()
	answer, err := shop.Claim(t.Context(), couponID, userID)
	if answer == strategy.Accepted && err == nil {
		return Result(t, shop.(strategy.Decider), couponID, userID)
	}
	return strategy.Told{UserID: userID, Answer: answer, Err: err}
}

func firstCome(t T, s Subject) {
	shop, id := open(t, s, 2)
	for _, step := range []struct {
		user string
		want error
		left int64
	}{
		{"ada", nil, 1}, {"ada", strategy.ErrAlreadyIssued, 1}, {"보람", nil, 0}, {"eve", strategy.ErrExhausted, 0},
		{"ada", strategy.ErrAlreadyIssued, 0}, {"eve", strategy.ErrExhausted, 0},
	} {
		if told := once(t, shop, id, step.user); !errors.Is(told.Err, step.want) {
			t.Errorf("%s is told %v, want %v", step.user, told.Err, step.want)
		}
		if left, err := shop.Remaining(t.Context(), id); err != nil || left != step.left {
			t.Errorf("after %s there remain %d, %v; want %d", step.user, left, err, step.left)
		}
	}
	listed(t, shop, id, "ada", "보람")
}

// listed waits until so many people are listed, and compares.
func listed(t T, shop strategy.Strategy, couponID string, want ...string) {
	t.Helper()
	got := Eventually(t, func() ([]string, error) {
		users, err := shop.Issued(t.Context(), couponID)
		if err == nil && len(users) < len(want) {
			err = errors.New("not yet")
		}
		return users, err
	})
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%v are listed, want %v", got, want)
	}
}

func limitChanged(t *testing.T, s Subject) {
	shop, id := open(t, s, 1)
	ask := func(user string, want error) {
		t.Helper()
		if told := once(t, shop, id, user); !errors.Is(told.Err, want) {
			t.Errorf("%s is told %v, want %v", user, told.Err, want)
		}
	}
	ask("ada", nil)
	ask("bob", strategy.ErrExhausted)
	must(t, shop.SetLimit(t.Context(), id, 3))
	ask("bob", nil) // who was refused when he came, which a Log does not remember
	ask("fay", nil)
	ask("gil", strategy.ErrExhausted)
	must(t, shop.SetLimit(t.Context(), id, 2))
	ask("hal", strategy.ErrExhausted)
	if left, err := shop.Remaining(t.Context(), id); err != nil || left != 0 {
		t.Errorf("there remain %d, %v; want 0", left, err)
	}
	listed(t, shop, id, "ada", "bob", "fay")
}

func noSuchCoupon(t *testing.T, s Subject) {
	shop, id := s.New(t), s.CouponID(t)
	if told := once(t, shop, id, "ada"); !errors.Is(told.Err, strategy.ErrCouponNotFound) {
		t.Errorf("a claim is told %v", told.Err)
	}
	if _, err := shop.Remaining(t.Context(), id); !errors.Is(err, strategy.ErrCouponNotFound) {
		t.Errorf("Remaining says %v", err)
	}
	if _, err := shop.Issued(t.Context(), id); !errors.Is(err, strategy.ErrCouponNotFound) {
		t.Errorf("Issued says %v", err)
	}
}

// The error names what is wrong, and nothing is written.
func badInput(t *testing.T, s Subject) {
	shop, id := open(t, s, 1)
	for _, bad := range []string{"", "te:a", ".tea", strings.Repeat("x", 101), "té", "a/b", "a b", "tea\n"} {
		_, claimed := shop.Claim(t.Context(), bad, "ada")
		_, issued := shop.Issued(t.Context(), bad)
		_, left := shop.Remaining(t.Context(), bad)
		for _, err := range []error{claimed, issued, left, shop.SetLimit(t.Context(), bad, 1)} {
			if err == nil || !strings.Contains(err.Error(), "coupon id") {
				t.Errorf("coupon id %q: %v", bad, err)
			}
		}
	}
	for _, bad := range []string{"", "\x00", "a\nb", "\xff", strings.Repeat("x", 201)} {
		if _, err := shop.Claim(t.Context(), id, bad); err == nil || !strings.Contains(err.Error(), "user id") {
			t.Errorf("user id %q: %v", bad, err)
		}
	}
	for _, bad := range []int64{0, -1, 100_000_001} {
		if err := shop.SetLimit(t.Context(), id, bad); err == nil || !strings.Contains(err.Error(), "limit") {
			t.Errorf("limit %d: %v", bad, err)
		}
	}
	if left, err := shop.Remaining(t.Context(), id); err != nil || left != 1 {
		t.Errorf("after all that there remain %d, %v; want 1", left, err)
	}
}

func contextEnded(t *testing.T, s Subject) {
	shop, id := open(t, s, 1)
	ctx, end := context.WithCancel(t.Context())
	end()
	if _, err := shop.Claim(ctx, id, "ada"); !errors.Is(err, context.Canceled) {
		t.Errorf("a claim whose context has ended is told %v", err)
	}
	if told := once(t, shop, id, "bob"); told.Err != nil {
		t.Errorf("the next one is told %v", told.Err)
	}
}
