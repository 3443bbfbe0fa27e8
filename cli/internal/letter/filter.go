package letter

import (
	"slices"
	"time"

	"github.com/firstcome/firstcome/pkg/event"
)

// Filter says which entries are meant; each field that is set must fit.
type Filter struct {
	Offsets   []int64 // of dead letters: any copy
	Topic     string  // full name of the topic that the record came from
	Partition *int32  // of that topic
	Reasons   []event.Reason
	CouponID  string
	Since     time.Time // the record is not older
}

func (f Filter) match(e Entry) bool {
	if len(f.Offsets) > 0 && !slices.ContainsFunc(f.Offsets, func(o int64) bool { return slices.Contains(e.Copies, o) }) {
		return false
	}
	if e.Time.Before(f.Since) {
		return false
	}
	if e.Problem != nil {
		return f.Topic == "" && f.Partition == nil && len(f.Reasons) == 0 && f.CouponID == ""
	}
	return (f.Topic == "" || f.Topic == e.Topic) && (f.Partition == nil || *f.Partition == e.Partition) &&
		(len(f.Reasons) == 0 || slices.Contains(f.Reasons, e.Reason)) && (f.CouponID == "" || f.CouponID == e.CouponID)
}

// Reasons are all that there are.
var Reasons = []event.Reason{
	event.ReasonMalformed, event.ReasonNotCloudEvent, event.ReasonUnknownType, event.ReasonInvalid,
	event.ReasonWrongPartition, event.ReasonUnsupportedRules, event.ReasonTooLarge, event.ReasonUniqueViolation,
	event.ReasonHandlerFailed,
}
