package strategy

import (
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/strategy"
	"github.com/firstcome/firstcome/strategy/strategytest"
)

var onRedis = map[string]func(client redis.UniversalClient) strategy.Strategy{
	"script":      func(c redis.UniversalClient) strategy.Strategy { return strategy.Script{Redis: c} },
	"recheck":     func(c redis.UniversalClient) strategy.Strategy { return strategy.Recheck{Redis: c} },
	"queue":       func(c redis.UniversalClient) strategy.Strategy { return strategy.Queue{Redis: c} },
	"queue-plain": func(c redis.UniversalClient) strategy.Strategy { return strategy.Queue{Redis: c, Plain: true} },
	"lock":        func(c redis.UniversalClient) strategy.Strategy { return strategy.Lock{Redis: c} },
	"lock-plain":  func(c redis.UniversalClient) strategy.Strategy { return strategy.Lock{Redis: c, Plain: true} },
}

func TestScript(t *testing.T)     { conform(t, "script", nil) }
func TestRecheck(t *testing.T)    { conform(t, "recheck", recheckShown) }
func TestQueue(t *testing.T)      { conform(t, "queue", queueShown) }
func TestQueuePlain(t *testing.T) { conform(t, "queue-plain", queuePlainShown) }
func TestLock(t *testing.T)       { conform(t, "lock", lockShown) }
func TestLockPlain(t *testing.T)  { conform(t, "lock-plain", lockPlainShown) }

// A demonstration of a fault, at a place on Redis.
type demonstration func(t *testing.T, p place) strategy.Sale

// place is a strategy on a Redis of its own, which may be lost.
type place struct {
	strategytest.Subject
	name    string
	servers *coupontest.Servers
}

// conform runs the suite. The Redis is the test's own, so that keys are named as the design has them.
func conform(t *testing.T, name string, shown map[strategy.Fault]demonstration) {
	t.Parallel()
	p := newPlace(t, name)
	p.Shown = make(map[strategy.Fault]func(*testing.T) strategy.Sale)
	for fault, demonstrate := range shown {
		p.Shown[fault] = func(t *testing.T) strategy.Sale { return demonstrate(t, p) }
	}
	strategytest.Run(t, p.Subject)
}

func newPlace(t *testing.T, name string) place {
	p := place{name: name, servers: coupontest.StartAlone(t, coupontest.Redis)}
	p.Page = page(t, name)
	if strings.HasPrefix(name, "lock") {
		p.Crowd = 30
	}
	p.New = func(t testing.TB) strategy.Strategy { return onRedis[name](p.servers.Redis(t)) }
	p.Command = func(t testing.TB) *exec.Cmd { return command(name, "REDIS_ADDR="+p.servers.RedisAddr) }
	p.LoseRedis = func(t testing.TB) { p.servers.KillRedis(t) }
	p.Ordered = p.ordered
	return p
}

// ordered has everybody ask at once at four servers, and watches them come.
func (p place) ordered(t *testing.T, limit int64, people []string) strategy.Sale {
	var arrivals strategytest.Arrivals
	shops := make([]strategy.Strategy, 4)
	for i := range shops {
		client := p.servers.Redis(t)
		arrivals.Watch(client)
		shops[i] = onRedis[p.name](client)
	}
	id := p.CouponID(t)
	check(t, shops[0].SetLimit(t.Context(), id, limit))
	p.work(t, id)
	told := make([]strategy.Told, len(people))
	var asking sync.WaitGroup
	for i, user := range people {
		asking.Go(func() { told[i] = strategytest.Decided(t, shops[i%4], id, user) })
	}
	asking.Wait()
	sale := p.Sale(t, p.New(t), id, limit, told)
	sale.Arrived = arrivals.Order()
	return sale
}

// work starts a server that is the worker of a coupon, where one is needed.
func (p place) work(t *testing.T, couponID string) {
	if _, decides := p.New(t).(strategy.Decider); decides {
		check(t, strategytest.StartServer(t, p.Command(t)).Work(couponID))
	}
}

// racer is a server in this process that can be stopped between two commands.
type racer struct {
	strategy.Strategy
	*strategytest.Gate
}

func (p place) racer(t testing.TB) racer {
	client := p.servers.Redis(t)
	gate := strategytest.NewGate(client)
	return racer{onRedis[p.name](client), gate}
}

// claim asks in the background.
func (r racer) claim(t testing.TB, couponID, userID string) (told func() strategy.Told) {
	answer := make(chan strategy.Told, 1)
	go func() {
		a, err := r.Claim(t.Context(), couponID, userID)
		answer <- strategy.Told{UserID: userID, Answer: a, Err: err}
	}()
	return func() strategy.Told { return <-answer }
}

// onward lets a racer go on from one stop to its next command of a name.
func (r racer) onward(from *strategytest.Stop, command string) *strategytest.Stop {
	next := r.Before(command)
	from.Release()
	<-next.Reached
	return next
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
