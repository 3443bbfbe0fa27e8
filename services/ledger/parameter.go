package ledger

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/internal/problem"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/ledger/internal/postgres"
)

// Bounds of a page of grants.
const (
	defaultLimit = 100
	maxLimit     = 1000
)

// parameters reads the query of a request strictly: what is not understood is an error, as a filter that is silently
// ignored would answer another question.
type parameters struct {
	values url.Values
	errs   []problem.FieldError
}

func parametersOf(r *http.Request) (*parameters, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, problem.New(problem.Malformed, "the query is not a list of name=value: "+err.Error())
	}
	return &parameters{values: values}, nil
}

func (p *parameters) fail(name string, err error) {
	p.errs = append(p.errs, problem.FieldError{Parameter: name, Detail: err.Error()})
}

// text takes one parameter; nil where it is absent or wrong.
func (p *parameters) text(name string, check func(string) error) *string {
	values, ok := p.values[name]
	delete(p.values, name)
	if !ok {
		return nil
	}
	err := errors.New("must be given once")
	if len(values) == 1 {
		err = check(values[0])
	}
	if err != nil {
		p.fail(name, err)
		return nil
	}
	return &values[0]
}

// problem is everything that was wrong, parameters that nobody took included.
func (p *parameters) problem() error {
	for _, name := range slices.Sorted(maps.Keys(p.values)) {
		if name == "" {
			name = "=" // what an error without a name would leave out
		}
		p.fail(name, errors.New("is not a parameter of this resource"))
	}
	if len(p.errs) == 0 {
		return nil
	}
	return problem.InvalidFields(p.errs...)
}

// filterOf reads what GET /v1/grants was asked for.
func filterOf(r *http.Request) (postgres.Filter, error) {
	p, err := parametersOf(r)
	if err != nil {
		return postgres.Filter{}, err
	}
	f := postgres.Filter{
		CouponID: p.text("coupon_id", event.CheckCouponID),
		UserID:   p.text("user_id", event.CheckUserID),
		Window:   p.text("window", checkWindow),
		GrantID:  p.text("grant_id", checkGrantID),
		Limit:    defaultLimit,
	}
	f.From, f.To = p.time("from", f), p.time("to", f)
	p.text("limit", func(s string) (err error) {
		f.Limit, err = strconv.Atoi(s)
		if err != nil || f.Limit < 1 || f.Limit > maxLimit {
			return fmt.Errorf("must be a number from 1 to %d", maxLimit)
		}
		return nil
	})
	p.text("after", func(s string) error {
		after, ok := parseCursor(s)
		if !ok {
			return errors.New("must be the next of an earlier page")
		}
		if differs(f.CouponID, after.CouponID) || differs(f.Window, after.Window) {
			return errors.New("must be the next of a page with the same coupon_id and window")
		}
		f.After = &after
		return nil
	})
	return f, p.problem()
}

// time takes a bound of the log time. It grows with the sequence within a coupon and window, and nowhere else, so only there
// is a range of it a range of grants.
func (p *parameters) time(name string, f postgres.Filter) (t *time.Time) {
	p.text(name, func(s string) error {
		at, err := time.Parse(time.RFC3339, s)
		switch {
		case err != nil || at.Year() < 1970 || at.Year() > 9999:
			return errors.New("must be a time such as 2026-11-22T03:00:00Z")
		case f.CouponID == nil || f.Window == nil:
			return errors.New("needs coupon_id and window (an empty one for coupons that are given once)")
		}
		t = &at
		return nil
	})
	return t
}

func checkGrantID(s string) error {
	if _, _, err := fcfs.ParseGrantID(s); err != nil {
		return errors.New("must be the id of a grant, such as 00000000-0001-8002-9df6-a2b6e0c41f73")
	}
	return nil
}

func differs(asked *string, is string) bool { return asked != nil && *asked != is }

func checkWindow(s string) error {
	if _, err := time.Parse(time.DateOnly, s); err != nil && s != "" {
		return errors.New("must be a day such as 2026-11-22, or empty for coupons that are given once")
	}
	return nil
}

// cursor is the opaque form of a place among grants.
func cursor(p postgres.Position) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%s/%s/%d", p.CouponID, p.Window, p.Sequence))
}

func parseCursor(s string) (p postgres.Position, ok bool) {
	text, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return p, false
	}
	parts := strings.Split(string(text), "/")
	if len(parts) != 3 || event.CheckCouponID(parts[0]) != nil || checkWindow(parts[1]) != nil {
		return p, false
	}
	p = postgres.Position{CouponID: parts[0], Window: parts[1]}
	p.Sequence, err = strconv.ParseInt(parts[2], 10, 64)
	return p, err == nil && p.Sequence >= 1 && p.Sequence <= fcfs.MaxLimit && cursor(p) == s
}
