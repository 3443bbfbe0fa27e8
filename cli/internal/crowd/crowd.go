// Package crowd lets many people ask for one coupon at once over HTTP, and says what they were told.
package crowd

import (
	"context"
	"errors"
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
	Doors       []Door // people are spread over them; one whose connection is lost goes on at the next
	CouponID    string
	UserPrefix  string // before each person's number; two crowds of one prefix are the same people
	People      int
	Rate        float64       // how many arrive a second, whatever the answers are; 0: the next comes as one is done
	Concurrency int           // how many ask at the same time; with a Rate a bound for safety, which makes those beyond it wait
	Wait        time.Duration // how long the gateway is asked to wait for a decision
	GiveUp      time.Duration // after how long without an answer a person leaves, counted from the first request
	Recheck     bool          // at the end ask about every claim again: an answer must never change

	Done func() // called as each person is done, from many goroutines; nil: nobody listens
}

// Result is what happened to a crowd.
type Result struct {
	Records   []Record
	Took      time.Duration // from the first request to the last answer, without the recheck
	Rechecked int           // claims that were asked about again and answered
	Unchecked int           // claims that no gateway answered about again
	Held      int           // people who arrived by the rate and had to wait, since so many were asking as Concurrency allows
}

// Run returns when everyone has an answer or gave up. The end of ctx sends everyone away; what they were told until
// then is in the result all the same.
func Run(ctx context.Context, cfg Config) Result {
	if cfg.Done == nil {
		cfg.Done = func() {}
	}
	res := Result{Records: make([]Record, cfg.People)}
	start := time.Now()
	one := func(i int, due time.Time) {
		res.Records[i] = Record{CouponID: cfg.CouponID, UserID: fmt.Sprintf("%s%06d", cfg.UserPrefix, i+1), DueAt: due, door: i}
		cfg.ask(ctx, &res.Records[i])
		cfg.Done()
	}
	if cfg.Rate > 0 {
		res.Held = cfg.arrive(ctx, one)
	} else {
		cfg.each(func(i int) { one(i, time.Time{}) })
	}
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

// arrive calls f for every person when they are due, be the earlier ones answered or not: an answer that takes long delays
// nobody behind it, so what people would have waited is what is measured. It gives how many the bound held back.
func (c Config) arrive(ctx context.Context, f func(i int, due time.Time)) (held int) {
	var people sync.WaitGroup
	places := make(chan struct{}, max(1, c.Concurrency))
	start := time.Now()
	for i := range c.People {
		due := start.Add(time.Duration(float64(i) * float64(time.Second) / c.Rate))
		if early := time.Until(due); early > 0 {
			_ = pause(ctx, early) // at its end all come at once, and leave at once
		}
		select {
		case places <- struct{}{}:
		default:
			held++
			places <- struct{}{}
		}
		people.Go(func() {
			f(i, due)
			<-places
		})
	}
	people.Wait()
	return held
}

func (c Config) ask(ctx context.Context, r *Record) {
	if err := ctx.Err(); err != nil {
		r.Error = "sent away before asking: " + err.Error()
		return
	}
	r.AskedAt = time.Now()
	ctx, cancel := context.WithTimeout(ctx, c.GiveUp)
	defer cancel()
	defer func() { r.left(time.Now()) }()
	for {
		var a client.Answer
		var err error
		if r.ClaimID == "" {
			a, err = c.door(r).Claim(ctx, r.CouponID, r.UserID, c.Wait)
		} else {
			a, err = c.door(r).Status(ctx, r.ClaimID)
		}
		done, wait := r.told(a, err)
		if done || pause(ctx, r.spread(wait, rand.Float64())) != nil {
			return
		}
	}
}

func (c Config) door(r *Record) Door { return c.Doors[r.door%len(c.Doors)] }

func (c Config) recheck(ctx context.Context, res *Result) {
	var mu sync.Mutex
	c.each(func(i int) {
		r := &res.Records[i]
		if r.ClaimID == "" || r.Outcome == "" || r.Outcome == "retired" {
			return
		}
		a, err := c.again(ctx, *r)
		if err == nil {
			r.told(a, nil)
			r.Requests-- // it was not the person who needed this one
		}
		var p *client.Problem
		retired := errors.As(err, &p) && p.Name == "retired" // an answer too, and after a day the right one
		mu.Lock()
		defer mu.Unlock()
		if err == nil || retired {
			res.Rechecked++
			return
		}
		res.Unchecked++
		r.Error = "asked again about the claim: " + err.Error()
	})
}

// again asks about a person's claim as patiently as the person did, until a door answers. What it takes is noted in a copy
// of the record, since it is nothing that the person did.
func (c Config) again(ctx context.Context, r Record) (client.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.GiveUp)
	defer cancel()
	r.Requests = 0
	for {
		a, err := c.door(&r).Status(ctx, r.ClaimID)
		if err == nil {
			return a, nil
		}
		done, wait := r.told(a, err)
		if done || pause(ctx, r.spread(wait, rand.Float64())) != nil {
			return a, err
		}
	}
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
