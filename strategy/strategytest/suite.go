// Package strategytest attacks a strategy: by a crowd at several servers of which one is killed and one is paused, by people
// who ask again, by a Redis that comes back empty, by races that are played command by command. A strategy may fail in what
// its page says and in nothing else, and what its page says must be shown, each time.
package strategytest

import (
	"context"
	"maps"
	"os/exec"
	"slices"
	"sync"
	"testing"

	"github.com/firstcome/firstcome/strategy"
)

// T is what an attack needs of a test. A *testing.T is one; a command that attacks brings its own. Its methods may be called by
// several goroutines, and Fatalf ends the one that calls it, as runtime.Goexit does.
type T interface {
	Helper()
	Context() context.Context
	Cleanup(func())
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
}

// Subject is a strategy under attack. OnRedis, OnPostgres and OnLog make those of this repository.
type Subject struct {
	Page strategy.Page

	// New is the strategy as one more server has it, on the servers of the test.
	New func(t T) strategy.Strategy

	// Command is a process that runs Serve on the same servers.
	Command func(t T) *exec.Cmd

	// Crowd is how many people come at once, 120 if zero. Fewer where they stand in one another's way.
	Crowd int

	// Tidy removes what a coupon left on the servers. Nil where they are the test's own.
	Tidy func(t T, couponID string)

	// Settle waits until everyone who has the coupon is listed. Nil where that is so at once.
	Settle func(t T, couponID string)

	// Ordered has people ask at several servers at the same time, and returns the sale with the order in which they came.
	// Nil where nobody can see that order; then Inversion must be on the page.
	Ordered func(t T, limit int64, people []string) strategy.Sale

	// LoseRedis empties the Redis of a strategy that New made, as a crash without a disk does. Nil where there is none.
	LoseRedis func(t T)

	// Kill kills, as kill -9 does, what decides besides the servers, and starts it again. Nil where there is nothing.
	Kill func(t T)

	// Shown has a deterministic demonstration of each fault on the page but Forgotten, which LoseRedis shows.
	Shown map[strategy.Fault]func(t T) strategy.Sale

	// Withstood are races that others lose, by their names, and in which nothing goes wrong here.
	Withstood map[string]func(t T) strategy.Sale
}

// Run is the suite: the contract of every strategy, and the attacks.
func Run(t *testing.T, s Subject) {
	s.complete(t)
	t.Run("contract", func(t *testing.T) { contract(t, s) })
	for _, a := range s.attacks() {
		t.Run(a.name, func(t *testing.T) { a.made(t) })
	}
}

// Attacked is an attack that was made, and the faults that were counted in it.
type Attacked struct {
	Name   string // "crowd", "order", "redis lost", "over-issue shown", …
	Faults map[strategy.Fault]int
}

// Attack makes all attacks of the suite, one after the other; step is told the name of each before it begins. A fault that is
// not on the page is an error of t, and so is one that is and could not be shown. An attack that could not be made to its end
// is one too, and is not among what is returned.
func Attack(t T, s Subject, step func(name string)) (all []Attacked) {
	s.complete(t)
	for _, a := range s.attacks() {
		if t.Context().Err() != nil {
			break
		}
		step(a.name)
		if faults, whole := a.within(t); whole {
			all = append(all, Attacked{a.name, faults})
		}
	}
	return all
}

// attack is made, blames the strategy for what it finds, and returns it.
type attack struct {
	name string
	made func(t T) map[strategy.Fault]int
}

func (s Subject) attacks() []attack {
	all := []attack{{"crowd", func(t T) map[strategy.Fault]int { return s.blamed(t, strategy.Count(crowd(t, s))) }}}
	if s.Ordered != nil {
		all = append(all, attack{"order", func(t T) map[strategy.Fault]int { return s.blamed(t, order(t, s)) }})
	}
	if s.LoseRedis != nil {
		all = append(all, attack{"redis lost", func(t T) map[strategy.Fault]int { return s.blamed(t, redisLost(t, s)) }})
	}
	for _, fault := range s.Page.Fails {
		if s.Shown[fault] != nil {
			all = append(all, attack{string(fault) + " shown", func(t T) map[strategy.Fault]int { return s.show(t, fault) }})
		}
	}
	for _, race := range slices.Sorted(maps.Keys(s.Withstood)) {
		all = append(all, attack{race, func(t T) map[strategy.Fault]int { return s.blamed(t, strategy.Count(s.Withstood[race](t))) }})
	}
	return all
}

// within makes an attack whose servers and clients end with it, whole or not.
func (a attack) within(t T) (faults map[strategy.Fault]int, whole bool) {
	own := &scope{T: t}
	own.ctx, own.cancel = context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { // which Fatalf ends
		defer close(ended)
		defer own.end()
		faults = a.made(own)
		whole = true
	}()
	<-ended
	return faults, whole
}

// complete says what is missing of a subject.
func (s Subject) complete(t T) {
	t.Helper()
	if s.Ordered == nil && !s.fails(strategy.Inversion) {
		t.Errorf("the page of %s promises the order of arrival, and nobody looks", s.Page.Name)
	}
	if s.LoseRedis == nil && s.fails(strategy.Forgotten) {
		t.Errorf("the page of %s says %s, and there is no Redis to lose", s.Page.Name, strategy.Forgotten)
	}
	for _, fault := range s.Page.Fails {
		if fault != strategy.Forgotten && s.Shown[fault] == nil {
			t.Errorf("the page of %s says %s, and nothing shows it", s.Page.Name, fault)
		}
	}
	for fault := range s.Shown {
		if !s.fails(fault) {
			t.Errorf("%s is shown, and the page of %s does not say so", fault, s.Page.Name)
		}
	}
}

func (s Subject) fails(fault strategy.Fault) bool { return slices.Contains(s.Page.Fails, fault) }

// blamed fails the test for faults that are not on the page.
func (s Subject) blamed(t T, faults map[strategy.Fault]int) map[strategy.Fault]int {
	t.Helper()
	for fault, n := range faults {
		if !s.fails(fault) {
			t.Errorf("%d times %s, and the page of %s does not say so", n, fault, s.Page.Name)
		}
	}
	t.Logf("%v", faults)
	return faults
}

func (s Subject) show(t T, fault strategy.Fault) map[strategy.Fault]int {
	faults := s.blamed(t, strategy.Count(s.Shown[fault](t)))
	if faults[fault] == 0 {
		t.Errorf("the page of %s says %s, and it did not occur", s.Page.Name, fault)
	}
	return faults
}

// scope is a T within another: as in a subtest, its context ends with it, and what it cleans up is cleaned up then.
type scope struct {
	T
	ctx    context.Context
	cancel context.CancelFunc
	mu     sync.Mutex
	last   []func()
}

func (s *scope) Context() context.Context { return s.ctx }

func (s *scope) Cleanup(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = append(s.last, f)
}

// end cleans up, the last one first; the context has ended by then.
func (s *scope) end() {
	s.cancel()
	s.mu.Lock()
	n := len(s.last) - 1
	if n < 0 {
		s.mu.Unlock()
		return
	}
	f := s.last[n]
	s.last = s.last[:n]
	s.mu.Unlock()
	defer s.end() // also where f calls Fatalf, and for what f has to clean up
	f()
}
