package ledger

import (
	"net/http"
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
		body.Grants = append(body.Grants, grantBody{g.GrantID, g.CouponID, g.UserID, g.Window, g.Sequence, g.Limit,
			instant(g.RequestedAt), instant(g.LogTime), sourceBody(g.Source)})
	}
	return writeJSON(w, body)
}

func positionOf(g event.CouponGranted) postgres.Position {
	return postgres.Position{CouponID: g.CouponID, Window: g.Window, Sequence: g.Sequence}
}

type summaryBody struct {
	CouponID string       `json:"coupon_id"`
	Windows  []windowBody `json:"windows"`
}

type windowBody struct {
	Window  string   `json:"window"`
	Limit   int64    `json:"limit"`
	Granted int64    `json:"granted"`
	First   *instant `json:"first_requested_at,omitempty"`
	Last    *instant `json:"last_requested_at,omitempty"`
}

// summary is GET /v1/coupons/{id}/summary.
func (a *api) summary(w http.ResponseWriter, r *http.Request) error {
	id, err := couponOf(r)
	if err != nil {
		return err
	}
	coupon, err := a.store.Coupon(r.Context(), id)
	if err != nil {
		return err
	}
	if len(coupon.Definitions) == 0 {
		return unknownCoupon()
	}
	return writeJSON(w, summarize(id, coupon))
}

// couponOf reads a path with a coupon and no parameters.
func couponOf(r *http.Request) (string, error) {
	p, err := parametersOf(r)
	if err != nil {
		return "", err
	}
	if err := p.problem(); err != nil {
		return "", err
	}
	id := r.PathValue("id")
	if event.CheckCouponID(id) != nil {
		return "", unknownCoupon()
	}
	return id, nil
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
		body.Windows = append(body.Windows, windowBody{w.Window, limitOf(c.Definitions, w.Window), w.Granted, &first, &last})
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
