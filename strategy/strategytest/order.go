package strategytest

import (
	"sync"

	"github.com/firstcome/firstcome/strategy"
)

// order has eighty people ask for twenty, and compares with the order in which they came.
func order(t T, s Subject) map[strategy.Fault]int {
	sale := s.Ordered(t, 20, People(80))
	if len(sale.Arrived) != 80 {
		t.Fatalf("%d of 80 people were seen to arrive", len(sale.Arrived))
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
