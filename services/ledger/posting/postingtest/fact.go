package postingtest

import (
	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/pkg/event"
)

// Grant is what the ledger should hold of a granted fact; requests is the requests topic's full name.
func Grant(requests string, f fcfs.Fact) event.CouponGranted {
	return event.CouponGranted{
		GrantID: fcfs.GrantID(requests, f.Source), CouponID: f.Granted.CouponID, UserID: f.Granted.UserID, Window: f.Granted.Window,
		Sequence: f.Granted.Sequence, Limit: f.Granted.Limit, RequestedAt: f.RequestedAt.Time(), LogTime: f.LogTime.Time(), Source: event.Source(f.Source),
	}
}

// Definition is what the ledger should hold of a defined fact.
func Definition(f fcfs.Fact) event.CouponDefined {
	source := event.Source(f.Source)
	return event.CouponDefined{
		CouponID: f.Defined.CouponID, Limit: f.Defined.Limit, Window: string(f.Defined.Window), TimeZone: f.Defined.TimeZone,
		OpensAt: f.Defined.OpensAt.Time(), ClosesAt: f.Defined.ClosesAt.Time(), Rules: f.Defined.Rules,
		RequestedAt: f.RequestedAt.Time(), LogTime: f.LogTime.Time(), Source: &source,
	}
}

// Message is a fact's journal record.
func Message(requests string, f fcfs.Fact) (event.Message, error) {
	meta := event.Meta{ID: fcfs.GrantID(requests, f.Source), Source: event.JournalSource(requests, f.Source.Partition)}
	if f.Defined != nil {
		return Definition(f).Message(meta)
	}
	return Grant(requests, f).Message(meta)
}
