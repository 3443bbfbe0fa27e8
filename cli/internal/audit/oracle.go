package audit

import (
	"slices"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/pkg/event"
)

// oracle decides a partition's log once more, by the pure rules alone, record for record. It remembers who holds what, as
// the rules do, and of everything else only what a record needs to be decided.
type oracle struct {
	partition  int32
	partitions int
	coupons    []string        // only these; nil: all
	heard      map[string]bool // of them, those that a record is about

	log     *fcfs.Log
	records int
	dead    []deadRequest // by offset
	last    int64         // offset of the last record read; -1: none
	lastAt  fcfs.Millis   // its append time
}

// deadRequest is a record that must be a dead letter. There may be many, so it is kept small.
type deadRequest struct {
	offset int64
	reason event.Reason
	found  bool // among the dead letters
}

// decision is what the rules make of one record.
type decision struct {
	offset, last int64        // last is higher for a batch that cannot be read
	outcome      fcfs.Outcome // None: about a coupon that is not looked at
	limit        int64        // in force, of a claim
	earlier      fcfs.Entry   // of already_issued
	couponID     string       // "" where no claim could be read
	userID       string
	fact         *fcfs.Fact // nil: it leads to nothing
}

func newOracle(partition int32, partitions int, coupons []string) *oracle {
	return &oracle{partition: partition, partitions: partitions, coupons: coupons, heard: map[string]bool{}, log: fcfs.NewLog(partition), last: -1}
}

// looksAt says whether a record with this key can be about a coupon that is looked at: the value's coupon decides, and a
// key that differs from it is invalid.
func looksAt(coupons []string, key []byte) bool {
	return coupons == nil || slices.Contains(coupons, string(key))
}

// seed takes a fact of the journal whose request the log no longer has. What it says can't be decided again; only that the
// facts follow from each other is seen.
func (o *oracle) seed(f fcfs.Fact) (decision, error) {
	if err := o.log.Apply(f); err != nil {
		return decision{}, err
	}
	return decision{offset: f.Source.Offset, last: f.Source.Offset, fact: &f}, nil
}

// take decides one record. Of a coupon that is not looked at, only its time counts.
func (o *oracle) take(r event.Record) decision {
	o.records++
	o.last, o.lastAt = max(r.Offset, r.LastOffset), appendTime(r)
	d := decision{offset: r.Offset, last: o.last, outcome: fcfs.Invalid}
	if !looksAt(o.coupons, r.Key) {
		o.log.Invalid(o.last, o.lastAt)
		d.outcome = fcfs.None
		return d
	}
	if o.coupons != nil {
		o.heard[string(r.Key)] = true
	}
	e, err := event.Decode(r)
	if err != nil {
		o.bury(r, reasonOf(err))
		return d
	}
	switch data := e.Data.(type) {
	case event.ClaimRequested:
		o.claim(r, data, &d)
	case event.CouponDefined:
		o.define(r, definitionOf(data), &d)
	default:
		o.bury(r, event.ReasonUnknownType)
	}
	if d.fact != nil {
		d.fact.CorrelationID, d.fact.TraceParent = e.CorrelationID, e.TraceParent
	}
	return d
}

func (o *oracle) claim(r event.Record, c event.ClaimRequested, d *decision) {
	if !o.belongs(c.CouponID) {
		o.bury(r, event.ReasonWrongPartition)
		return
	}
	got, fact := o.log.Claim(r.Offset, o.lastAt, c.CouponID, c.UserID)
	d.couponID, d.userID, d.fact = c.CouponID, c.UserID, fact
	d.outcome, d.limit, d.earlier = got.Outcome, got.Limit, got.Earlier
}

func (o *oracle) define(r event.Record, definition fcfs.Definition, d *decision) {
	if reason := o.unfit(definition); reason != "" {
		o.bury(r, reason)
		return
	}
	d.outcome, d.fact = o.log.Define(r.Offset, o.lastAt, definition)
}

// appendTime is what the rules take for a record's time: a client's clock, where the topic has those, may say anything.
func appendTime(r event.Record) fcfs.Millis {
	return min(max(fcfs.Millis(r.Time.UnixMilli()), 1), fcfs.MaxTime)
}

// unfit is why a definition that could be read is a dead letter; "" where it is none.
func (o *oracle) unfit(d fcfs.Definition) event.Reason {
	if problems := d.Validate(); len(problems) > 0 {
		if problems[0].Member == "rules" {
			return event.ReasonUnsupportedRules
		}
		return event.ReasonInvalid
	}
	if !o.belongs(d.CouponID) {
		return event.ReasonWrongPartition
	}
	return ""
}

func (o *oracle) belongs(couponID string) bool {
	return event.Partition(couponID, o.partitions) == o.partition
}

func (o *oracle) bury(r event.Record, reason event.Reason) {
	o.dead = append(o.dead, deadRequest{offset: r.Offset, reason: reason})
	o.log.Invalid(o.last, o.lastAt)
}

func reasonOf(err error) event.Reason {
	if d, ok := err.(*event.DecodeError); ok {
		return d.Reason
	}
	return event.ReasonMalformed
}
