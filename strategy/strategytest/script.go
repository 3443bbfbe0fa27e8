package strategytest

import "github.com/firstcome/firstcome/strategy"

func (s *onRedis) script() {
	at := *s
	s.Withstood = map[string]func(T) strategy.Sale{"script unknown": at.scriptUnknown} // a claim is one command, not two
}

// Redis has just started and knows no script. Ada stands still before hers is sent to it whole, and bob comes.
func (s onRedis) scriptUnknown(t T) strategy.Sale {
	shop, id := s.open(t)
	s.work(t, id)
	client := s.connect(t)
	must(t, client.ScriptFlush(t.Context()).Err())
	var arrivals Arrivals
	one := NewRacer(s.name, client)
	arrivals.Watch(client)
	stop := one.Before("eval")
	adaIs := one.Ask(t.Context(), id, "ada")
	stop.Await(t)
	other := s.connect(t)
	arrivals.Watch(other)
	bob := Decided(t, Open(s.name, other), id, "bob")
	stop.Release()
	ada := adaIs()
	if ada.Answer == strategy.Accepted {
		ada = Result(t, shop.(strategy.Decider), id, "ada")
	}
	sale := s.Sale(t, shop, id, 1, []strategy.Told{ada, bob})
	sale.Arrived = arrivals.Order()
	return sale
}
