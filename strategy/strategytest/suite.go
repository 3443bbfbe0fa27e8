// Package strategytest attacks a strategy: by a crowd at several servers of which one is killed and one is paused, by people
// who ask again, by a Redis that comes back empty. A strategy may fail in what its page says and in nothing else, and what its
// page says must be shown, each time.
package strategytest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/firstcome/firstcome/strategy"
)

// Subject is a strategy under attack.
type Subject struct {
	Page strategy.Page

	// New is the strategy as one more server has it, on the servers of the test.
	New func(t testing.TB) strategy.Strategy

	// Command is a process that runs Serve on the same servers.
	Command func(t testing.TB) *exec.Cmd

	// Crowd is how many people come at once, 120 if zero. Fewer where they stand in one another's way.
	Crowd int

	// Tidy removes what a coupon left on the servers. Nil where they are the test's own.
	Tidy func(t testing.TB, couponID string)

	// Settle waits until everyone who has the coupon is listed. Nil where that is so at once.
	Settle func(t testing.TB, shop strategy.Strategy, couponID string)

	// Ordered has people ask at several servers at the same time, and returns the sale with the order in which they came.
	// Nil where nobody can see that order; then Inversion must be on the page.
	Ordered func(t *testing.T, limit int64, people []string) strategy.Sale

	// LoseRedis empties the Redis of a strategy that New made, as a crash without a disk does. Nil where there is none.
	LoseRedis func(t testing.TB)

	// Shown has a deterministic demonstration of each fault on the page but Forgotten, which LoseRedis shows.
	Shown map[strategy.Fault]func(t *testing.T) strategy.Sale
}

// Run is the suite.
func Run(t *testing.T, s Subject) {
	t.Run("contract", func(t *testing.T) { contract(t, s) })
	t.Run("crowd", func(t *testing.T) { s.blame(t, "crowd", strategy.Count(crowd(t, s))) })
	t.Run("order", func(t *testing.T) { order(t, s) })
	t.Run("redis lost", func(t *testing.T) { redisLost(t, s) })
	for _, fault := range s.Page.Fails {
		if fault != strategy.Forgotten { // which "redis lost" has shown
			t.Run("shown/"+string(fault), func(t *testing.T) { s.show(t, fault) })
		}
	}
	for fault := range s.Shown {
		if !s.fails(fault) {
			t.Errorf("%s is shown, and the page of %s does not say so", fault, s.Page.Name)
		}
	}
}

func (s Subject) fails(fault strategy.Fault) bool { return slices.Contains(s.Page.Fails, fault) }

// blame fails the test for faults that are not on the page.
func (s Subject) blame(t *testing.T, where string, faults map[strategy.Fault]int) {
	t.Helper()
	for fault, n := range faults {
		if !s.fails(fault) {
			t.Errorf("%s: %d times %s, and the page of %s does not say so", where, n, fault, s.Page.Name)
		}
	}
	t.Logf("%s: %v", where, faults)
}

func (s Subject) show(t *testing.T, fault strategy.Fault) {
	demonstration := s.Shown[fault]
	if demonstration == nil {
		t.Fatalf("nothing shows %s", fault)
	}
	faults := strategy.Count(demonstration(t))
	s.blame(t, "shown", faults)
	if faults[fault] == 0 {
		t.Errorf("the page of %s says %s, and it did not occur", s.Page.Name, fault)
	}
}

func order(t *testing.T, s Subject) {
	if s.Ordered == nil {
		if !s.fails(strategy.Inversion) {
			t.Errorf("the page of %s promises the order of arrival, and nobody looks", s.Page.Name)
		}
		return
	}
	sale := s.Ordered(t, 20, People(80))
	if len(sale.Arrived) != 80 {
		t.Fatalf("%d of 80 people were seen to arrive", len(sale.Arrived))
	}
	s.blame(t, "order", strategy.Count(sale))
}

