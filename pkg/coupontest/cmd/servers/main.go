// Command servers starts the servers that tests would get, stops them, and names them and their versions in one line.
// COUPONTEST_SERVERS and REQUIRE choose them (package coupontest); where they can't be had it says why and exits with 1.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/firstcome/firstcome/pkg/coupontest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	line, err := coupontest.Describe(ctx)
	if err != nil {
		return err
	}
	fmt.Println(line)
	return nil
}
