package ledger

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/internal/problem"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/ledger/internal/postgres"
)

// grantBody has the members of the granted record.
type grantBody struct {
	GrantID     string     `json:"grant_id"`
	CouponID    string     `json:"coupon_id"`
	UserID      string     `json:"user_id"`
	Window      string     `json:"window"`
	Sequence    int64      `json:"sequence"`
	Limit       int64      `json:"limit"`
	RequestedAt instant    `json:"requested_at"`
	LogTime     instant    `json:"log_time"`
	Source      sourceBody `json:"source"`
}

type sourceBody struct {
	Partition int32 `json:"partition"`
	Offset    int64 `json:"offset"`
}

type pageBody struct {
	Grants []grantBody `json:"grants"`
	Next   *string     `json:"next"`
}

// grants is GET /v1/grants.
func (a *api) grants(w http.ResponseWriter, r *http.Request) error {
	f, err := filterOf(r)
	if err != nil {
		return err
	}
	limit := f.Limit
	f.Limit++ // to know whether there is a next page
	rows, err := a.store.Grants(r.Context(), f)
	if err == nil && len(rows) == 0 {
		err = a.checkArchived(r.Context(), f)
	}
	if err != nil {
		return err
	}
	body := pageBody{Grants: make([]grantBody, 0, len(rows))}
	if len(rows) > limit {
		rows = rows[:limit]
		next := cursor(positionOf(rows[limit-1]))
		body.Next = &next
	}
	for _, g := range rows {
		body.Grants = append(body.Grants, bodyOf(g))
	}
	return writeJSON(w, body)
}

func bodyOf(g event.CouponGranted) grantBody {
	return grantBody{g.GrantID, g.CouponID, g.UserID, g.Window, g.Sequence, g.Limit, instant(g.RequestedAt), instant(g.LogTime), sourceBody(g.Source)}
}

// checkArchived keeps an empty page from saying that there is nothing where what there was lies in an archive.
func (a *api) checkArchived(ctx context.Context, f postgres.Filter) error {
	if f.CouponID == nil {
		return nil
	}
	coupon, err := a.store.Coupon(ctx, *f.CouponID)
	if err != nil {
		return err
	}
	for _, w := range coupon.Windows {
		if w.File != "" && !differs(f.Window, w.Window) && (f.After == nil || w.Window >= f.After.Window) {
			return archived(w)
		}
	}
	return nil
}

func archived(w postgres.Window) error {
	return problem.New(problem.Retired, "these grants were archived, into the file "+w.File)
}

func positionOf(g event.CouponGranted) postgres.Position {
	return postgres.Position{CouponID: g.CouponID, Window: g.Window, Sequence: g.Sequence}
}

type summaryBody struct {
	CouponID string       `json:"coupon_id"`
	Windows  []windowBody `json:"windows"`
}

type windowBody struct {
	Window   string   `json:"window"`
	Limit    int64    `json:"limit"`
	Granted  int64    `json:"granted"`
	First    *instant `json:"first_requested_at,omitempty"`
	Last     *instant `json:"last_requested_at,omitempty"`
	Archived bool     `json:"archived,omitempty"`
	File     string   `json:"file,omitempty"`

	StepSeconds int64      `json:"step_seconds,omitempty"`
	Histogram   []stepBody `json:"histogram,omitempty"`
}

type stepBody struct {
	Second  string `json:"second"`
	Granted int64  `json:"granted"`
}

// maxSteps bounds a histogram: an hour of seconds.
const maxSteps = 3600

// summary is GET /v1/coupons/{id}/summary.
func (a *api) summary(w http.ResponseWriter, r *http.Request) error {
	p, id, err := couponOf(r)
	if err != nil {
		return err
	}
	window := p.text("window", checkWindow)
	histogram := p.text("histogram", func(s string) error {
		switch {
		case s != "second":
			return errors.New("must be second")
		case window == nil:
			return errors.New("needs window (an empty one for coupons that are given once)")
		}
		return nil
	})
	if err := p.problem(); err != nil {
		return err
	}
	coupon, err := a.known(r.Context(), id)
	if err != nil {
		return err
	}
	body := summarize(id, coupon)
	if window != nil {
		body.Windows = slices.DeleteFunc(body.Windows, func(b windowBody) bool { return b.Window != *window })
	}
	if histogram != nil {
		for i := range body.Windows { // the one that was asked for
			if err := a.histogram(r.Context(), id, &body.Windows[i]); err != nil {
				return err
			}
		}
	}
	return writeJSON(w, body)
}

func (a *api) histogram(ctx context.Context, id string, w *windowBody) error {
	steps, length, err := a.store.Histogram(ctx, id, w.Window, maxSteps)
	if err != nil {
		return err
	}
	for _, s := range steps {
		w.Histogram = append(w.Histogram, stepBody{s.Begin.Format(time.RFC3339), s.Granted})
	}
	if len(steps) > 0 {
		w.StepSeconds = int64(length / time.Second)
	}
	return nil
}

// known reads a coupon that has a definition.
func (a *api) known(ctx context.Context, id string) (postgres.Coupon, error) {
	coupon, err := a.store.Coupon(ctx, id)
	if err == nil && len(coupon.Definitions) == 0 {
		err = unknownCoupon()
	}
	return coupon, err
}

// couponOf reads a path with a coupon; the parameters are the caller's to take.
func couponOf(r *http.Request) (*parameters, string, error) {
	p, err := parametersOf(r)
	if err != nil {
		return nil, "", err
	}
	id := r.PathValue("id")
	if event.CheckCouponID(id) != nil {
		return nil, "", unknownCoupon()
	}
	return p, id, nil
}

func unknownCoupon() error {
	return problem.New(problem.UnknownCoupon, "the journal has no definition of this coupon yet")
}

// summarize lists the windows that have grants; the one window of a coupon that is given once is there from the start.
func summarize(id string, c postgres.Coupon) summaryBody {
	body := summaryBody{CouponID: id, Windows: []windowBody{}}
	latest := c.Definitions[len(c.Definitions)-1]
	if len(c.Windows) == 0 && latest.Window == event.WindowNone {
		body.Windows = append(body.Windows, windowBody{Limit: latest.Limit})
	}
	for _, w := range c.Windows {
		first, last := instant(w.First), instant(w.Last)
		body.Windows = append(body.Windows, windowBody{Window: w.Window, Limit: limitOf(c.Definitions, w.Window), Granted: w.Granted,
			First: &first, Last: &last, Archived: w.File != "", File: w.File})
	}
	return body
}

// limitOf is the last limit that was in force in a window: a definition of a later day says nothing about it.
func limitOf(definitions []event.CouponDefined, window string) int64 {
	limit := definitions[0].Limit
	for _, d := range definitions {
		if window == "" || dayOf(d, d.RequestedAt) <= window {
			limit = d.Limit
		}
	}
	return limit
}

// dayOf is "", before every day, where the definition has no days, or a time zone that this program does not know yet.
func dayOf(d event.CouponDefined, t time.Time) string {
	if _, err := fcfs.LoadZone(d.TimeZone); err != nil {
		return ""
	}
	return fcfs.Definition{Window: fcfs.Window(d.Window), TimeZone: d.TimeZone}.WindowAt(fcfs.FromTime(t))
}
