package strategytest

import (
	"cmp"
	"sync"

	"github.com/firstcome/firstcome/strategy"
)

// order has people ask for a quarter as many, and compares with the order in which they came.
func order(t T, s Subject) map[strategy.Fault]int {
	people := People(min(80, cmp.Or(s.Crowd, crowdPeople)))
	sale := s.Ordered(t, int64(len(people)/4), people)
	if len(sale.Arrived) != len(people) {
		t.Fatalf("%d of %d people were seen to arrive", len(sale.Arrived), len(people))
	}
	return strategy.Count(sale)
}

// askAtOnce has everybody ask at the same time, each at one of the shops.
func askAtOnce(t T, shops []strategy.Strategy, couponID string, people []string) []strategy.Told {
	told := make([]strategy.Told, len(people))
	var asking sync.WaitGroup
	for i, user := range people {
		asking.Go(func() { told[i] = Decided(t, shops[i%len(shops)], couponID, user) })
	}
	asking.Wait()
	return told
}
