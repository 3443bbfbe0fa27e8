package strategytest

import (
	"cmp"
	"errors"
	"slices"
	"sync"

	"github.com/firstcome/firstcome/strategy"
)

// Servers, and people where the subject says nothing else. Two in three get a coupon, so that whoever
// asks again does so while some are left.
const (
	crowdServers = 4
	crowdPeople  = 120
)

// crowd is a sale to a crowd, in the middle of which servers are killed. Should all be over before that, there is another one.
func crowd(t T, s Subject) strategy.Sale {
	for range 10 {
		if sale, hit := crowded(t, s); hit {
			return sale
		}
	}
	t.Fatalf("ten crowds were through before a server could be killed")
	return strategy.Sale{}
}

// crowded has people ask at four server processes, everybody twice. When a quarter has been answered, the server with most
// claims in hand (the worker, where there is one) is killed and replaced, the next one stands still until everybody else is
// through, and what decides besides the servers is killed and comes back. Whoever gets no answer asks again.
func crowded(t T, s Subject) (sale strategy.Sale, hit bool) {
	shop, id := s.New(t), s.CouponID(t)
	everybody := People(cmp.Or(s.Crowd, crowdPeople))
	limit := len(everybody) * 2 / 3
	must(t, shop.SetLimit(t.Context(), id, int64(limit)))
	c := &shops{couponID: id, missing: len(everybody) / 4, enough: make(chan struct{}), away: make(chan struct{}), back: make(chan struct{})}
	for range crowdServers {
		server := StartServer(t, s.Command(t))
		must(t, server.warm())
		c.servers = append(c.servers, server)
	}
	worker := c.servers[0]
	decider, decides := shop.(strategy.Decider)
	if decides {
		must(t, worker.Work(id))
	}
	var people sync.WaitGroup
	opened := make(chan struct{})
	for i, user := range everybody {
		if i%3 == 0 { // both times at once
			people.Go(func() { <-opened; c.ask(t, i+1, user) })
		}
		people.Go(func() { <-opened; c.person(t, i, user) })
	}
	close(opened)
	<-c.enough
	killed := worker
	if !decides {
		killed = c.busiest()
	}
	paused := c.busiest(killed)
	paused.Pause(t)
	inHand := killed.Unanswered() // who asks when it is dead is counted there too
	killed.Kill()
	hit = decides || inHand > 0
	if s.Kill != nil {
		hit = hit && c.busiest(killed, paused).Unanswered() > 0
		c.outage(t, s.Kill)
	}
	replacement := StartServer(t, s.Command(t))
	must(t, replacement.warm())
	if decides {
		must(t, replacement.Work(id))
	}
	c.replace(killed, replacement)
	people.Wait()
	paused.Resume(t)
	told := killed.Told()
	for _, server := range c.servers {
		told = append(told, server.Told()...)
	}
	everybodyWasTold(t, everybody, told)
	if decides {
		told = results(t, decider, id, told)
	}
	return s.Sale(t, shop, id, int64(limit), told), hit
}

// shops are the servers that people ask.
type shops struct {
	couponID   string
	mu         sync.Mutex
	servers    []*Server
	missing    int           // so many are to be answered before
	enough     chan struct{} // is closed
	away, back chan struct{} // closed when what decides besides the servers is killed, and when it is there again
}

func (c *shops) pick(i int) *Server {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.servers[i%len(c.servers)]
}

// busiest is the one with most claims in hand, of all but some.
func (c *shops) busiest(but ...*Server) *Server {
	others := slices.DeleteFunc(slices.Clone(c.servers), func(s *Server) bool { return slices.Contains(but, s) })
	return slices.MaxFunc(others, func(a, b *Server) int { return cmp.Compare(a.Unanswered(), b.Unanswered()) })
}

func (c *shops) replace(killed, by *Server) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.servers = slices.Clone(c.servers)
	c.servers[slices.Index(c.servers, killed)] = by
}

func (c *shops) outage(t T, kill func(t T)) {
	close(c.away)
	defer close(c.back)
	kill(t)
}

func (c *shops) answered() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.missing--; c.missing == 0 {
		close(c.enough)
	}
}

// person asks twice, if they do not do so already.
func (c *shops) person(t T, i int, user string) {
	c.ask(t, i, user)
	c.answered()
	if i%3 != 0 {
		c.ask(t, i+1, user)
	}
}

// ask asks one server after the other until one answers. One that is away is passed by; an error is an answer, unless what
// decides besides the servers was away meanwhile.
func (c *shops) ask(t T, i int, user string) {
	for t.Context().Err() == nil {
		after := closed(c.back)
		told, err := c.pick(i).Claim(c.couponID, user)
		switch {
		case errors.Is(err, errAway):
			i++
		case err != nil && closed(c.away) && !after:
			<-c.back
		case err != nil:
			t.Errorf("%s: %v", user, err)
			return
		case !errors.Is(told.Err, strategy.ErrBusy):
			return
		}
	}
}

func closed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// everybodyWasTold sees to it that what is counted is a whole sale.
func everybodyWasTold(t T, everybody []string, told []strategy.Told) {
	must(t, t.Context().Err())
	answers := make(map[string]int)
	for _, one := range told {
		answers[one.UserID]++
	}
	for _, user := range everybody {
		if answers[user] < 2 {
			t.Errorf("%s asked twice, and was told %d times", user, answers[user])
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
