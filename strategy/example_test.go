package strategy_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/firstcome/firstcome/strategy"
)

// connect is where a shop would name its Redis.
func connect() (client *redis.Client, stop func()) {
	server := miniredis.NewMiniRedis()
	if err := server.Start(); err != nil {
		panic(err)
	}
	client = redis.NewClient(&redis.Options{Addr: server.Addr()})
	return client, func() { client.Close(); server.Close() }
}

// A small shop gives away two teas.
func Example() {
	ctx := context.Background()
	client, stop := connect()
	defer stop()

	shop := strategy.Script{Redis: client}
	if err := shop.SetLimit(ctx, "tea", 2); err != nil {
		fmt.Println(err)
	}
	for _, user := range []string{"ada", "bob", "ada", "eve"} {
		switch _, err := shop.Claim(ctx, "tea", user); {
		case err == nil:
			fmt.Println(user, "has one")
		case errors.Is(err, strategy.ErrAlreadyIssued):
			fmt.Println(user, "has one already")
		case errors.Is(err, strategy.ErrExhausted):
			fmt.Println(user, "came too late")
		default:
			fmt.Println(err)
		}
	}
	// Output:
	// ada has one
	// bob has one
	// ada has one already
	// eve came too late
}

// The door answers at once; a worker, one in all, decides; people ask what became of their claim.
func ExampleQueue() {
	ctx, end := context.WithCancel(context.Background())
	client, stop := connect()
	defer stop()

	shop := strategy.Queue{Redis: client}
	if err := shop.SetLimit(ctx, "tea", 1); err != nil {
		fmt.Println(err)
	}
	for _, user := range []string{"ada", "bob"} {
		answer, err := shop.Claim(ctx, "tea", user)
		fmt.Println(user, answer, err)
	}

	worked := make(chan error)
	go func() { worked <- shop.Work(ctx, "tea") }()
	for _, user := range []string{"ada", "bob"} {
		answer, err := shop.Result(ctx, "tea", user)
		for answer == strategy.Accepted { // a page would ask every second
			answer, err = shop.Result(ctx, "tea", user)
		}
		fmt.Println(user, answer, err)
	}
	end()
	<-worked
	// Output:
	// ada accepted <nil>
	// bob accepted <nil>
	// ada issued <nil>
	// bob  all coupons are gone
}

// Every server of the shop makes a value of its own; the lock is in Redis.
func ExampleLock() {
	ctx := context.Background()
	client, stop := connect()
	defer stop()

	var one, other strategy.Strategy = strategy.Lock{Redis: client}, strategy.Lock{Redis: client}
	fmt.Println(one.SetLimit(ctx, "tea", 1))
	fmt.Println(one.Claim(ctx, "tea", "ada"))
	fmt.Println(other.Claim(ctx, "tea", "bob"))
	fmt.Println(other.Issued(ctx, "tea"))
	// Output:
	// <nil>
	// issued <nil>
	//  all coupons are gone
	// [ada] <nil>
}

// The answer is at once. That all are gone may be untrue a moment later: see the type.
func ExampleRecheck() {
	ctx := context.Background()
	client, stop := connect()
	defer stop()

	shop := strategy.Recheck{Redis: client}
	fmt.Println(shop.SetLimit(ctx, "tea", 1))
	fmt.Println(shop.Claim(ctx, "tea", "ada"))
	fmt.Println(shop.Claim(ctx, "tea", "bob"))
	fmt.Println(shop.Remaining(ctx, "tea"))
	// Output:
	// <nil>
	// issued <nil>
	//  all coupons are gone
	// 0 <nil>
}
