package issuer

import (
	"bytes"
	"context"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/issuer/partition"
)

// pages is a journal of records, read one page after another.
type pages [][]event.Record

func (p pages) Fetch(_ context.Context, offset int64) (consumer.Fetched, error) {
	var f consumer.Fetched
	for _, page := range p {
		if last := page[len(page)-1].LastOffset; last >= offset {
			f.Records, f.Next = page, last+1
			return f, nil
		}
	}
	return f, nil
}

func (p pages) Bounds(context.Context) (start, end int64, err error) {
	last := p[len(p)-1]
	return p[0][0].Offset, last[len(last)-1].LastOffset + 1, nil
}

const requestsTopic = "coupon.requests"

// journaled is the record of a fact at an offset of the journal.
func journaled(t *testing.T, offset int64, f fcfs.Fact, change func(*event.Message)) event.Record {
	t.Helper()
	m, err := FactMessage(requestsTopic, f)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(&m)
	}
	return event.Record{
		Topic: "coupon.grants", Partition: f.Source.Partition, Offset: offset, LastOffset: offset,
		Key: m.Key, Value: m.Value, Headers: m.Headers, Time: m.Time,
	}
}

func grantAt(offset int64) fcfs.Fact {
	at := fcfs.Millis(1_800_000_000_000 + offset)
	return fcfs.Fact{
		Source: fcfs.Source{Partition: 3, Offset: offset}, RequestedAt: at, LogTime: at + 7,
		Granted: &fcfs.GrantFact{CouponID: "c", UserID: "u", Sequence: 1, Limit: 5},
	}
}

func typed(kind string) func(*event.Message) {
	return func(m *event.Message) {
		for i := range m.Headers {
			if m.Headers[i].Key == "ce_type" {
				m.Headers[i].Value = []byte(kind)
			}
		}
	}
}

func valued(value string) func(*event.Message) {
	return func(m *event.Message) { m.Value = []byte(value) }
}

func both(a, b func(*event.Message)) func(*event.Message) {
	return func(m *event.Message) { a(m); b(m) }
}

// A record of a type that this issuer does not know says only where it came from and what time it was; that counts.
func TestJournal_NewerType(t *testing.T) {
	newer := typed("firstcome.coupon.stopped")
	j := &journal{partition: 3, reader: pages{{
		journaled(t, 0, grantAt(10), nil), journaled(t, 1, grantAt(20), newer),
		journaled(t, 2, grantAt(30), both(newer, valued(`{"log_time":"soon"}`))),
		journaled(t, 3, grantAt(40), both(newer, valued("\xff"))), journaled(t, 4, grantAt(50), both(newer, valued(""))),
	}}}
	sources, err := j.Sources(t.Context(), 0)
	if err != nil || sources.Highest != 50 || sources.Last != 50 || sources.Next != 5 {
		t.Errorf("sources %+v, %v", sources, err)
	}
	got, err := j.Facts(t.Context(), 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	unknown := func(offset int64, logTime fcfs.Millis) fcfs.Fact {
		return fcfs.Fact{Source: fcfs.Source{Partition: 3, Offset: offset}, LogTime: logTime}
	}
	want := []fcfs.Fact{grantAt(10), unknown(20, grantAt(20).LogTime), unknown(30, 0), unknown(40, 0), unknown(50, 0)}
	if !reflect.DeepEqual(got.Facts, want) {
		t.Errorf("read as\n%+v, not\n%+v", got.Facts, want)
	}
	if !strings.Contains(got.Unknown, "firstcome.coupon.stopped") || got.Next != 5 {
		t.Errorf("unknown is %q, next %d", got.Unknown, got.Next)
	}
	if got, err := j.Facts(t.Context(), 0, 50); err != nil || len(got.Facts) != 0 || got.Unknown != "" {
		t.Errorf("above the last there is %+v, %v", got, err)
	}
}

// Everything else that cannot be read may be somebody's coupon: it is an error that says where it stands. What came from
// nowhere in the requests log is nobody's.
func TestJournal_Unreadable(t *testing.T) {
	whole := event.Record{Offset: 5, LastOffset: 9, Err: &event.DecodeError{Reason: event.ReasonTooLarge, Detail: "unpacks to more than 64 MiB"}}
	for name, c := range map[string]struct {
		record  event.Record
		facts   string // what the error says, none where there is none
		sources string
	}{
		"a batch":                  {whole, "offset 5 to 9: too_large", "offset 5 to 9: too_large"},
		"value cut short":          {journaled(t, 5, grantAt(60), valued(`{"grant_id"`)), "offset 5: malformed", ""},
		"no value":                 {journaled(t, 5, grantAt(60), func(m *event.Message) { m.Value = nil }), "offset 5: malformed", ""},
		"a member is missing":      {journaled(t, 5, grantAt(60), valued(`{}`)), "offset 5: invalid", ""},
		"rules of a newer version": {journaled(t, 5, grantAt(60), both(typed(event.TypeCouponDefined), valued(`{"coupon_id":"c","rules":2}`))), "offset 5: unsupported_rules", ""},
		"headers of no CloudEvent": {journaled(t, 5, grantAt(60), func(m *event.Message) { m.Headers = m.Headers[1:] }), "offset 5: not_cloudevent", ""},
		"of no request":            {event.Record{Offset: 5, LastOffset: 5, Value: []byte("x")}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			j := &journal{partition: 3, reader: pages{{journaled(t, 4, grantAt(50), nil), c.record}}}
			if _, err := j.Facts(t.Context(), 0, -1); !says(err, c.facts) {
				t.Errorf("facts: %v, not %q", err, c.facts)
			}
			if _, err := j.Sources(t.Context(), 0); !says(err, c.sources) {
				t.Errorf("sources: %v, not %q", err, c.sources)
			}
		})
	}
}

func says(err error, text string) bool {
	return (err == nil) == (text == "") && (err == nil || strings.Contains(err.Error(), text))
}

// What was passed over is told of in one line.
func TestService_PassedOver(t *testing.T) {
	var log bytes.Buffer
	s := &Service{metrics: newMetrics(prometheus.NewRegistry())}
	s.notice(slog.New(slog.NewTextHandler(&log, nil)), nil, partition.Notice{Kind: partition.PassedOver, Count: 3, Detail: "a newer type"})
	if line := log.String(); strings.Count(line, "\n") != 1 || !strings.Contains(line, "WARN") || !strings.Contains(line, "records=3") || !strings.Contains(line, "a newer type") {
		t.Error(line)
	}
}
