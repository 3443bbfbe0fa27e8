package strategy

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/strategy"
	"github.com/firstcome/firstcome/strategy/strategytest"
)

// till is where a coupon is given out by a strategy on Redis.
type till struct {
	name, id string
	connect  func() *redis.Client
}

// open is where so many are given out.
func open(t *testing.T, name string, limit int64) (p till, shop strategy.Strategy) {
	t.Helper()
	servers := coupontest.Start(t, coupontest.Redis)
	p = till{name, subject(name, servers).CouponID(t), func() *redis.Client { return servers.Redis(t) }}
	shop = strategytest.Open(name, p.connect())
	check(t, shop.SetLimit(t.Context(), p.id, limit))
	return p, shop
}

func (p till) key(what string) string { return "coupon:" + p.id + ":" + what }

// openQueue is where people wait, in this order.
func openQueue(t *testing.T, name string, limit int64, people ...string) (till, strategy.Queue) {
	t.Helper()
	p, shop := open(t, name, limit)
	for _, user := range people {
		_, err := shop.Claim(t.Context(), p.id, user)
		check(t, err)
	}
	return p, shop.(strategy.Queue)
}

// racer is one more server, which can be stopped between two commands.
func (p till) racer() strategytest.Racer { return strategytest.NewRacer(p.name, p.connect()) }

// works has it at work until the test ends.
func (p till) works(t *testing.T, worker strategy.Strategy) {
	t.Cleanup(strategytest.Work(t, worker, p.id))
}

// sold is a sale that is over. Who claimed came in this order, if that is known.
func (p till) sold(t *testing.T, shop strategy.Strategy, limit int64, told []strategy.Told, arrived ...string) strategy.Sale {
	t.Helper()
	issued, err := shop.Issued(t.Context(), p.id)
	check(t, err)
	return strategy.Sale{Limit: limit, Issued: issued, Told: told, Arrived: arrived}
}

// onlyAda wants no fault, and ada to have the only one.
func onlyAda(t *testing.T, sale strategy.Sale) {
	t.Helper()
	if faults := strategy.Count(sale); len(faults) > 0 || len(sale.Issued) != 1 || sale.Issued[0] != "ada" {
		t.Errorf("%v have one, with %v; want ada, who was first", sale.Issued, faults)
	}
}
