package partition

import (
	"errors"
	"fmt"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/pkg/event"
)

// ReadRequest understands a record of the requests topic, which has so many partitions.
func ReadRequest(r event.Record, partitions int) Request {
	q := Request{Offset: r.Offset, Last: max(r.Offset, r.LastOffset), Time: appendTime(r)}
	e, err := event.Decode(r)
	q.CorrelationID, q.TraceParent = e.CorrelationID, e.TraceParent
	if err != nil {
		var reason *event.DecodeError
		if !errors.As(err, &reason) {
			reason = &event.DecodeError{Reason: event.ReasonMalformed, Detail: err.Error()}
		}
		return q.refuse(r, reason.Reason, reason.Detail)
	}
	switch data := e.Data.(type) {
	case event.ClaimRequested:
		q.CouponID, q.UserID = data.CouponID, data.UserID
	case event.CouponDefined:
		d := DefinitionOf(data)
		if problems := d.Validate(); len(problems) > 0 {
			return q.refuse(r, reasonOf(problems[0]), "#/"+problems[0].Member+" "+problems[0].Detail)
		}
		q.CouponID, q.Definition = d.CouponID, &d
	default:
		return q.refuse(r, event.ReasonUnknownType, fmt.Sprintf("%s is not for this topic", e.Type))
	}
	if p := event.Partition(q.CouponID, partitions); p != r.Partition {
		return q.refuse(r, event.ReasonWrongPartition, fmt.Sprintf("it belongs in partition %d", p))
	}
	return q
}

// appendTime keeps a CreateTime of 1970-01-01T00:00:00Z or before from being taken for an absent or impossible one. It
// depends on the record alone, so that a replay reads the same.
func appendTime(r event.Record) fcfs.Millis {
	return min(max(fcfs.Millis(r.Time.UnixMilli()), 1), fcfs.MaxTime)
}

func (q Request) refuse(r event.Record, reason event.Reason, detail string) Request {
	q.Definition, q.CouponID, q.UserID = nil, "", ""
	q.Refused = &Refusal{Reason: reason, Detail: detail, Record: r}
	return q
}

func reasonOf(p fcfs.Problem) event.Reason {
	if p.Member == "rules" {
		return event.ReasonUnsupportedRules
	}
	return event.ReasonInvalid
}

// DefinitionOf turns a record's definition into the rules'.
func DefinitionOf(d event.CouponDefined) fcfs.Definition {
	return fcfs.Definition{
		CouponID: d.CouponID, Limit: d.Limit, Window: fcfs.Window(d.Window), TimeZone: d.TimeZone,
		OpensAt: fcfs.FromTime(d.OpensAt), ClosesAt: fcfs.FromTime(d.ClosesAt), Rules: d.Rules,
	}
}
