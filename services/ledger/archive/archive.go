// Package archive takes retired windows out of the ledger: their grants go into a file, which is read back, and only then
// are their rows dropped, in the transaction that notes what was archived and where. Whatever it is interrupted by, the
// grants are in Postgres, in a whole file, or in both; running it again goes on.
package archive

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/ledger/internal/postgres"
)

// MinAge is the youngest that an archived window may be: before, it is not retired, and may get more grants.
const MinAge = fcfs.RetireAfter

// ErrLost says that the session with Postgres is gone, and the lock with it: nothing more can be archived by this Archive.
var ErrLost = errors.New("the connection to Postgres is lost")

// Archive writes into one folder, which no other database's archive may write into. One at a time works on a database.
type Archive struct {
	dir   string
	store *postgres.Store
	rows  *postgres.Archive
	step  func(string) error // tests fail here: what has just become durable
}

// Open connects, and clears away what a run that was interrupted had not finished writing. dir is made where it is missing;
// what lies in it is personal data, so only its owner may read it.
func Open(ctx context.Context, databaseURL, dir string) (*Archive, error) {
	a, err := connect(ctx, databaseURL)
	if err != nil {
		return nil, err
	}
	a.dir = dir
	if err = a.rows.Lock(ctx); err == nil {
		err = makeDir(dir)
	}
	if err == nil {
		err = clear(dir)
	}
	if err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

// Look gives all windows whose grants are in Postgres, also while somebody archives.
func Look(ctx context.Context, databaseURL string) ([]Window, error) {
	a, err := connect(ctx, databaseURL)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	return a.Windows(ctx)
}

func connect(ctx context.Context, databaseURL string) (*Archive, error) {
	store, err := postgres.New(databaseURL)
	if err != nil {
		return nil, err
	}
	a := &Archive{store: store, step: func(string) error { return nil }}
	if a.rows, err = store.Archiving(ctx); err != nil {
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
			ClosedAt: closedAt(k.Definition, k.Window.Window), LogTime: k.LogTime})
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

// Do archives one window. progress is told how many grants were written; nil: nobody. After ErrLost there is no use in more.
func (a *Archive) Do(ctx context.Context, w Window, progress func(int64)) (Archived, error) {
	done, err := a.do(ctx, w, progress)
	if err != nil && a.rows.Lost() {
		err = fmt.Errorf("%w: %w", ErrLost, err)
	}
	return done, err
}

func (a *Archive) do(ctx context.Context, w Window, progress func(int64)) (Archived, error) {
	if w.Age() < MinAge {
		return Archived{}, fmt.Errorf("coupon %s%s is not retired", w.CouponID, inWindow(w.Window))
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
	if err := a.drop(ctx, m, print); err != nil {
		return Archived{}, err
	}
	return Archived{m, again}, a.step("dropped")
}

// drop promises that nothing was dropped only where it knows: the answer to a commit may have been lost on its way.
func (a *Archive) drop(ctx context.Context, m Manifest, print postgres.Fingerprint) error {
	row := postgres.Archived{CouponID: m.CouponID, Checksum: m.checksum,
		Window: postgres.Window{Window: m.Window, Granted: m.Grants, First: m.first, Last: m.last, File: m.File}}
	switch err := a.rows.Drop(ctx, row, print); {
	case err == nil:
		return nil
	case errors.Is(err, postgres.ErrChanged):
		return fmt.Errorf("coupon %s%s: %w: the file %s is whole, and nothing was dropped", m.CouponID, inWindow(m.Window), err, m.File)
	default:
		return fmt.Errorf("coupon %s%s: %w: the file %s is whole; keep it: whether its rows were dropped is not known (the summary tells)",
			m.CouponID, inWindow(m.Window), err, m.File)
	}
}

func inWindow(window string) string {
	if window == "" {
		return ""
	}
	return ", window " + window
}
