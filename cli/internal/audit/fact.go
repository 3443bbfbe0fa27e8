package audit

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/pkg/event"
)

// differing names the members in which two facts of one source differ.
func differing(want, got fcfs.Fact) []string {
	if w, g := want.Granted, got.Granted; w != nil && g != nil && *w == *g && want.RequestedAt == got.RequestedAt && want.LogTime == got.LogTime {
		return nil // as a million times, without a look at each member
	}
	d := members{}
	d.compare("requested_at", moment(got.RequestedAt), moment(want.RequestedAt))
	d.compare("log_time", moment(got.LogTime), moment(want.LogTime))
	switch {
	case want.Granted != nil && got.Granted != nil:
		w, g := *want.Granted, *got.Granted
		d.compare("coupon_id", g.CouponID, w.CouponID)
		d.compare("user_id", g.UserID, w.UserID)
		d.compare("window", g.Window, w.Window)
		d.compare("sequence", g.Sequence, w.Sequence)
		d.compare("limit", g.Limit, w.Limit)
	case want.Defined != nil && got.Defined != nil:
		d.definition(*want.Defined, *got.Defined)
	default:
		d = append(d, "it is of another kind")
	}
	return d
}

type members []string

func (m *members) compare(member string, got, want any) {
	if got != want {
		*m = append(*m, fmt.Sprintf("%s is %s and should be %s", member, show(got), show(want)))
	}
}

func (m *members) definition(w, g fcfs.Definition) {
	m.compare("coupon_id", g.CouponID, w.CouponID)
	m.compare("limit", g.Limit, w.Limit)
	m.compare("window", string(g.Window), string(w.Window))
	m.compare("time_zone", g.TimeZone, w.TimeZone)
	m.compare("opens_at", moment(g.OpensAt), moment(w.OpensAt))
	m.compare("closes_at", moment(g.ClosesAt), moment(w.ClosesAt))
	m.compare("rules", g.Rules, w.Rules)
}

// moment is a point of time that prints as one; 0 is absent.
type moment fcfs.Millis

func show(v any) string {
	switch v := v.(type) {
	case string:
		return fmt.Sprintf("%q", v)
	case moment:
		if v == 0 {
			return "absent"
		}
		return fcfs.Millis(v).Time().Format("2006-01-02T15:04:05.000Z")
	}
	return fmt.Sprint(v)
}

// message is the journal record that a fact must have been written as, to the byte. The issuer has its own: what one of
// them gets wrong, the other does not repeat.
func message(requestsTopic string, f fcfs.Fact) (event.Message, error) {
	meta := event.Meta{
		ID: fcfs.GrantID(requestsTopic, f.Source), Source: event.JournalSource(requestsTopic, f.Source.Partition),
		CorrelationID: f.CorrelationID, TraceParent: f.TraceParent,
	}
	source := event.Source(f.Source)
	if g := f.Granted; g != nil {
		return event.CouponGranted{
			GrantID: meta.ID, CouponID: g.CouponID, UserID: g.UserID, Window: g.Window, Sequence: g.Sequence, Limit: g.Limit,
			RequestedAt: f.RequestedAt.Time(), LogTime: f.LogTime.Time(), Source: source,
		}.Message(meta)
	}
	d := f.Defined
	return event.CouponDefined{
		CouponID: d.CouponID, Limit: d.Limit, Window: string(d.Window), TimeZone: d.TimeZone, OpensAt: optional(d.OpensAt), ClosesAt: optional(d.ClosesAt),
		Rules: d.Rules, RequestedAt: f.RequestedAt.Time(), LogTime: f.LogTime.Time(), Source: &source,
	}.Message(meta)
}

func optional(m fcfs.Millis) time.Time {
	if m == 0 {
		return time.Time{}
	}
	return m.Time()
}

// readFact is the inverse of message, for whatever a journal record says.
func readFact(r event.Record) (fcfs.Fact, error) {
	e, err := event.Decode(r)
	if err != nil {
		return fcfs.Fact{}, err
	}
	f := fcfs.Fact{CorrelationID: e.CorrelationID, TraceParent: e.TraceParent}
	switch d := e.Data.(type) {
	case event.CouponGranted:
		f.Source, f.RequestedAt, f.LogTime = fcfs.Source(d.Source), fcfs.FromTime(d.RequestedAt), fcfs.FromTime(d.LogTime)
		f.Granted = &fcfs.GrantFact{CouponID: d.CouponID, UserID: d.UserID, Window: d.Window, Sequence: d.Sequence, Limit: d.Limit}
	case event.CouponDefined:
		definition := definitionOf(d)
		f.Source, f.RequestedAt, f.LogTime = fcfs.Source(*d.Source), fcfs.FromTime(d.RequestedAt), fcfs.FromTime(d.LogTime)
		f.Defined = &definition
	default:
		return fcfs.Fact{}, fmt.Errorf("%s is no fact", e.Type)
	}
	return f, nil
}

func definitionOf(d event.CouponDefined) fcfs.Definition {
	return fcfs.Definition{
		CouponID: d.CouponID, Limit: d.Limit, Window: fcfs.Window(d.Window), TimeZone: d.TimeZone,
		OpensAt: fcfs.FromTime(d.OpensAt), ClosesAt: fcfs.FromTime(d.ClosesAt), Rules: d.Rules,
	}
}

// bytesDiffer names what of a record's bytes is not as it must be written; "" where all is.
func bytesDiffer(want event.Message, got event.Record) string {
	switch {
	case !bytes.Equal(want.Key, got.Key):
		return fmt.Sprintf("its key is %q", got.Key)
	case !bytes.Equal(want.Value, got.Value):
		return fmt.Sprintf("its value is %s and should be %s", got.Value, want.Value)
	case !slices.EqualFunc(want.Headers, got.Headers, func(a, b event.Header) bool { return a.Key == b.Key && bytes.Equal(a.Value, b.Value) }):
		return fmt.Sprintf("its headers are %s and should be %s", headers(got.Headers), headers(want.Headers))
	case !got.LogAppendTime && !want.Time.Equal(got.Time):
		return fmt.Sprintf("its timestamp is %s and should be %s", got.Time.UTC().Format(time.RFC3339Nano), want.Time.UTC().Format(time.RFC3339Nano))
	}
	return ""
}

func headers(hs []event.Header) string {
	parts := make([]string, len(hs))
	for i, h := range hs {
		parts[i] = fmt.Sprintf("%s=%s", h.Key, h.Value)
	}
	return strings.Join(parts, " ")
}
