// Package cli is the firstcome command.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/firstcome/firstcome/cli/internal/endpoint"
)

// Exit codes of every command.
const (
	exitOK      = 0
	exitFailure = 1 // it failed, was refused, or found a difference
	exitUsage   = 2 // it was asked wrongly
)

// System is what a command sees of the machine.
type System struct {
	In       io.Reader // of a terminal, to ask whoever sits there; nil: there is nobody
	Out, Err io.Writer
	Getenv   func(string) string
}

// Run is the whole command; it gives the exit code.
func Run(ctx context.Context, args []string, sys System) int {
	app := &app{System: sys}
	root := app.root()
	root.SetArgs(args)
	root.SetOut(sys.Out)
	root.SetErr(sys.Err)
	err := root.ExecuteContext(ctx)
	var usage *usageError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errSaid):
		return exitFailure
	case !app.running || errors.As(err, &usage):
		fmt.Fprintf(sys.Err, "firstcome: %v (--help tells how)\n", err)
		return exitUsage
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		fmt.Fprintln(sys.Err, "firstcome: interrupted")
		return exitFailure
	}
	fmt.Fprintf(sys.Err, "firstcome: %v\n", err)
	return exitFailure
}

// errSaid ends a command with exit code 1 whose output has already said why.
var errSaid = errors.New("already said")

// usageError is a mistake of whoever typed the command, found after the flags were parsed.
type usageError struct{ error }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// app is one run of the command.
type app struct {
	System
	running   bool // the flags were understood
	dataDir   string
	endpoints map[string]*string // flags by endpoint name
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "firstcome",
		Short: "Exactly N coupons to the first N people who asked, proven from the log",
		Long: `Exactly N coupons to the first N people who asked, proven from the log.

Commands find the servers by their flags, then by the environment (GATEWAY_URL, KAFKA_BROKERS, REDIS_ADDR,
DATABASE_URL), then by the endpoints.env that local mode writes into its data folder. Where tokens are asked for, the
environment's ADMIN_TOKEN and CLAIM_TOKEN are sent.

Exit codes: 0 done; 1 failed, refused, or a difference was found; 2 asked wrongly.`,
		Example: `  firstcome local                                   everything on this machine, on embedded servers
  firstcome coupon put tea --limit 100              a coupon
  firstcome claim tea ada --wait 5s                 one person asks
  firstcome load --limit 1000 --people 20000        many ask at once
  firstcome audit                                   is everything as the log says?`,
		SilenceErrors: true, SilenceUsage: true,
		PersistentPreRun: func(*cobra.Command, []string) { a.running = true },
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.PersistentFlags().StringVar(&a.dataDir, "data-dir", "./.firstcome", "data folder of local mode, whose endpoints.env names the servers")
	root.AddCommand(a.local(), a.demo(), a.topics(), a.coupon(), a.claim(), a.load(), a.audit(), a.archive(), a.deadLetters(), a.tail(), a.replayGroup(), a.importPeople(), a.compare())
	return root
}

// endpointFlags are the flags by which a command's servers can be named.
func (a *app) endpointFlags(cmd *cobra.Command, names ...string) {
	if a.endpoints == nil {
		a.endpoints = make(map[string]*string)
	}
	for _, name := range names {
		f := endpointFlagsByName[name]
		value := a.endpoints[name]
		if value == nil {
			value = new(string)
			a.endpoints[name] = value
		}
		cmd.Flags().StringVar(value, f.flag, "", f.usage+" ("+name+")")
	}
}

var endpointFlagsByName = map[string]struct{ flag, usage string }{
	endpoint.GatewayURL:   {"gateway", "URL of the gateway; a comma list of several, over which a load is spread: other commands ask the first"},
	endpoint.KafkaBrokers: {"kafka", "Kafka brokers, a comma list of host:port"},
	endpoint.RedisAddr:    {"redis", "Redis, host:port or a comma list"},
	endpoint.DatabaseURL:  {"postgres", "URL of the ledger's database"},
}

// bar shows on a terminal how much of what is done, and is not seen elsewhere; without a unit, only that something is being
// done. A terminal that is gone is nobody's loss, so its errors say nothing.
func (a *app) bar(most int64, what, unit string) *progressbar.ProgressBar {
	f, ok := a.Err.(*os.File)
	options := []progressbar.Option{
		progressbar.OptionSetWriter(a.Err), progressbar.OptionSetVisibility(ok && term.IsTerminal(int(f.Fd()))), progressbar.OptionSetDescription(what),
		progressbar.OptionThrottle(100 * time.Millisecond), progressbar.OptionClearOnFinish(), progressbar.OptionFullWidth(),
	}
	if unit != "" {
		options = append(options, progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString(unit))
	}
	return progressbar.NewOptions64(most, options...)
}

// find looks the needed servers up.
func (a *app) find(needed ...string) (map[string]string, error) {
	flags := make(map[string]string)
	for name, value := range a.endpoints {
		flags[name] = *value
	}
	return endpoint.Finder{Flags: flags, Getenv: a.Getenv, DataDir: a.dataDir}.Find(needed...)
}
