package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/firstcome/firstcome/cli/internal/crowd"
	"github.com/firstcome/firstcome/cli/internal/endpoint"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/ledger/archive"
)

type archiveFlags struct {
	dir       string
	olderThan time.Duration
	coupons   []string
	dryRun    bool
}

func (a *app) archive() *cobra.Command {
	var f archiveFlags
	cmd := &cobra.Command{
		Use:   "archive --to FOLDER",
		Short: "Take the grants of retired coupons out of Postgres, into files",
		Long: `Take the grants of retired coupons, and of retired days of daily ones, out of Postgres and into files: of each window
one, NAME.ndjson.gz, whose lines are the values of the journal's records, and beside it NAME.manifest.json with the coupon's
definitions, the number of lines, the first and the last, and the SHA-256 of the lines.

A file is read back before its rows are dropped, and they are dropped in the transaction that notes what was archived. It
may be interrupted at any point and run again: nothing is lost, and where an interrupted run had come as far as a whole file,
that one is kept, and it says so. Ledgers may run meanwhile; all of them must be of this version. Only one archive at a time
works on a database. The files are personal data, and nobody but their owner may read them.

A window counts as closed for as long as its partition's log time, as far as Postgres has it, is past its end. In a partition in
which nothing is granted or defined any more that time stands still: it "waits".

Afterwards the summary goes on to show the window, with "archived":true; its grants are answered 410. A journal that is
replayed into an empty Postgres brings them back.`,
		Example: `  firstcome archive --dry-run
  firstcome archive --to /srv/archive --older-than 2160h
  firstcome archive --to /srv/archive --coupon tea`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringVar(&f.dir, "to", "", "folder for the files; it is made where it is missing")
	cmd.Flags().DurationVar(&f.olderThan, "older-than", 30*24*time.Hour, "how long a window must have been closed, at least 24h")
	cmd.Flags().StringArrayVar(&f.coupons, "coupon", nil, "archive this coupon alone; may be given several times")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "change nothing, print what would be archived, and what has to wait")
	a.endpointFlags(cmd, endpoint.DatabaseURL)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := f.check(); err != nil {
			return err
		}
		found, err := a.find(endpoint.DatabaseURL)
		if err != nil {
			return err
		}
		return a.archiveAt(cmd.Context(), found[endpoint.DatabaseURL], f)
	}
	return cmd
}

func (f archiveFlags) check() error {
	for _, id := range f.coupons {
		if err := event.CheckCouponID(id); err != nil {
			return usagef("--coupon %q: %w", id, err)
		}
	}
	switch {
	case f.olderThan < archive.MinAge:
		return usagef("--older-than must be at least %s: a window that is not retired may get more grants", archive.MinAge)
	case f.dir == "" && !f.dryRun:
		return usagef("archive needs --to FOLDER; --dry-run shows what would be archived")
	}
	return nil
}

func (a *app) archiveAt(ctx context.Context, databaseURL string, f archiveFlags) error {
	if f.dryRun {
		windows, err := archive.Look(ctx, databaseURL)
		if err != nil {
			return err
		}
		return a.showWindows(f.chosen(windows), f.olderThan)
	}
	archives, err := archive.Open(ctx, databaseURL, f.dir)
	if err != nil {
		return err
	}
	defer archives.Close()
	windows, err := archives.Windows(ctx)
	if err != nil {
		return err
	}
	due := slices.DeleteFunc(f.chosen(windows), func(w archive.Window) bool { return w.Age() < f.olderThan })
	return a.archiveAll(ctx, archives.Do, due)
}

func (f archiveFlags) chosen(all []archive.Window) []archive.Window {
	return slices.DeleteFunc(all, func(w archive.Window) bool { return f.coupons != nil && !slices.Contains(f.coupons, w.CouponID) })
}

// showWindows prints what would become of each window.
func (a *app) showWindows(windows []archive.Window, olderThan time.Duration) error {
	table := tabwriter.NewWriter(a.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "COUPON\tWINDOW\tGRANTS\tCLOSED AT\tLOG TIME\tWHAT")
	var grants int64
	count := 0
	for _, w := range windows {
		what := "would be archived"
		switch age := w.Age(); {
		case w.ClosedAt.IsZero():
			what = "never closes"
		case age < 0:
			what = "is open, or waits for its partition"
		case age < olderThan:
			what = fmt.Sprintf("waits: closed for %s", age.Truncate(time.Minute))
		default:
			count, grants = count+1, grants+w.Granted
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", w.CouponID, orDash(w.Window), crowd.Grouped(w.Granted), moment(w.ClosedAt), moment(w.LogTime), what)
	}
	fmt.Fprintf(table, "%s of %d would be archived, with %s grants\n", crowd.Grouped(int64(count)), len(windows), crowd.Grouped(grants))
	return table.Flush()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

// archiveAll goes on after a window that cannot be archived, and ends with the first that it was interrupted in, or once the
// lock is lost. What became of a window is said at once, so that no end takes it back.
func (a *app) archiveAll(ctx context.Context, do func(context.Context, archive.Window, func(int64)) (archive.Archived, error), windows []archive.Window) error {
	var grants, before int64
	for _, w := range windows {
		grants += w.Granted
	}
	bar := a.bar(max(grants, 1), "archiving", "grants")
	defer func() { _ = bar.Finish() }()
	var failed error
	done := 0
	for _, w := range windows {
		got, err := do(ctx, w, func(n int64) {
			if n%1000 == 0 {
				_ = bar.Set64(before + n)
			}
		})
		before += w.Granted
		_ = bar.Clear()
		switch {
		case err != nil && ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, archive.ErrLost):
			return err
		case err != nil:
			fmt.Fprintf(a.Err, "firstcome: %v\n", err)
			failed = errSaid
			continue
		}
		done++
		fmt.Fprintf(a.Out, "archived %s%s: %s grants, %s%s\n", w.CouponID, inWindow(w.Window), crowd.Grouped(got.Grants), got.File, foundThere(got))
	}
	fmt.Fprintf(a.Out, "archived %d of %d windows\n", done, len(windows))
	return failed
}

func foundThere(got archive.Archived) string {
	if !got.Again {
		return ""
	}
	return " (the file was there: an earlier run had been interrupted before it dropped the rows)"
}
