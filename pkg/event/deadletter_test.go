package event_test

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/firstcome/firstcome/pkg/event"
)

func headersOf(m event.Message) map[string]string {
	all := map[string]string{}
	for _, h := range m.Headers {
		all[h.Key] = string(h.Value)
	}
	return all
}

func TestDeadLetter(t *testing.T) {
	r := claimRecord(t)
	r.Topic, r.Partition, r.Offset, r.LastOffset = "it-7.coupon.requests", 3, 41, 41
	r.Headers = append(r.Headers, event.Header{Key: "fc_reason", Value: []byte("forged")}, event.Header{Key: "mine", Value: []byte("\xff")})
	m := event.DeadLetter(r, event.ReasonInvalid, "#/user_id is required")
	if !bytes.Equal(m.Key, r.Key) || !bytes.Equal(m.Value, r.Value) {
		t.Error("key and value must stay as they came")
	}
	if len(m.Headers) != len(r.Headers)-1+6 {
		t.Errorf("%d headers from %d", len(m.Headers), len(r.Headers))
	}
	got := headersOf(m)
	for key, want := range map[string]string{
		"ce_id": requestMeta.ID, "mine": "\xff",
		"fc_topic": "it-7.coupon.requests", "fc_partition": "3", "fc_offset": "41", "fc_time": "2026-11-22T09:00:00.123Z",
		"fc_reason": "invalid", "fc_detail": "#/user_id is required",
	} {
		if got[key] != want {
			t.Errorf("%s is %q, want %q", key, got[key], want)
		}
	}
	if !m.Time.IsZero() {
		t.Error("a dead letter is kept from when it was written, so its time is now")
	}
	clear(r.Value)
	if bytes.Equal(m.Value, r.Value) {
		t.Error("the value points into the fetcher's buffer")
	}
}

func TestDeadLetter_Null(t *testing.T) {
	m := event.DeadLetter(event.Record{Topic: "coupon.requests"}, event.ReasonMalformed, "null value")
	if m.Key != nil || m.Value != nil {
		t.Errorf("null must stay null: %v, %v", m.Key, m.Value)
	}
}

func TestDeadLetter_Batch(t *testing.T) {
	r := event.Record{Offset: 40, LastOffset: 1039, Value: make([]byte, 900_000)}
	m := event.DeadLetter(r, event.ReasonTooLarge, "unpacks to more than 64 MiB")
	got := headersOf(m)
	if got["fc_offset"] != "40" || !strings.Contains(got["fc_detail"], "last offset 1039") {
		t.Errorf("got %v", got)
	}
	if len(m.Value) != 512<<10 {
		t.Errorf("%d bytes of value", len(m.Value))
	}
}

// TestDeadLetter_Fits: a record of a compressed batch may have far more than a broker takes in one, anywhere.
func TestDeadLetter_Fits(t *testing.T) {
	huge := make([]byte, 20<<20)
	many := make([]event.Header, 1_000_000)
	for name, r := range map[string]event.Record{
		"value":             {Value: huge},
		"key":               {Key: huge},
		"header":            {Headers: []event.Header{{Key: "x", Value: huge}}},
		"name of a header":  {Headers: []event.Header{{Key: string(huge)}}},
		"many headers":      {Headers: many},
		"all of it":         {Key: huge, Value: huge, Headers: append(many, event.Header{Key: "x", Value: huge})},
		"a time beyond all": {Time: time.UnixMilli(1<<63 - 1)},
	} {
		t.Run(name, func(t *testing.T) {
			m := event.DeadLetter(r, event.ReasonInvalid, strings.Repeat("한", 10_000))
			size := len(m.Key) + len(m.Value)
			for _, h := range m.Headers {
				size += len(h.Key) + len(h.Value) + 10
			}
			if size > 900_000 {
				t.Fatalf("%d bytes", size)
			}
			if at := headersOf(m)["fc_time"]; name == "a time beyond all" && at != "9223372036854775807" {
				t.Errorf("time %s; what RFC 3339 can't write stays in milliseconds", at)
			}
			detail := headersOf(m)["fc_detail"]
			if !utf8.ValidString(detail) || !strings.Contains(detail, "한") {
				t.Errorf("detail %.50q", detail)
			}
			if name == "header" && !strings.Contains(detail, "1 headers left out") {
				t.Errorf("detail %.50q does not say what is missing", detail)
			}
		})
	}
	event.DeadLetter(event.Record{}, event.ReasonInvalid, strings.Repeat("\x80", 5000))
}
