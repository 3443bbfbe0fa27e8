package compare

import (
	"context"
	"crypto/rand"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/firstcome/firstcome/strategy"
	"github.com/firstcome/firstcome/strategy/strategytest"
)

// Size is how large a sale is.
type Size struct {
	People      int
	Limit       int64
	Servers     int // processes that sell
	Concurrency int // people who ask at the same time
}

// short is a sale of the same mixture of who gets one and who does not.
func (s Size) short(people int) Size {
	if s.People > people {
		s.Limit = max(1, s.Limit*int64(people)/int64(s.People))
		s.People = people
	}
	s.Concurrency = min(s.Concurrency, s.People)
	return s
}

// sold is a sale that is over.
type sold struct {
	couponID string
	told     []strategy.Told
	waits    []time.Duration // from asking to being decided, the shortest first
	took     time.Duration
	redis    traffic // if a proxy counted
}

func (s sold) peopleASecond() float64 { return float64(len(s.told)) / s.took.Seconds() }

// warmUp is how often each place in the crowd is taken by somebody who does not count: they ask for coupons that do not exist.
const warmUp = 4

// saleTime is when a sale lets nobody in any more, a minute as reports say: one lock for everybody may take hours.
const saleTime = time.Minute

// sell has everybody ask once, at patient servers that are warm: their connections stand, and they know the scripts.
func sell(t *trial, shop strategy.Strategy, size Size, server func() *strategytest.Server, through *proxy, one func()) sold {
	c := counter{size: size, couponID: "sale-" + rand.Text()}
	for range size.Servers {
		c.servers = append(c.servers, server())
	}
	c.ask(t, warmUp*size.Concurrency, func(i int) string { return fmt.Sprintf("%s-no-%d", c.couponID, i) }, func() {})
	check(t, shop.SetLimit(t.ctx, c.couponID, size.Limit))
	if _, decides := shop.(strategy.Decider); decides {
		check(t, c.servers[0].Work(c.couponID))
	}
	before := traffic{}
	if through != nil {
		before = through.traffic()
	}
	s := c.ask(t, size.People, func(int) string { return c.couponID }, one)
	if through != nil {
		now := through.traffic()
		s.redis = traffic{now.trips - before.trips, now.bytes - before.bytes}
	}
	slices.Sort(s.waits)
	return s
}

// counter is where people ask.
type counter struct {
	size     Size
	couponID string
	servers  []*strategytest.Server
}

// ask has people ask, so many at the same time, until all have or the time is over. Any other error than a refusal ends it.
func (c counter) ask(t *trial, people int, coupon func(i int) string, one func()) sold {
	s := sold{couponID: c.couponID, told: make([]strategy.Told, people), waits: make([]time.Duration, people)}
	ctx, stop := context.WithCancelCause(t.ctx)
	defer stop(nil)
	everybody := strategytest.People(people)
	var next atomic.Int64
	var asking sync.WaitGroup
	began := time.Now()
	for range min(c.size.Concurrency, people) {
		asking.Go(func() {
			for ctx.Err() == nil && time.Since(began) < saleTime {
				i := int(next.Add(1)) - 1
				if i >= people {
					return
				}
				asked := time.Now()
				told, err := c.servers[i%len(c.servers)].Claim(coupon(i), everybody[i])
				s.told[i], s.waits[i] = told, time.Since(asked)
				if err != nil {
					stop(err)
				}
				one()
			}
		})
	}
	asking.Wait()
	s.took = time.Since(began)
	if err := context.Cause(ctx); err != nil {
		t.Fatalf("the sale: %v", err)
	}
	asked := min(int(next.Load()), people)
	s.told, s.waits = s.told[:asked], s.waits[:asked]
	return s
}

// percentile is how long p of a hundred people waited at most.
func percentile(waits []time.Duration, p float64) time.Duration {
	if len(waits) == 0 {
		return 0
	}
	rank := int(math.Ceil(p * float64(len(waits)) / 100))
	return waits[min(max(rank, 1), len(waits))-1]
}
