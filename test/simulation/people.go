package simulation

import (
	"fmt"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/issuer/partition"
)

const hour = fcfs.Millis(3600_000)

// asked is what somebody meant to write into the requests log. The record is read by the code under test, this by the
// oracle.
type asked struct {
	offset, last int64
	time         fcfs.Millis // of the append
	coupon, user string
	definition   *fcfs.Definition
	refused      event.Reason // why it has to become a dead letter; empty: it is good
	kind         string       // of record, if another version knows it
}

// couponsOf are ids that belong in a partition.
func couponsOf(p int32, partitions int) (ids []string) {
	for n := 0; len(ids) < 3; n++ {
		if id := fmt.Sprintf("c%d", n); event.Partition(id, partitions) == p {
			ids = append(ids, id)
		}
	}
	return ids
}

// people have ids with everything in them that separates something somewhere.
var people = []string{"u0", "u1", "2:3", `4 "x"`, `5\\`, "여섯|+{}"}

// append writes one more record into the requests log.
func (w *World) append() {
	w.clock += fcfs.Millis(w.rng.Int64N(int64(hour)))
	if w.chance(25) {
		w.clock += 20 * hour
	}
	p := w.places[w.rng.IntN(len(w.places))]
	if w.mute.partition(p.number) {
		return
	}
	coupon := p.coupons[w.rng.IntN(len(p.coupons))]
	switch n := w.rng.IntN(20); {
	case n < 4 || len(p.requests.records) < 2:
		w.define(p, w.randomDefinition(coupon))
	case n == 4:
		w.garbage(p)
	default:
		w.claim(p, coupon, people[w.rng.IntN(len(people))])
	}
}

// meta makes records that can be told apart, the same in each run of a seed.
func (w *World) meta() event.Meta {
	w.names++
	m := event.Meta{ID: fmt.Sprintf("r%d", w.names), Source: "/firstcome/gateway", Time: w.clock.Time(), CorrelationID: fmt.Sprintf("ask %d", w.names)}
	if w.names%3 > 0 {
		m.TraceParent = fmt.Sprintf("00-%032x-%016x-01", w.names, w.names)
	}
	return m
}

func (w *World) claim(p *place, coupon, user string) *asked {
	meta := w.meta()
	m, err := event.ClaimRequested{CouponID: coupon, UserID: user}.Message(meta)
	if err != nil {
		panic(err)
	}
	return w.write(p, appended(m, w.clock.Time()), asked{coupon: coupon, user: user}, meta)
}

func (w *World) define(p *place, d fcfs.Definition) *asked {
	meta := w.meta()
	m, err := definedMessage(d, meta)
	if err != nil {
		panic(err)
	}
	return w.write(p, appended(m, w.clock.Time()), asked{coupon: d.CouponID, definition: &d}, meta)
}

func definedMessage(d fcfs.Definition, meta event.Meta) (event.Message, error) {
	return event.CouponDefined{
		CouponID: d.CouponID, Limit: d.Limit, Window: string(d.Window), TimeZone: d.TimeZone,
		OpensAt: d.OpensAt.Time(), ClosesAt: d.ClosesAt.Time(), Rules: d.Rules,
	}.Message(meta)
}

// write appends, and lets the oracle know what was meant.
func (w *World) write(p *place, r event.Record, a asked, meta event.Meta) *asked {
	gap := w.gap()
	r = p.requests.append(gap, r)
	a.offset, a.last, a.time = r.Offset, r.LastOffset, fcfs.FromTime(r.Time)
	q := partition.Request{Last: r.LastOffset - r.Offset, Time: a.time, CouponID: a.coupon, UserID: a.user, Definition: a.definition}
	if a.refused != "" {
		q.Refused = &partition.Refusal{Reason: a.refused}
	} else {
		q.CorrelationID, q.TraceParent = meta.CorrelationID, meta.TraceParent
	}
	p.model.Append(gap, q)
	p.asked[a.offset], p.order = &a, append(p.order, &a)
	outcome, sequence := p.model.Outcome(a.offset)
	w.saw("outcome: " + outcome.String())
	w.say("appended to %v at %d: %v (it is going to be %v %d)", p.requests, a.offset, &a, outcome, sequence)
	return &a
}

func (a *asked) String() string {
	at := a.time.Time().Format("2006-01-02T15:04")
	switch {
	case a.refused != "":
		return fmt.Sprintf("%s something %s over %d offsets", at, a.refused, a.last-a.offset+1)
	case a.definition != nil:
		d := a.definition
		return fmt.Sprintf("%s define %s limit %d %s %s from %s to %s", at, d.CouponID, d.Limit, d.Window, d.TimeZone, day(d.OpensAt), day(d.ClosesAt))
	}
	return fmt.Sprintf("%s %q claims %s", at, a.user, a.coupon)
}

func day(m fcfs.Millis) string {
	if m == 0 {
		return "ever"
	}
	return m.Time().Format("2006-01-02T15:04")
}

func (w *World) randomDefinition(id string) fcfs.Definition {
	r, t := w.rng, w.clock
	d := fcfs.Definition{CouponID: id, Limit: 1 + r.Int64N(4), Window: fcfs.WindowNone, TimeZone: "UTC", Rules: 1}
	if daily := len(id)%2 == 1; daily || r.IntN(6) == 0 {
		d.Window = fcfs.WindowDaily
	}
	if r.IntN(4) == 0 {
		d.TimeZone = "Asia/Seoul"
	}
	if r.IntN(3) == 0 {
		d.OpensAt = t + fcfs.Millis(r.Int64N(int64(3*hour)))
	}
	if r.IntN(4) == 0 {
		d.ClosesAt = max(t, d.OpensAt) + fcfs.Millis(r.Int64N(int64(40*hour))) - 12*hour
		if d.ClosesAt <= d.OpensAt {
			d.ClosesAt = d.OpensAt + hour
		}
	}
	return d
}
