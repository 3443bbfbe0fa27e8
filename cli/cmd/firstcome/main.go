// Command firstcome runs Firstcome on one machine, speaks to it, loads it and audits it: `firstcome --help`.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"github.com/firstcome/firstcome/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // from then on a second signal ends the process at once
	system := cli.System{Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv}
	if term.IsTerminal(int(os.Stdin.Fd())) {
		system.In = os.Stdin
	}
	os.Exit(cli.Run(ctx, os.Args[1:], system))
}