// redisLost sells two of four, loses Redis, and goes on selling to everybody, the two among them.
func redisLost(t *testing.T, s Subject) {
	forgets := s.fails(strategy.Forgotten)
	if s.LoseRedis == nil {
		if forgets {
			t.Errorf("the page of %s says %s, and there is no Redis to lose", s.Page.Name, strategy.Forgotten)
		}
		return
	}
	shop, id := s.New(t), s.CouponID(t)
	must(t, shop.SetLimit(t.Context(), id, 4))
	told := ask(t, s, shop, id, People(2))
	s.LoseRedis(t)
	if forgets {
		if _, err := shop.Issued(t.Context(), id); !errors.Is(err, strategy.ErrCouponNotFound) {
			t.Errorf("the page of %s says %s, and the coupon's list says %v", s.Page.Name, strategy.Forgotten, err)
		}
		must(t, shop.SetLimit(t.Context(), id, 4)) // as the shop would, who knows no better
	}
	told = append(told, ask(t, s, shop, id, People(6))...)
	faults := strategy.Count(s.Sale(t, shop, id, 4, told))
	switch {
	case !forgets:
		s.blame(t, "redis lost", faults)
	case faults[strategy.Duplicate] != 2:
		t.Errorf("the page of %s says %s, and %v came of it: want both people to be given another", s.Page.Name, strategy.Forgotten, faults)
	}
}

// ask has people ask one after the other, with a worker where one is needed.
func ask(t *testing.T, s Subject, shop strategy.Strategy, couponID string, people []string) (told []strategy.Told) {
	defer work(t, s.New(t), couponID)()
	for _, user := range people {
		told = append(told, Decided(t, shop, couponID, user))
	}
	return told
}

// Sale is a sale that is over.
func (s Subject) Sale(t testing.TB, shop strategy.Strategy, couponID string, limit int64, told []strategy.Told) strategy.Sale {
	t.Helper()
	if s.Settle != nil {
		s.Settle(t, shop, couponID)
	}
	issued, err := shop.Issued(t.Context(), couponID)
	must(t, err)
	return strategy.Sale{Limit: limit, Issued: issued, Told: told}
}

// Decided claims for one person, and waits for the decision where that comes later. Who is told to ask again does.
func Decided(t testing.TB, shop strategy.Strategy, couponID, userID string) strategy.Told {
	t.Helper()
	ctx := AskedBy(t.Context(), userID)
	told := Eventually(t, func() (told strategy.Told, err error) {
		told.UserID = userID
		told.Answer, told.Err = shop.Claim(ctx, couponID, userID)
		if _, known := words[word(told.Answer, told.Err)]; !known || errors.Is(told.Err, strategy.ErrBusy) {
			return told, told.Err
		}
		return told, nil
	})
	if told.Answer != strategy.Accepted {
		return told
	}
	return Result(t, shop.(strategy.Decider), couponID, userID)
}

// Result waits until a claim is decided. A worker must be at work.
func Result(t testing.TB, shop strategy.Decider, couponID, userID string) strategy.Told {
	t.Helper()
	return Eventually(t, func() (strategy.Told, error) {
		answer, err := shop.Result(t.Context(), couponID, userID)
		told := strategy.Told{UserID: userID, Answer: answer, Err: err}
		switch {
		case answer == strategy.Accepted:
			return told, errors.New("still waiting")
		case errors.Is(err, strategy.ErrNoClaim):
			return told, err
		}
		return told, nil
	})
}

// CouponID is that of a coupon which nobody used before.
func (s Subject) CouponID(t testing.TB) string {
	id := "tea-" + rand.Text()
	if s.Tidy != nil {
		t.Cleanup(func() { s.Tidy(t, id) })
	}
	return id
}

// People are so many ids.
func People(n int) []string {
	people := make([]string, n)
	for i := range people {
		people[i] = fmt.Sprintf("person-%03d", i+1)
	}
	return people
}

// Eventually asks until there is no error.
func Eventually[T any](t testing.TB, ask func() (T, error)) T {
	t.Helper()
	var got T
	var err error
	await(t, "an answer without an error", func() bool {
		got, err = ask()
		return err == nil
	}, &err)
	return got
}

// await waits for a condition; the errors say what was wrong last.
func await(t testing.TB, what string, true func() bool, last ...*error) {
	t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for !true() {
		select {
		case <-look.C:
		case <-deadline.C:
			for _, err := range last {
				t.Log(*err)
			}
			t.Fatalf("waited a minute for %s", what)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
