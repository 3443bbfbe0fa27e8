package gateway

import (
	"errors"
	"net/http"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/internal/problem"
	"github.com/firstcome/firstcome/pkg/event"
)

func readDefinition(w http.ResponseWriter, r *http.Request) (fcfs.Definition, error) {
	d := fcfs.Definition{CouponID: r.PathValue("id"), Rules: fcfs.RulesVersion}
	if err := event.CheckCouponID(d.CouponID); err != nil {
		return d, problem.InvalidFields(problem.FieldError{Parameter: "id", Detail: err.Error()})
	}
	o, err := readObject(w, r)
	if err != nil {
		return d, err
	}
	text := func(name, otherwise string) string {
		if o.Has(name) {
			return o.String(name, false)
		}
		return otherwise
	}
	d.Limit = o.Int("limit", true, 1, fcfs.MaxLimit)
	d.Window, d.TimeZone = fcfs.Window(text("window", string(fcfs.WindowNone))), text("time_zone", "UTC")
	moment := func(name string) fcfs.Millis {
		t := o.Time(name)
		if !t.IsZero() && t.UnixMilli() == 0 {
			o.Fail(name, "must be after 1970-01-01T00:00:00Z") // which would mean that there is none
		}
		return fcfs.FromTime(t)
	}
	d.OpensAt, d.ClosesAt = moment("opens_at"), moment("closes_at")
	known := map[string]bool{}
	for _, e := range o.Errors() {
		known[e.Pointer] = true
	}
	for _, p := range d.Validate() {
		if !known["#/"+p.Member] {
			o.Fail(p.Member, p.Detail)
		}
	}
	var invalid event.FieldErrors
	if _, err := defined(d).Message(event.Meta{Source: "/"}); len(o.Errors()) == 0 && errors.As(err, &invalid) {
		for _, e := range invalid { // what records can't hold, though the rules would take it
			o.Fail(e.Pointer[len("#/"):], e.Detail)
		}
	}
	return d, finish(o)
}

func defined(d fcfs.Definition) event.CouponDefined {
	return event.CouponDefined{
		CouponID: d.CouponID, Limit: d.Limit, Window: string(d.Window), TimeZone: d.TimeZone,
		OpensAt: d.OpensAt.Time(), ClosesAt: d.ClosesAt.Time(), Rules: d.Rules,
	}
}
