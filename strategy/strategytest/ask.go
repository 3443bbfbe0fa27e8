package strategytest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/firstcome/firstcome/strategy"
)

// CouponID is that of a coupon which nobody used before.
func (s Subject) CouponID(t T) string {
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

// Sale is a sale that is over.
func (s Subject) Sale(t T, shop strategy.Strategy, couponID string, limit int64, told []strategy.Told) strategy.Sale {
	t.Helper()
	if s.Settle != nil {
		s.Settle(t, couponID)
	}
	issued, err := shop.Issued(t.Context(), couponID)
	must(t, err)
	return strategy.Sale{Limit: limit, Issued: issued, Told: told}
}

// Decided claims for one person, and waits for the decision where that comes later. Who is told to ask again does.
func Decided(t T, shop strategy.Strategy, couponID, userID string) strategy.Told {
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
func Result(t T, shop strategy.Decider, couponID, userID string) strategy.Told {
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

// Work starts the worker of a coupon, where one is needed, and returns what ends it when the sale is over: with one more claim,
// since a worker to whom nobody comes looks but once a second whether it is to end.
func Work(t T, shop strategy.Strategy, couponID string) (end func()) {
	decider, decides := shop.(strategy.Decider)
	if !decides {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	worked := make(chan error, 1)
	go func() { worked <- decider.Work(ctx, couponID) }()
	return func() {
		cancel()
		_, _ = shop.Claim(context.WithoutCancel(t.Context()), couponID, "whoever wakes the worker")
		if err := <-worked; !errors.Is(err, context.Canceled) {
			t.Errorf("the worker ended with %v", err)
		}
	}
}

// Eventually asks until there is no error.
func Eventually[V any](t T, ask func() (V, error)) V {
	t.Helper()
	var got V
	var err error
	await(t, "an answer without an error", func() bool {
		got, err = ask()
		return err == nil
	}, &err)
	return got
}

// await waits for a condition, no longer than the test goes on; the errors say what was wrong last.
func await(t T, what string, true func() bool, last ...*error) {
	t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for !true() {
		select {
		case <-look.C:
		case <-t.Context().Done():
			t.Fatalf("waited for %s until the end%s", what, wrong(last))
		case <-deadline.C:
			t.Fatalf("waited a minute for %s%s", what, wrong(last))
		}
	}
}

func wrong(last []*error) (all string) {
	for _, err := range last {
		if *err != nil {
			all += ": " + (*err).Error()
		}
	}
	return all
}

func must(t T, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v", err)
	}
}
