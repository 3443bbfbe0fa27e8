package ledger

import (
	"encoding/csv"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/firstcome/firstcome/internal/telemetry"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/ledger/internal/postgres"
)

const (
	csvPage = 10_000
	// A reader that takes longer for a page is cut off. Between pages it holds nothing of the database's.
	csvPageTimeout = time.Minute
)

var csvColumns = []string{"grant_id", "coupon_id", "user_id", "window", "sequence", "limit", "requested_at", "log_time", "source_partition", "source_offset"}

// csv is GET /v1/coupons/{id}/grants.csv. It reads page by page, so that neither memory nor a long look of the database
// stands behind a slow reader; grants are only added, behind those that were read. Where a later page fails the
// connection is broken off: a file that ends too early must not look whole.
func (a *api) csv(w http.ResponseWriter, r *http.Request) error {
	id, err := couponOf(r)
	if err != nil {
		return err
	}
	known, err := a.store.Defined(r.Context(), id)
	if err != nil {
		return err
	}
	if !known {
		return unknownCoupon()
	}
	f := postgres.Filter{CouponID: &id, Limit: a.page}
	rows, err := a.store.Grants(r.Context(), f)
	if err != nil {
		return err
	}
	head(w, "text/csv; charset=utf-8; header=present")
	w.Header().Set("Content-Disposition", `attachment; filename="`+id+`.csv"`)
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	if err := a.stream(w, r, f, rows); err != nil {
		telemetry.Fail(r.Context(), err)
		panic(http.ErrAbortHandler)
	}
	return nil
}

func (a *api) stream(w http.ResponseWriter, r *http.Request, f postgres.Filter, rows []event.CouponGranted) (err error) {
	control := http.NewResponseController(w)
	out := csv.NewWriter(w)
	if err := out.Write(csvColumns); err != nil {
		return err
	}
	for {
		if err := control.SetWriteDeadline(time.Now().Add(csvPageTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return err
		}
		for _, g := range rows {
			if err := out.Write(csvRow(g)); err != nil {
				return err
			}
		}
		out.Flush()
		if err := out.Error(); err != nil {
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

func csvRow(g event.CouponGranted) []string {
	return []string{g.GrantID, cell(g.CouponID), cell(g.UserID), g.Window, strconv.FormatInt(g.Sequence, 10), strconv.FormatInt(g.Limit, 10),
		instant(g.RequestedAt).String(), instant(g.LogTime).String(), strconv.Itoa(int(g.Source.Partition)), strconv.FormatInt(g.Source.Offset, 10)}
}

// formula are the first characters that make a spreadsheet compute a cell, their full-width forms included.
const formula = "=+-@＝＋－＠"

// cell keeps spreadsheets from computing what a person chose as an id: an apostrophe goes in front, as it also does before
// a cell that begins with one itself, so that whoever takes one away from each such cell has the ids as they were.
func cell(s string) string {
	if s != "" && (s[0] == '\'' || strings.ContainsRune(formula, []rune(s)[0])) {
		return "'" + s
	}
	return s
}
