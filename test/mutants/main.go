// Command mutants breaks the production code on purpose, one patch of this folder at a time, and demands that the tests
// find each: a test suite is worth what it finds.
//
//	go run ./test/mutants [-seeds 2000] [-only NAME]
//
// The checkout itself is never changed: the go command sees the mutated files by its -overlay. A patch begins with a
// sentence that says what it breaks, and a line that says who attacks it, in order, until one finds it:
//
//	Attacked by: simulation; ./services/issuer/internal/redisstore -run TestStore
//
// Exit code 1 where a mutant survives all of them, 2 where one cannot be tried: its patch does not apply any more, or it
// does not compile.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"
)

func main() {
	seeds := flag.Int("seeds", 2000, "simulated runs for each mutant, at most")
	only := flag.String("only", "", "try this mutant alone, or those of a pattern")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	survivors, err := run(ctx, *seeds, *only)
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(2)
	case survivors > 0:
		os.Exit(1)
	}
}

func run(ctx context.Context, seeds int, only string) (survivors int, err error) {
	root, err := checkout(ctx)
	if err != nil {
		return 0, err
	}
	if only == "" {
		only = "*"
	}
	patches, err := filepath.Glob(filepath.Join(root, "test", "mutants", only+".patch"))
	if err != nil {
		return 0, err
	}
	if len(patches) == 0 {
		return 0, fmt.Errorf("no mutant %q", only)
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "mutant\tfound by\tafter\tseconds")
	for _, path := range patches {
		began := time.Now()
		m, err := read(path)
		if err != nil {
			return survivors, err
		}
		f, err := m.attack(ctx, root, seeds)
		if err != nil {
			return survivors, fmt.Errorf("%s: %w", m.name, err)
		}
		if f.by == "" {
			survivors++
			f.by = "NOBODY"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%.0f\n", m.name, f.by, f.after, time.Since(began).Seconds())
		fmt.Printf("%s: %s %s\n", m.name, f.by, f.after) // the table comes at the end, and this may take long
	}
	fmt.Println()
	if err := table.Flush(); err != nil {
		return survivors, err
	}
	fmt.Printf("\n%d mutants, %d found, %d survive\n", len(patches), len(patches)-survivors, survivors)
	return survivors, nil
}

// checkout is the root of the project: where go.work is.
func checkout(ctx context.Context) (string, error) {
	out, err := output(ctx, "", "go", "env", "GOWORK")
	if err != nil {
		return "", err
	}
	work := strings.TrimSpace(out)
	if filepath.Base(work) != "go.work" {
		return "", errors.New("run it inside the checkout, with its workspace")
	}
	return filepath.Dir(work), nil
}
