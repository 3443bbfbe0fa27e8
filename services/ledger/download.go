package ledger

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/firstcome/firstcome/internal/telemetry"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/ledger/internal/postgres"
)

const (
	downloadPage = 10_000
	// A reader that takes longer for a page is cut off. Between pages it holds nothing of the database's.
	downloadPageTimeout = time.Minute
)

// file is a form in which all grants of a coupon can be had.
type file struct {
	suffix, mediaType string
	open              func(io.Writer) rowWriter
}

// rowWriter writes grants into a file, one a line.
type rowWriter interface {
	Row(event.CouponGranted) error
	Flush() error
}

var errArchived = errors.New("a window was archived while its grants were read")

// download is GET /v1/coupons/{id}/grants.csv and its like. It reads page by page, so that neither memory nor a long look of the
// database stands behind a slow reader; grants are only added, behind those that were read. Where a later page fails, or a
// window was archived under the reader, the connection is broken off: a file that ends too early must not look whole.
func (a *api) download(f file) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		p, id, err := couponOf(r)
		if err != nil {
			return err
		}
		filter := postgres.Filter{CouponID: &id, Window: p.text("window", checkWindow), Limit: a.page}
		if err := p.problem(); err != nil {
			return err
		}
		coupon, err := a.known(r.Context(), id)
		if err != nil {
			return err
		}
		before, err := kept(coupon, filter.Window)
		if err != nil {
			return err
		}
		rows, err := a.store.Grants(r.Context(), filter)
		if err != nil {
			return err
		}
		head(w, f.mediaType)
		w.Header().Set("Content-Disposition", `attachment; filename="`+id+f.suffix+`"`)
		w.WriteHeader(http.StatusOK)
		if r.Method == http.MethodHead {
			return nil
		}
		err = a.stream(w, r, f.open(w), filter, rows)
		if err == nil {
			err = a.checkKept(r.Context(), id, filter.Window, before)
		}
		if err != nil {
			telemetry.Fail(r.Context(), err)
			panic(http.ErrAbortHandler)
		}
		return nil
	}
}

// kept are the windows whose grants are here, of those that are asked for; a refusal where all of them were archived.
func kept(c postgres.Coupon, window *string) (windows []string, err error) {
	for _, w := range c.Windows {
		if differs(window, w.Window) {
			continue
		}
		if w.File == "" {
			windows = append(windows, w.Window)
		} else {
			err = archived(w)
		}
	}
	if len(windows) > 0 {
		err = nil
	}
	return windows, err
}

// checkKept tells whether all windows that were read are here to the end.
func (a *api) checkKept(ctx context.Context, id string, window *string, before []string) error {
	coupon, err := a.store.Coupon(ctx, id)
	if err != nil {
		return err
	}
	after, _ := kept(coupon, window)
	for _, w := range before {
		if !slices.Contains(after, w) {
			return errArchived
		}
	}
	return nil
}

func (a *api) stream(w http.ResponseWriter, r *http.Request, out rowWriter, f postgres.Filter, rows []event.CouponGranted) (err error) {
	control := http.NewResponseController(w)
	for {
		if err := control.SetWriteDeadline(time.Now().Add(downloadPageTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return err
		}
		for _, g := range rows {
			if err := out.Row(g); err != nil {
				return err
			}
		}
		if err := out.Flush(); err != nil {
			return err
		}
		if len(rows) < f.Limit {
			return nil
		}
		after := positionOf(rows[len(rows)-1])
		f.After = &after
		if rows, err = a.store.Grants(r.Context(), f); err != nil {
			return err
		}
	}
}
