package audit

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/pkg/event"
)

// facts are what the log leads to, or what a place holds, by the offset of the request.
type facts map[int64]fcfs.Fact

func (f facts) sorted() []int64 { return slices.Sorted(maps.Keys(f)) }

// compareFacts names what got lacks, has too much, and has otherwise.
func compareFacts(place string, want, got facts) []Difference {
	var out []Difference
	for _, offset := range want.sorted() {
		w := want[offset]
		g, ok := got[offset]
		if !ok {
			out = append(out, about(place, w, "%s is missing", name(w)))
			continue
		}
		if members := differing(w, g); len(members) > 0 {
			out = append(out, about(place, w, "%s is wrong: %s", name(w), strings.Join(members, ", ")))
		}
	}
	for _, offset := range got.sorted() {
		if _, ok := want[offset]; !ok {
			out = append(out, about(place, got[offset], "%s is there, and the log does not lead to it", name(got[offset])))
		}
	}
	return out
}

// differing names the members in which two facts of one source differ.
func differing(want, got fcfs.Fact) []string {
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

// message is the journal record that a fact must have been written as, to the byte.
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

// factOf is the inverse of message, for whatever a journal record says.
func factOf(e event.Event) (fcfs.Fact, bool) {
	switch d := e.Data.(type) {
	case event.CouponGranted:
		return fcfs.Fact{
			Source: fcfs.Source(d.Source), CorrelationID: e.CorrelationID, TraceParent: e.TraceParent,
			RequestedAt: fcfs.FromTime(d.RequestedAt), LogTime: fcfs.FromTime(d.LogTime),
			Granted: &fcfs.GrantFact{CouponID: d.CouponID, UserID: d.UserID, Window: d.Window, Sequence: d.Sequence, Limit: d.Limit},
		}, true
	case event.CouponDefined:
		if d.Source == nil {
			return fcfs.Fact{}, false
		}
		definition := definitionOf(d)
		return fcfs.Fact{
			Source: fcfs.Source(*d.Source), CorrelationID: e.CorrelationID, TraceParent: e.TraceParent,
			RequestedAt: fcfs.FromTime(d.RequestedAt), LogTime: fcfs.FromTime(d.LogTime), Defined: &definition,
		}, true
	}
	return fcfs.Fact{}, false
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
