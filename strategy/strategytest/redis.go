package strategytest

import (
	"context"
	"os/exec"

	"github.com/redis/go-redis/v9"

	"github.com/firstcome/firstcome/strategy"
)

// Open is a strategy on Redis by the name of its page. It panics where no page has that name.
func Open(name string, client redis.UniversalClient) strategy.Strategy {
	switch name {
	case "script":
		return strategy.Script{Redis: client}
	case "recheck":
		return strategy.Recheck{Redis: client}
	case "queue", "queue-plain":
		return strategy.Queue{Redis: client, Plain: name == "queue-plain"}
	case "lock", "lock-plain":
		return strategy.Lock{Redis: client, Plain: name == "lock-plain"}
	}
	panic("no strategy on Redis has the name " + name)
}

// OnRedis is a strategy on Redis, by the name of its page, with its races. connect makes one more client of the same server,
// command a server of the shop on it, and lose empties it.
func OnRedis(name string, connect func(t T) *redis.Client, command func(t T) *exec.Cmd, lose func(t T)) Subject {
	s := onRedis{name: name, connect: connect}
	s.Subject = Subject{
		Page:      page(name),
		New:       func(t T) strategy.Strategy { return Open(name, connect(t)) },
		Command:   command,
		Tidy:      s.tidy,
		LoseRedis: lose,
	}
	s.Ordered = s.ordered
	switch name {
	case "script":
		s.script()
	case "recheck":
		s.recheck()
	case "queue":
		s.queue()
	case "queue-plain":
		s.queuePlain()
	case "lock":
		s.lock()
	case "lock-plain":
		s.lockPlain()
	}
	return s.Subject
}

// onRedis is a subject while its races are gathered.
type onRedis struct {
	Subject
	name    string
	connect func(t T) *redis.Client
}

// tidy removes all keys of a coupon.
func (s onRedis) tidy(t T, couponID string) {
	keys := []string{"lock:coupon:" + couponID}
	for _, what := range []string{"limit", "issued", "queue", "processing", "refused", "remaining", "fence"} {
		keys = append(keys, "coupon:"+couponID+":"+what)
	}
	must(t, s.connect(t).Del(context.WithoutCancel(t.Context()), keys...).Err())
}

// page is what a strategy owns up to.
func page(name string) strategy.Page {
	for _, p := range strategy.Pages() {
		if p.Name == name {
			return p
		}
	}
	panic("there is no page " + name)
}

// open defines a coupon of which there is one.
func (s onRedis) open(t T) (shop strategy.Strategy, couponID string) {
	t.Helper()
	shop, couponID = s.New(t), s.CouponID(t)
	must(t, shop.SetLimit(t.Context(), couponID, 1))
	return shop, couponID
}

// ordered has everybody ask at once at four servers, and watches them come.
func (s onRedis) ordered(t T, limit int64, people []string) strategy.Sale {
	var arrivals Arrivals
	shops := make([]strategy.Strategy, 4)
	for i := range shops {
		client := s.connect(t)
		arrivals.Watch(client)
		shops[i] = Open(s.name, client)
	}
	id := s.CouponID(t)
	must(t, shops[0].SetLimit(t.Context(), id, limit))
	s.work(t, id)
	told := askAtOnce(t, shops, id, people)
	sale := s.Sale(t, s.New(t), id, limit, told)
	sale.Arrived = arrivals.Order()
	return sale
}

// work starts a server that is the worker of a coupon, where one is needed.
func (s onRedis) work(t T, couponID string) {
	if _, decides := s.New(t).(strategy.Decider); decides {
		must(t, StartServer(t, s.Command(t)).Work(couponID))
	}
}

func (s onRedis) racer(t T) Racer { return NewRacer(s.name, s.connect(t)) }

// Racer is a server in this process that can be stopped between two commands.
type Racer struct {
	strategy.Strategy
	*Gate
}

// NewRacer is a strategy on Redis, by the name of its page, with a gate in front of the client.
func NewRacer(name string, client *redis.Client) Racer {
	gate := NewGate(client)
	return Racer{Open(name, client), gate}
}

// Ask claims in the background.
func (r Racer) Ask(ctx context.Context, couponID, userID string) (told func() strategy.Told) {
	answer := make(chan strategy.Told, 1)
	go func() {
		a, err := r.Claim(AskedBy(ctx, userID), couponID, userID)
		answer <- strategy.Told{UserID: userID, Answer: a, Err: err}
	}()
	return func() strategy.Told { return <-answer }
}
