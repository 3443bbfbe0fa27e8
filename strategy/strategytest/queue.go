package strategytest

import (
	"github.com/firstcome/firstcome/strategy"
)

func (s *onRedis) queue() {
	at := *s
	s.Withstood = map[string]func(T) strategy.Sale{
		"script unknown": at.scriptUnknown,                                                           // at the door
		"worker killed":  func(t T) strategy.Sale { return at.workerKilled(t, "blmove", "evalsha") }, // the next one begins with ada
		"two workers":    func(t T) strategy.Sale { return at.twoWorkers(t, "blmove", "evalsha") },   // each decides what is the oldest by then
	}
}

func (s *onRedis) queuePlain() {
	at := *s
	s.Shown = map[strategy.Fault]func(T) strategy.Sale{
		strategy.OverIssue: func(t T) strategy.Sale { return at.twoWorkers(t, "brpop", "sadd") },
		strategy.Inversion: at.lostAndBack,
		strategy.Lost:      func(t T) strategy.Sale { return at.workerKilled(t, "brpop", "sadd") },
	}
}

// Two workers take one claim each, and have both looked, if looking is a step of its own, before either decides.
func (s onRedis) twoWorkers(t T, take, decide string) strategy.Sale {
	shop, id := s.openQueue(t)
	var decides []*Stop
	for range 2 {
		worker := s.racer(t)
		taking := worker.Before(take)
		t.Cleanup(Work(t, worker.Strategy, id))
		t.Cleanup(taking.Release)
		taking.Await(t)
		stop := worker.Before(decide)
		t.Cleanup(stop.Release)
		decides = append(decides, stop)
		taking.Release()
	}
	s.queueUp(t, shop, id, "ada", "bob")
	for _, stop := range decides {
		stop.Await(t)
	}
	for _, stop := range decides {
		stop.Release()
	}
	return s.Sale(t, shop, id, 1, []strategy.Told{Result(t, shop, id, "ada"), Result(t, shop, id, "bob")})
}

// The worker dies with ada's claim in its hands, and the next one goes on.
func (s onRedis) workerKilled(t T, take, decide string) strategy.Sale {
	shop, id := s.openQueue(t)
	bob := s.killWorker(t, shop, id, take, decide)
	answer, err := shop.Result(t.Context(), id, "ada") // who was in front of bob
	sale := s.Sale(t, shop, id, 1, []strategy.Told{{UserID: "ada", Answer: answer, Err: err}, bob})
	sale.Arrived = []string{"ada", "bob"}
	return sale
}

// Ada, whose claim was lost, asks again: bob, who came after her, has the only one.
func (s onRedis) lostAndBack(t T) strategy.Sale {
	shop, id := s.openQueue(t)
	bob := s.killWorker(t, shop, id, "brpop", "sadd")
	ada := Decided(t, shop, id, "ada")
	sale := s.Sale(t, shop, id, 1, []strategy.Told{ada, bob})
	sale.Arrived = []string{"ada", "bob"}
	return sale
}

// killWorker kills the worker that has taken ada's claim, and returns when the next one has decided bob's.
func (s onRedis) killWorker(t T, shop strategy.Decider, id, take, decide string) (bob strategy.Told) {
	t.Helper()
	s.queueUp(t, shop, id, "ada", "bob")
	worker := StartServer(t, s.Command(t))
	takes, release := worker.Before(t, take)
	must(t, worker.Work(id))
	takes()
	decides, _ := worker.Before(t, decide)
	release()
	decides()
	worker.Kill()
	s.work(t, id)
	return Result(t, shop, id, "bob")
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
