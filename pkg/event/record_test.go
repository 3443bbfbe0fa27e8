package event_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/firstcome/firstcome/pkg/event"
)

var (
	requestedAt = time.Date(2026, 11, 22, 9, 0, 0, 123_000_000, time.UTC)
	logTime     = time.Date(2026, 11, 22, 9, 0, 0, 456_000_000, time.UTC)
	place       = event.Source{Partition: 7, Offset: 1234567}
	requestMeta = event.Meta{
		ID: "8f6f1c1e-6f0e-4b43-9c7a-0d9b3f6f1a11", Source: "/firstcome/gateway", Time: requestedAt,
		CorrelationID: "c-42", TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
	}
	journalMeta = event.Meta{
		ID: placeID(place), Source: event.JournalSource(event.TopicRequests, place.Partition),
		CorrelationID: "c-42", TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
	}
)

func aDefinition() event.CouponDefined {
	return event.CouponDefined{
		CouponID: "blackfriday-2026", Limit: 100, Window: "daily", TimeZone: "Asia/Seoul", Rules: 1,
		OpensAt:  time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC),
		ClosesAt: time.Date(2026, 11, 27, 14, 59, 59, 999_000_000, time.UTC),
	}
}

func aJournalDefinition() event.CouponDefined {
	d := aDefinition()
	d.RequestedAt, d.LogTime, d.Source = requestedAt, logTime, &event.Source{Partition: 7, Offset: 1234567}
	return d
}

func aClaim() event.ClaimRequested {
	return event.ClaimRequested{CouponID: "blackfriday-2026", UserID: `지수 "o'k" <\>`}
}

func aGrant() event.CouponGranted {
	return event.CouponGranted{
		GrantID: placeID(place), CouponID: "blackfriday-2026", UserID: `지수 "o'k" <\>`, Window: "2026-11-22",
		Sequence: 3, Limit: 100, RequestedAt: requestedAt, LogTime: logTime, Source: place,
	}
}

// placeID is the UUIDv8 of a place, with a fixed hash of the topic.
func placeID(s event.Source) string {
	o := fmt.Sprintf("%012x", s.Offset)
	return fmt.Sprintf("%s-%s-8%03x-9a7b-0123456789ab", o[:8], o[8:], s.Partition)
}

// published makes a message, failing the test where that can't be.
func published(t testing.TB, m event.Message, err error) event.Message {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// consumed is a message as it comes out of a topic.
func consumed(topic string, m event.Message) event.Record {
	return event.Record{
		Topic: topic, Partition: place.Partition, Offset: place.Offset, LastOffset: place.Offset,
		Time: requestedAt, LogAppendTime: true, Key: m.Key, Value: m.Value, Headers: m.Headers,
	}
}

// message makes what an event was read from.
func message(t testing.TB, e event.Event) event.Message {
	t.Helper()
	var m event.Message
	var err error
	switch d := e.Data.(type) {
	case event.CouponDefined:
		m, err = d.Message(e.Meta)
	case event.ClaimRequested:
		m, err = d.Message(e.Meta)
	case event.CouponGranted:
		m, err = d.Message(e.Meta)
	default:
		t.Fatalf("data is a %T", e.Data)
	}
	return published(t, m, err)
}

func setHeader(r *event.Record, key, value string) {
	dropHeader(r, key)
	r.Headers = append(r.Headers, event.Header{Key: key, Value: []byte(value)})
}

func dropHeader(r *event.Record, key string) {
	var kept []event.Header
	for _, h := range r.Headers {
		if h.Key != key {
			kept = append(kept, h)
		}
	}
	r.Headers = kept
}
