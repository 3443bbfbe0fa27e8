package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/firstcome/firstcome/cli/internal/compare"
	"github.com/firstcome/firstcome/cli/internal/endpoint"
	"github.com/firstcome/firstcome/strategy"
)

func (a *app) compare() *cobra.Command {
	cfg := compare.Config{Getenv: a.Getenv, Err: a.Err}
	var page string
	cmd := &cobra.Command{
		Use:   "compare",
		Short: "Run every known strategy on the same servers, attack it, and print one table",
		Long: `Run every strategy of docs/strategies.md on the same Redis, Kafka and Postgres: sell with it, attack it, and print one table.

The sale is for speed: everybody asks once, at several server processes, and waits until they are decided. A sale of at most
500 people through a proxy counts what a person costs Redis. The attacks are those of package strategytest: a crowd with a
server killed and another paused, the order of arrival, a Redis that comes back empty, and each fault that a strategy's page
names, played command by command. Faults of all of them are counted together. After a minute a sale lets nobody in any more.

What is not given is embedded, and the table says so. On given servers it makes topics with a prefix of its own and a database
of its own (the role needs CREATEDB), and removes them. Its Redis must be empty, since it is emptied; where somebody else begins to
use it meanwhile, the run ends. TLS and passwords come from the environment, as for local mode.

It runs on Unix, where a process can be paused.

Exit code 1 where a strategy shows a fault that its page does not name, or could not show one that it names.`,
		Example: `  firstcome compare
  firstcome compare --strategy script,log --people 2000 --limit 200
  firstcome compare --kafka kafka:9092 --redis redis:6379 --postgres postgres://firstcome:secret@db/firstcome`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().IntVar(&cfg.People, "people", 10000, "how many ask in the sale")
	cmd.Flags().Int64Var(&cfg.Limit, "limit", 1000, "how many of them get one")
	cmd.Flags().IntVar(&cfg.Size.Servers, "servers", 4, "processes that sell")
	cmd.Flags().IntVar(&cfg.Concurrency, "concurrency", 256, "how many ask at the same time")
	cmd.Flags().StringSliceVar(&cfg.Strategies, "strategy", known(), "a comma list of those to compare")
	cmd.Flags().StringVar(&page, "html", "compare.html", "file for the page with the plots, which is replaced; empty writes none")
	cmd.Flags().StringVar(&cfg.Kafka, "kafka", "", "brokers to use instead of the embedded one, a comma list of host:port")
	cmd.Flags().StringVar(&cfg.Redis, "redis", "", "empty Redis to use instead of the embedded one, host:port")
	cmd.Flags().StringVar(&cfg.Postgres, "postgres", "", "URL of a database whose owner may create others, instead of the embedded one")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkCompare(cfg, page); err != nil {
			return err
		}
		return a.runCompare(cmd.Context(), cfg, typed(cmd), page)
	}
	cmd.AddCommand(a.compareServers(), a.compareShop())
	return cmd
}

// known are the names of all strategies.
func known() (names []string) {
	for _, p := range strategy.Pages() {
		names = append(names, p.Name)
	}
	return names
}

func checkCompare(cfg compare.Config, page string) error {
	if !compare.Possible {
		return usagef("compare pauses a process as one of its attacks, and that is possible on Unix only")
	}
	if info, err := os.Stat(page); err == nil && info.IsDir() {
		return usagef("--html %s is a folder, and must be a file", page)
	}
	for _, name := range cfg.Strategies {
		if !slices.Contains(known(), name) {
			return usagef("--strategy %q is none of %s", name, strings.Join(known(), ", "))
		}
	}
	switch u, err := url.Parse(cfg.Postgres); {
	case len(cfg.Strategies) == 0:
		return usagef("--strategy names none of %s", strings.Join(known(), ", "))
	case cfg.People < 1 || cfg.People > maxPeople:
		return usagef("--people must be from 1 to %d", maxPeople)
	case cfg.Limit < 1 || cfg.Limit > maxLimit:
		return usagef("--limit must be from 1 to %d", maxLimit)
	case cfg.Size.Servers < 1 || cfg.Size.Servers > maxServers:
		return usagef("--servers must be from 1 to %d", maxServers)
	case cfg.Concurrency < 1 || cfg.Concurrency > openConcurrency:
		return usagef("--concurrency must be from 1 to %d", openConcurrency)
	case cfg.Postgres != "" && (err != nil || u.Host == ""):
		return usagef("--postgres must be a URL such as postgres://user:password@host/database")
	}
	return nil
}

