// Package strategy attacks the strategies of module strategy by the suite of strategytest, on the servers of pkg/coupontest.
// It lives here so that a shop which takes the module gets no more with it than the drivers.
package strategy

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/strategy"
	"github.com/firstcome/firstcome/strategy/strategytest"
)

// serve names the strategy that this binary serves in place of testing: it is then a server of a shop.
const serve = "STRATEGY_SERVE"

func TestMain(m *testing.M) {
	if name := os.Getenv(serve); name != "" {
		if err := server(name); err != nil {
			fmt.Fprintln(os.Stderr, name, err)
			os.Exit(1)
		}
		return
	}
	_ = flag.Set("test.parallel", "4") // unless the command line says something else: most of what is here waits
	coupontest.Main(built{m})
}

// built makes the firstcome command from the sources beside this module, unless one is named.
type built struct{ m *testing.M }

func (b built) Run() int {
	if os.Getenv("FIRSTCOME_BIN") != "" {
		return b.m.Run()
	}
	dir, err := os.MkdirTemp("", "firstcome-strategy-")
	if err == nil {
		defer os.RemoveAll(dir)
		program := filepath.Join(dir, "firstcome")
		cmd := exec.Command("go", "build", "-o", program, "../../cli/cmd/firstcome")
		cmd.Env, cmd.Stderr = append(os.Environ(), "CGO_ENABLED=0"), os.Stderr
		err = errors.Join(cmd.Run(), os.Setenv("FIRSTCOME_BIN", program))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "build firstcome:", err)
		return 1
	}
	return b.m.Run()
}

func server(name string) error {
	ctx := context.Background()
	switch name {
	case "postgres":
		pool, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
		if err != nil {
			return err
		}
		defer pool.Close()
		return strategytest.Serve(ctx, strategy.Postgres{Pool: pool}, nil, os.Stdin, os.Stdout)
	case "log":
		return strategytest.Serve(ctx, strategy.Log{GatewayURL: os.Getenv("GATEWAY_URL"), LedgerURL: os.Getenv("LEDGER_URL")}, nil, os.Stdin, os.Stdout)
	}
	client := redis.NewClient(&redis.Options{Addr: os.Getenv("REDIS_ADDR")})
	defer client.Close()
	return strategytest.Serve(ctx, strategytest.Open(name, client), strategytest.NewGate(client), os.Stdin, os.Stdout)
}

// command is this binary as a server of that strategy.
func command(name string, env ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), serve+"="+name), env...)
	return cmd
}
