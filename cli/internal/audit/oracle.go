package audit

import (
	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/pkg/event"
)

// oracle decides a partition's log once more, by the pure rules alone, record for record.
type oracle struct {
	partition  int32
	partitions int

	log     *fcfs.Log
	facts   facts             // that the records read lead to, and those seeded from the journal where the log's start is gone
	seeded  map[int64]bool    // offsets of the latter
	dead    map[int64]invalid // records that must be dead letters, by first offset
	records int
	last    int64       // offset of the last record read; -1: none
	lastAt  fcfs.Millis // its append time
}

type invalid struct {
	last   int64
	reason event.Reason
}

func newOracle(partition int32, partitions int) *oracle {
	return &oracle{partition: partition, partitions: partitions, log: fcfs.NewLog(partition), facts: facts{}, seeded: map[int64]bool{}, dead: map[int64]invalid{}, last: -1}
}

// seed takes the journal's facts of requests below start, which the log no longer has. What they say can't be decided
// again; only that they follow from each other is seen.
func (o *oracle) seed(journal facts, start int64) []Difference {
	var out []Difference
	for _, offset := range journal.sorted() {
		if offset >= start {
			break
		}
		f := journal[offset]
		if err := o.log.Apply(f); err != nil {
			out = append(out, about(placeJournal, f, "%s does not follow from the journal before it: %v", name(f), err))
			continue
		}
		o.facts[offset], o.seeded[offset] = f, true
	}
	return out
}

// take decides one record.
func (o *oracle) take(r event.Record) {
	o.records++
	o.last, o.lastAt = max(r.Offset, r.LastOffset), appendTime(r)
	e, err := event.Decode(r)
	if err != nil {
		o.invalid(r, reasonOf(err))
		return
	}
	var fact *fcfs.Fact
	switch d := e.Data.(type) {
	case event.ClaimRequested:
		if !o.belongs(d.CouponID) {
			o.invalid(r, event.ReasonWrongPartition)
			return
		}
		_, fact = o.log.Claim(r.Offset, o.lastAt, d.CouponID, d.UserID)
	case event.CouponDefined:
		definition := definitionOf(d)
		if reason := o.unfit(definition); reason != "" {
			o.invalid(r, reason)
			return
		}
		_, fact = o.log.Define(r.Offset, o.lastAt, definition)
	default:
		o.invalid(r, event.ReasonUnknownType)
		return
	}
	if fact != nil {
		fact.CorrelationID, fact.TraceParent = e.CorrelationID, e.TraceParent
		o.facts[r.Offset] = *fact
	}
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

func (o *oracle) invalid(r event.Record, reason event.Reason) {
	o.dead[r.Offset] = invalid{o.last, reason}
	o.log.Invalid(o.last, o.lastAt)
}

func reasonOf(err error) event.Reason {
	if d, ok := err.(*event.DecodeError); ok {
		return d.Reason
	}
	return event.ReasonMalformed
}