const (
	maxLimit   = 100_000_000
	maxServers = 64
)

// typed is the command as it was typed, without a password.
func typed(cmd *cobra.Command) string {
	words := []string{cmd.CommandPath()}
	for _, name := range []string{"people", "limit", "servers", "concurrency", "strategy", "kafka", "redis", "postgres"} {
		f := cmd.Flags().Lookup(name)
		value := f.Value.String()
		switch name {
		case "strategy":
			value = strings.Trim(value, "[]")
		case "postgres":
			value = shown(value)
		}
		if f.Changed {
			words = append(words, "--"+name, value)
		}
	}
	return strings.Join(words, " ")
}

// shown is a database's URL without what may be a password: that of the user, and the whole query.
func shown(database string) string {
	u, err := url.Parse(database)
	if err != nil {
		return "xxxxx"
	}
	u.RawQuery, u.ForceQuery, u.Fragment = "", false, ""
	return u.Redacted()
}

// steps shows one bar after the other, until end.
func (a *app) steps() (begin func(what string, most int64) func(), end func() error) {
	last := func() error { return nil }
	return func(what string, most int64) func() {
		_ = last()
		unit := "people"
		if most < 0 {
			unit = ""
		}
		bar := a.bar(most, what, unit)
		_ = bar.RenderBlank() // what begins is said before anything of it is done
		last = bar.Finish
		return func() { _ = bar.Add(1) }
	}, func() error { return last() }
}

// runCompare makes the page's file before anything runs: a folder that takes none is told at once.
func (a *app) runCompare(ctx context.Context, cfg compare.Config, command, page string) (err error) {
	if cfg.Program, err = os.Executable(); err != nil {
		return err
	}
	var file *os.File
	if page != "" {
		if file, err = os.CreateTemp(filepath.Dir(page), "."+filepath.Base(page)+".*"); err != nil {
			return err
		}
		defer os.Remove(file.Name())
		defer file.Close()
	}
	begin, end := a.steps()
	cfg.Begin = begin
	report, err := compare.Run(ctx, cfg)
	_ = end()
	if err != nil {
		return err
	}
	report.Command = command
	report.Write(a.Out)
	if file != nil {
		if err := writePage(report, file, page); err != nil {
			return err
		}
		fmt.Fprintf(a.Out, "\nplots: %s\n", page)
	}
	return a.blame(report)
}

func writePage(report compare.Report, file *os.File, page string) error {
	w := bufio.NewWriter(file)
	if err := errors.Join(report.WriteHTML(w), w.Flush(), file.Chmod(0o644), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), page)
}

// blame says what differs from the strategies' pages.
func (a *app) blame(report compare.Report) error {
	for _, row := range report.All() {
		for _, wrong := range row.Wrong {
			fmt.Fprintf(a.Err, "firstcome: %s: %s\n", row.Page.Name, wrong)
		}
	}
	if !report.OK() {
		return errSaid
	}
	return nil
}

// compareServers is a process that compare starts.
func (a *app) compareServers() *cobra.Command {
	var given compare.Given
	cmd := &cobra.Command{Use: "servers", Hidden: true, Args: cobra.NoArgs, Short: "Keep the servers of a compare, until the input ends"}
	cmd.Flags().StringVar(&given.Kafka, "kafka", "", "")
	cmd.Flags().StringVar(&given.Redis, "redis", "", "")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		given.Postgres = a.Getenv(endpoint.DatabaseURL)
		return compare.Keep(cmd.Context(), given, a.Getenv, os.Stdin, a.Out)
	}
	return cmd
}

// compareShop is another.
func (a *app) compareShop() *cobra.Command {
	var patiently bool
	cmd := &cobra.Command{Use: "shop STRATEGY", Hidden: true, Args: cobra.ExactArgs(1), Short: "Sell to whoever asks on the input, until that ends"}
	cmd.Flags().BoolVar(&patiently, "patiently", false, "")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return compare.Shop(cmd.Context(), args[0], patiently, a.Getenv, os.Stdin, a.Out)
	}
	return cmd
}
