package strategytest

import (
	"cmp"
	"errors"
	"slices"
	"sync"

	"github.com/firstcome/firstcome/strategy"
)

// Servers, and people where the subject says nothing else. One in three gets a coupon.
const (
	crowdServers = 4
	crowdPeople  = 120
)

// crowd has people ask at four server processes, everybody twice. When a quarter has been answered, the first server (the
// worker, where there is one) is killed and replaced, what decides besides the servers is killed and comes back, and the second
// server stands still until everybody else is through. Whoever gets no answer asks again.
func crowd(t T, s Subject) strategy.Sale {
	shop, id := s.New(t), s.CouponID(t)
	everybody := People(cmp.Or(s.Crowd, crowdPeople))
	limit := len(everybody) / 3
	must(t, shop.SetLimit(t.Context(), id, int64(limit)))
	c := &shops{couponID: id, missing: len(everybody) / 4, enough: make(chan struct{})}
	for range crowdServers {
		c.servers = append(c.servers, StartServer(t, s.Command(t)))
	}
	decider, decides := shop.(strategy.Decider)
	if decides {
		must(t, c.servers[0].Work(id))
	}
	var people sync.WaitGroup
	for i, user := range everybody {
		people.Go(func() { c.person(t, i, user) })
	}
	<-c.enough
	killed, paused := c.servers[0], c.servers[1]
	paused.Pause(t)
	killed.Kill()
	c.outage(t, s.Kill)
	c.replace(StartServer(t, s.Command(t)))
	if decides {
		must(t, c.pick(0).Work(id))
	}
	people.Wait()
	paused.Resume(t)
	told := killed.Told()
	for _, server := range c.servers {
		told = append(told, server.Told()...)
	}
	if decides {
		told = results(t, decider, id, told)
	}
	return s.Sale(t, shop, id, int64(limit), told)
}

// shops are the servers that people ask.
type shops struct {
	couponID string
	mu       sync.Mutex
	servers  []*Server
	outages  int           // of what decides besides them, so far
	out      bool          // there is one
	missing  int           // so many are to be answered before
	enough   chan struct{} // is closed
}

func (c *shops) pick(i int) *Server {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.servers[i%len(c.servers)]
}

func (c *shops) replace(first *Server) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.servers = slices.Clone(c.servers)
	c.servers[0] = first
}

// outage kills what decides besides the servers, if there is something.
func (c *shops) outage(t T, kill func(t T)) {
	if kill == nil {
		return
	}
	set := func(out bool) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.out = out
		if out {
			c.outages++
		}
	}
	set(true)
	kill(t)
	set(false)
}

// outageSince says whether there was one, or is, since so many had been.
func (c *shops) outageSince(outages int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.outages > outages
}

// over is how many outages are over.
func (c *shops) over() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out {
		return c.outages - 1
	}
	return c.outages
}

func (c *shops) answered() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.missing--; c.missing == 0 {
		close(c.enough)
	}
}

// person asks twice; every third one both times at once.
func (c *shops) person(t T, i int, user string) {
	var again sync.WaitGroup
	if i%3 == 0 {
		again.Go(func() { c.ask(t, i+1, user) })
		defer again.Wait()
	}
	c.ask(t, i, user)
	c.answered()
	if i%3 != 0 {
		c.ask(t, i+1, user)
	}
}

// ask asks one server after the other until one answers. One that is away is passed by.
func (c *shops) ask(t T, i int, user string) {
	for t.Context().Err() == nil {
		over := c.over()
		told, err := c.pick(i).Claim(c.couponID, user)
		switch {
		case errors.Is(err, errAway):
			i++
		case err != nil && c.outageSince(over): // asked again
		case err != nil:
			t.Errorf("%s: %v", user, err)
			return
		case !errors.Is(told.Err, strategy.ErrBusy):
			return
		}
	}
}

// results puts what became of each claim in the place of Accepted. One more person queues behind all others: when that is
// decided, so is everybody, or lost.
func results(t T, shop strategy.Decider, couponID string, told []strategy.Told) []strategy.Told {
	Decided(t, shop, couponID, "the last one")
	var all []strategy.Told
	seen := make(map[string]bool)
	for _, one := range told {
		if one.Answer != strategy.Accepted {
			all = append(all, one)
		} else if !seen[one.UserID] {
			seen[one.UserID] = true
			answer, err := shop.Result(t.Context(), couponID, one.UserID)
			all = append(all, strategy.Told{UserID: one.UserID, Answer: answer, Err: err})
		}
	}
	return all
}
