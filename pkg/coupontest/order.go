package coupontest

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"
	_ "time/tzdata" // a machine may have none

	"github.com/firstcome/firstcome/pkg/event"
)

// RequireLogOrder fails the test unless the coupon's grants went to who asked first, by its requests in the log
// (Servers.Requests): each grant stands for a claim of its person, the sequences are in the order of the claims, and nobody
// was passed over who asked earlier than somebody with a grant. Who asked before the opening, after the closing, or when
// nothing was left was not passed over.
//
// All grants that the requests led to belong in grants: one that is left out looks passed over. `firstcome audit`
// decides every request once more, the refused ones too.
func RequireLogOrder(t testing.TB, grants []event.CouponGranted, couponID string, requests []event.Record) {
	t.Helper()
	q := newQueue(grants, couponID, requests)
	wrong := q.unasked()
	for _, of := range q.windows {
		wrong = append(wrong, overtaken(of)...)
	}
	fail(t, couponID+" was not given out in the order of the requests log", append(wrong, q.passedOver()...))
}

// queue is who asked for one coupon, and who got it.
type queue struct {
	requests []request
	windows  [][]event.CouponGranted          // each in the order of its sequences
	inLog    map[string][]event.CouponGranted // the same by name of the window, each once, in the order of their requests
}

type request struct {
	event.Event
	source event.Source
	at     time.Time // append time
}

func newQueue(grants []event.CouponGranted, couponID string, requests []event.Record) *queue {
	q := &queue{windows: byWindow(grants, couponID), inLog: map[string][]event.CouponGranted{}}
	for _, r := range requests {
		if e, err := event.Decode(r); err == nil && string(r.Key) == couponID { // else it is a dead letter, which leads to nothing
			q.requests = append(q.requests, request{e, event.Source{Partition: r.Partition, Offset: r.Offset}, r.Time})
		}
	}
	for _, of := range q.windows {
		inLog := slices.SortedFunc(slices.Values(of), func(a, b event.CouponGranted) int {
			return cmp.Compare(a.Source.Offset, b.Source.Offset)
		})
		q.inLog[of[0].Window] = slices.CompactFunc(inLog, func(a, b event.CouponGranted) bool { return a.Source == b.Source })
	}
	return q
}

// unasked says which grants stand for no claim of their person.
func (q *queue) unasked() []string {
	asked := map[event.Source]string{}
	for _, r := range q.requests {
		if claim, ok := r.Data.(event.ClaimRequested); ok {
			asked[r.source] = claim.UserID
		}
	}
	var wrong []string
	for _, of := range q.windows {
		for _, g := range of {
			if user, ok := asked[g.Source]; !ok {
				wrong = append(wrong, told(g)+": there is no such claim")
			} else if user != g.UserID {
				wrong = append(wrong, fmt.Sprintf("%s: that claim is %s's", told(g), user))
			}
		}
	}
	return wrong
}

// overtaken says who has a lower sequence than somebody who asked earlier.
func overtaken(of []event.CouponGranted) []string {
	var wrong []string
	for i := 1; i < len(of); i++ {
		if earlier, later := of[i], of[i-1]; earlier.Source.Offset < later.Source.Offset {
			wrong = append(wrong, fmt.Sprintf("%s overtook %s", told(later), told(earlier)))
		}
	}
	return wrong
}

// passedOver says who asked when there was one left, and has none while somebody later has.
func (q *queue) passedOver() []string {
	var in inForce
	var wrong []string
	seen := map[string]bool{}
	for _, r := range q.requests {
		switch data := r.Data.(type) {
		case event.CouponDefined:
			in.define(data, q.grantedBefore(r.source))
		case event.ClaimRequested:
			window, open := in.window(r.at)
			next := q.next(window, r.source, data.UserID, in.definition.Limit)
			if !open || next == nil || seen[data.UserID+window] {
				continue
			}
			seen[data.UserID+window] = true
			wrong = append(wrong, fmt.Sprintf("%s (request %d/%d) was passed over for %s", data.UserID, r.source.Partition, r.source.Offset, told(*next)))
		}
	}
	return wrong
}

func (q *queue) grantedBefore(request event.Source) bool {
	for _, of := range q.inLog {
		if of[0].Source.Offset < request.Offset {
			return true
		}
	}
	return false
}

// next is the grant that a claim should have been, but a later one is: nil where its person had one by then, none was left,
// or nobody later has one.
func (q *queue) next(window string, claim event.Source, user string, limit int64) *event.CouponGranted {
	for i, g := range q.inLog[window] {
		switch {
		case g.Source.Offset > claim.Offset && int64(i) < limit:
			return &g
		case g.Source.Offset >= claim.Offset || g.UserID == user:
			return nil
		}
	}
	return nil
}

// inForce is the definition by which claims are decided.
type inForce struct {
	definition event.CouponDefined
	zone       *time.Location // nil: there is no definition yet
}

// define takes a definition, unless it is a conflict: window and time zone stay once something was granted.
func (f *inForce) define(d event.CouponDefined, granted bool) {
	zone, err := time.LoadLocation(d.TimeZone)
	if err != nil || granted && (d.Window != f.definition.Window || d.TimeZone != f.definition.TimeZone) {
		return
	}
	f.definition, f.zone = d, zone
}

// window is the one that a claim at that time is for; false where the coupon can't be had then.
func (f *inForce) window(at time.Time) (string, bool) {
	d := f.definition
	if f.zone == nil || at.Before(d.OpensAt) || !d.ClosesAt.IsZero() && !at.Before(d.ClosesAt) {
		return "", false
	}
	if d.Window == event.WindowDaily {
		return at.In(f.zone).Format(time.DateOnly), true
	}
	return "", true
}
