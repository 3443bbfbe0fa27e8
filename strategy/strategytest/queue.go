package strategytest

import (
	"github.com/firstcome/firstcome/strategy"
)

func (s *onRedis) queue() {
	at := *s
	s.Withstood = map[string]func(T) strategy.Sale{
		"worker killed": at.workerKilled,                                               // the next one begins with ada
		"two workers":   func(t T) strategy.Sale { return at.twoWorkers(t, "blmove") }, // both look at ada's claim, and decide the same
	}
}

func (s *onRedis) queuePlain() {
	at := *s
	s.Shown = map[strategy.Fault]func(T) strategy.Sale{
		strategy.OverIssue: func(t T) strategy.Sale { return at.twoWorkers(t, "brpop") },
		strategy.Lost:      at.workerKilled,
	}
}

// Two workers take one claim each, both count none, both issue: without a list each to whom it has taken.
func (s onRedis) twoWorkers(t T, take string) strategy.Sale {
	shop, id := s.openQueue(t)
	var takes, adds []*Stop
	for range 2 {
		worker := s.racer(t)
		taking := worker.Before(take)
		adds = append(adds, worker.Before("sadd"))
		t.Cleanup(Work(t, worker.Strategy, id))
		t.Cleanup(adds[len(adds)-1].Release)
		taking.Await(t)
		takes = append(takes, taking)
	}
	s.queueUp(t, shop, id, "ada", "bob")
	for i := range takes {
		takes[i].Release()
	}
	for i := range adds {
		adds[i].Await(t)
	}
	for i := range adds {
		adds[i].Release()
	}
	return s.Sale(t, shop, id, 1, []strategy.Told{Result(t, shop, id, "ada"), Result(t, shop, id, "bob")})
}

// The worker dies with ada's claim in its hands, and the next one goes on.
func (s onRedis) workerKilled(t T) strategy.Sale {
	shop, id := s.openQueue(t)
	s.queueUp(t, shop, id, "ada", "bob")
	worker := StartServer(t, s.Command(t))
	reached, _ := worker.Before(t, "sadd")
	must(t, worker.Work(id))
	reached()
	worker.Kill()
	s.work(t, id)
	bob := Result(t, shop, id, "bob")
	answer, err := shop.Result(t.Context(), id, "ada") // who was in front of bob
	sale := s.Sale(t, shop, id, 1, []strategy.Told{{UserID: "ada", Answer: answer, Err: err}, bob})
	sale.Arrived = []string{"ada", "bob"}
	return sale
}

func (s onRedis) openQueue(t T) (shop strategy.Decider, couponID string) {
	t.Helper()
	one, couponID := s.open(t)
	return one.(strategy.Decider), couponID
}

// queueUp has people ask while nobody works.
func (s onRedis) queueUp(t T, shop strategy.Strategy, couponID string, people ...string) {
	t.Helper()
	for _, user := range people {
		_, err := shop.Claim(t.Context(), couponID, user)
		must(t, err)
	}
}
