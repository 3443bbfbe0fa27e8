// Package crowd lets many people ask for one coupon at once over HTTP, and says what they were told.
package crowd

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/firstcome/firstcome/cli/internal/client"
)

// Door is where people ask: a *client.Gateway.
type Door interface {
	Claim(ctx context.Context, couponID, userID string, wait time.Duration) (client.Answer, error)
	Status(ctx context.Context, claimID string) (client.Answer, error)
}

// Config is one crowd.
type Config struct {
	Door        Door
	CouponID    string
	UserPrefix  string // before each person's number; two crowds of one prefix are the same people
	People      int
	Concurrency int           // how many ask at the same time
	Wait        time.Duration // how long the gateway is asked to wait for a decision
	GiveUp      time.Duration // after how long without an answer a person leaves, counted from the first request
	Recheck     bool          // at the end ask about every claim again: an answer must never change

	Done  func()                                           // called as each person is done, from many goroutines; nil: nobody listens
	Pause func(ctx context.Context, d time.Duration) error // nil: real time
}

// Result is what happened to a crowd.
type Result struct {
	Records   []Record
	Took      time.Duration // from the first request to the last answer, without the recheck
	Rechecked int           // claims that were asked about again and answered
}

// Run returns when everyone has an answer or gave up. The end of ctx sends everyone away; what they were told until
// then is in the result all the same.
func Run(ctx context.Context, cfg Config) Result {
	if cfg.Pause == nil {
		cfg.Pause = pause
	}
	if cfg.Done == nil {
		cfg.Done = func() {}
	}
	res := Result{Records: make([]Record, cfg.People)}
	start := time.Now()
	cfg.each(func(i int) {
		res.Records[i] = Record{CouponID: cfg.CouponID, UserID: fmt.Sprintf("%s%06d", cfg.UserPrefix, i+1)}
		cfg.ask(ctx, &res.Records[i])
		cfg.Done()
	})
	res.Took = time.Since(start)
	if cfg.Recheck {
		cfg.recheck(ctx, &res)
	}
	return res
}

// each calls f for every person, so many at the same time as the config says.
func (c Config) each(f func(i int)) {
	next := make(chan int)
	var workers sync.WaitGroup
	for range max(1, min(c.Concurrency, c.People)) {
		workers.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range c.People {
		next <- i
	}
	close(next)
	workers.Wait()
}

func (c Config) ask(ctx context.Context, r *Record) {
	r.AskedAt = time.Now()
	ctx, cancel := context.WithTimeout(ctx, c.GiveUp)
	defer cancel()
	defer func() { r.Took = Duration(time.Since(r.AskedAt)) }()
	for {
		var a client.Answer
		var err error
		if r.ClaimID == "" {
			a, err = c.Door.Claim(ctx, r.CouponID, r.UserID, c.Wait)
		} else {
			a, err = c.Door.Status(ctx, r.ClaimID)
		}
		done, wait := r.told(a, err)
		if done || c.Pause(ctx, r.spread(wait, rand.Float64())) != nil {
			return
		}
	}
}

func (c Config) recheck(ctx context.Context, res *Result) {
	var mu sync.Mutex
	c.each(func(i int) {
		r := &res.Records[i]
		if r.ClaimID == "" || r.Outcome == "" || r.Outcome == "retired" {
			return
		}
		a, err := c.Door.Status(ctx, r.ClaimID)
		if err != nil {
			r.Error = "asked again about the claim: " + err.Error()
			return
		}
		r.told(a, nil)
		r.Requests-- // it was not the person who needed this one
		mu.Lock()
		res.Rechecked++
		mu.Unlock()
	})
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
