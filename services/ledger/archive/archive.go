// Package archive takes retired windows out of the ledger: their grants go into a file, which is read back, and only then
// are their rows dropped, in the transaction that notes what was archived and where. Whatever it is interrupted by, the
// grants are in Postgres, in a whole file, or in both; running it again goes on.
package archive

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/ledger/internal/postgres"
)

// MinAge is the youngest that an archived window may be: before, it is not retired, and may get more grants.
const MinAge = 24 * time.Hour

// Archive writes into one folder. One at a time works on a database.
type Archive struct {
	dir   string
	store *postgres.Store
	rows  *postgres.Archive
	step  func(string) error // tests fail here: what has just become durable
}

// Open connects, and clears away what a run that was interrupted had not finished writing. dir is made where it is missing;
// what lies in it is personal data, so only its owner may read it.
func Open(ctx context.Context, databaseURL, dir string) (*Archive, error) {
	store, err := postgres.New(databaseURL)
	if err != nil {
		return nil, err
	}
	a := &Archive{dir: dir, store: store, step: func(string) error { return nil }}
	if a.rows, err = store.Archiving(ctx); err == nil && dir != "" {
		err = errors.Join(os.MkdirAll(dir, 0o700), clear(dir))
	}
	if err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

// Close lets others archive.
func (a *Archive) Close() {
	if a.rows != nil {
		a.rows.Close()
	}
	a.store.Close()
}

// Window is a window whose grants are in Postgres.
type Window struct {
	CouponID string
	Window   string // "" or a day
	Granted  int64
	ClosedAt time.Time // closes_at, or the day's end; zero: it never closes as it is defined now
	LogTime  time.Time // of its partition, as far as the ledger knows it

	first, last time.Time
}

// Age is for how long the window has been closed by the log time that the ledger knows; negative where it is open.
func (w Window) Age() time.Duration {
	if w.ClosedAt.IsZero() {
		return -1
	}
	return w.LogTime.Sub(w.ClosedAt)
}

// Windows gives all whose grants are in Postgres, by coupon and window.
func (a *Archive) Windows(ctx context.Context) (all []Window, err error) {
	kept, err := a.rows.Kept(ctx)
	for _, k := range kept {
		all = append(all, Window{CouponID: k.CouponID, Window: k.Window.Window, Granted: k.Window.Granted,
			ClosedAt: closedAt(k.Definition, k.Window.Window), LogTime: k.LogTime, first: k.Window.First, last: k.Window.Last})
	}
	return all, err
}

// closedAt is when the rules say that no claim can be granted any more: with its coupon, or at its day's end, which a program
// that does not know the time zone cannot tell.
func closedAt(d event.CouponDefined, window string) (closed time.Time) {
	closed = d.ClosesAt
	if _, err := fcfs.LoadZone(d.TimeZone); err != nil {
		return closed
	}
	end := fcfs.Definition{CouponID: d.CouponID, Window: fcfs.Window(d.Window), TimeZone: d.TimeZone}.DayEnd(window)
	if end != 0 && (closed.IsZero() || end.Time().Before(closed)) {
		closed = end.Time()
	}
	return closed
}

// Archived is what became of a window.
type Archived struct {
	Manifest
	Again bool // the file was there already: an earlier run had written it and was interrupted before the rows were dropped
}

// Do archives one window. progress is told how many grants were written; nil: nobody.
func (a *Archive) Do(ctx context.Context, w Window, progress func(int64)) (Archived, error) {
	if w.Age() < MinAge {
		return Archived{}, fmt.Errorf("coupon %s is not retired%s", w.CouponID, inWindow(w.Window))
	}
	coupon, err := a.store.Coupon(ctx, w.CouponID)
	if err != nil {
		return Archived{}, err
	}
	m, print, err := a.export(ctx, w, coupon.Definitions, progress)
	if err != nil {
		return Archived{}, err
	}
	again, err := a.keep(m)
	if err != nil {
		return Archived{}, err
	}
	if err := a.step("kept"); err != nil {
		return Archived{}, err
	}
	row := postgres.Archived{CouponID: w.CouponID, Checksum: m.checksum,
		Window: postgres.Window{Window: w.Window, Granted: m.Grants, First: w.first, Last: w.last, File: m.File}}
	if err := a.rows.Drop(ctx, row, print); err != nil {
		return Archived{}, fmt.Errorf("coupon %s%s: %w: the file %s is whole, and nothing was dropped", w.CouponID, inWindow(w.Window), err, m.File)
	}
	return Archived{m, again}, a.step("dropped")
}

func inWindow(window string) string {
	if window == "" {
		return ""
	}
	return ", window " + window
}
