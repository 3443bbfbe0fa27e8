package strategytest

import (
	"errors"
	"maps"
	"slices"

	"github.com/firstcome/firstcome/strategy"
)

// redisLost sells two of four, loses Redis, and goes on selling to everybody, the two among them. Forgotten counts who of the
// two is no longer listed, or is given another one; the other faults are those of the sale that goes on.
func redisLost(t T, s Subject) map[strategy.Fault]int {
	shop, id := s.New(t), s.CouponID(t)
	must(t, shop.SetLimit(t.Context(), id, 4))
	end := Work(t, s.New(t), id)
	had := given(ask(t, shop, id, People(2)))
	end()
	if len(had) != 2 {
		t.Fatalf("two asked for four, and %v have one", had)
	}
	s.LoseRedis(t)

	forgotten := make(map[string]bool)
	listed := s.stillListed(t, shop, id)
	for _, user := range had {
		if !slices.Contains(listed, user) {
			forgotten[user] = true
		}
	}
	if len(forgotten) > 0 {
		must(t, shop.SetLimit(t.Context(), id, 4)) // as the shop would, who knows no better
	}
	t.Cleanup(Work(t, s.New(t), id))
	told := ask(t, shop, id, People(6))
	for _, user := range given(told) {
		if slices.Contains(had, user) {
			forgotten[user] = true
		}
	}
	faults := strategy.Count(s.Sale(t, shop, id, 4, told))
	if n := len(forgotten); n > 0 {
		faults[strategy.Forgotten] = n
	}
	if s.fails(strategy.Forgotten) && len(forgotten) != len(had) {
		t.Errorf("the page of %s says %s, and of %v it was only %v", s.Page.Name, strategy.Forgotten, had, slices.Collect(maps.Keys(forgotten)))
	}
	return faults
}

// stillListed is whom the strategy lists when its Redis is back. Where the coupon is unknown that is nobody.
func (s Subject) stillListed(t T, shop strategy.Strategy, couponID string) []string {
	t.Helper()
	return Eventually(t, func() ([]string, error) {
		users, err := shop.Issued(t.Context(), couponID)
		if errors.Is(err, strategy.ErrCouponNotFound) {
			return nil, nil
		}
		return users, err
	})
}

// given are the people who were given one.
func given(told []strategy.Told) (users []string) {
	for _, one := range told {
		if one.Err == nil && one.Answer == strategy.Issued {
			users = append(users, one.UserID)
		}
	}
	return users
}

// ask has people ask one after the other.
func ask(t T, shop strategy.Strategy, couponID string, people []string) (told []strategy.Told) {
	for _, user := range people {
		told = append(told, Decided(t, shop, couponID, user))
	}
	return told
}
