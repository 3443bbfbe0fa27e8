package event_test

import (
	"bytes"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/firstcome/firstcome/pkg/event"
)

// arrived is a message as it stands in the dead letters' topic.
func arrived(m event.Message) event.Record {
	return event.Record{Topic: event.TopicDeadLetters, Offset: 99, LastOffset: 99, Time: requestedAt, Key: m.Key, Value: m.Value, Headers: m.Headers}
}

// What DeadLetter wrote comes back as it was, and what it had to cut is said.
func TestReadDeadLetter(t *testing.T) {
	claim := claimRecord(t)
	claim.Topic, claim.Partition, claim.Offset, claim.LastOffset, claim.LogAppendTime = "it-7.coupon.requests", 3, 41, 41, false
	with := func(change func(*event.Record)) event.Record {
		r := claim
		change(&r)
		return r
	}
	huge, wide := bytes.Repeat([]byte("v"), 600_000), bytes.Repeat([]byte("k"), 70_000)
	for _, c := range []struct {
		name   string
		record event.Record
		reason event.Reason
		detail string
		want   event.Letter // its record is the one above, unless it says otherwise
		batch  bool
	}{
		{name: "a record", record: claim, reason: event.ReasonWrongPartition, detail: "it belongs in partition 1"},
		{name: "a handler gave up", record: claim, reason: event.ReasonHandlerFailed, detail: "nobody answers"},
		{name: "no detail", record: claim, reason: event.ReasonInvalid},
		{name: "null key and value", record: with(func(r *event.Record) { r.Key, r.Value = nil, nil }), reason: event.ReasonMalformed, detail: "null value"},
		{name: "no headers", record: with(func(r *event.Record) { r.Headers = nil }), reason: event.ReasonNotCloudEvent, detail: "ce_specversion must be 1.0"},
		{name: "a clock beyond all", record: with(func(r *event.Record) { r.Time = time.UnixMilli(1<<62 - 1).UTC() }), reason: event.ReasonInvalid, detail: "x"},
		{name: "a detail like a note", record: claim, reason: event.ReasonInvalid, detail: "value cut from 600000 bytes; 7 headers left out of it"},
		{name: "a detail like the note of a batch", record: claim, reason: event.ReasonInvalid, detail: "last offset 41; of what?"},
		{name: "a batch", record: with(func(r *event.Record) { r.LastOffset, r.Key, r.Headers = 1040, nil, nil }), reason: event.ReasonTooLarge, detail: "zstd; much", batch: true},
		{name: "a batch of one", record: with(func(r *event.Record) { r.Key, r.Headers = nil, nil }), reason: event.ReasonMalformed, detail: "bad checksum", batch: true},
		{name: "a long value", record: with(func(r *event.Record) { r.Value = huge }), reason: event.ReasonInvalid, detail: "too long",
			want: event.Letter{Record: event.Record{Value: huge[:512<<10]}, ValueBytes: len(huge)}},
		{name: "everything is too long", reason: event.ReasonMalformed, detail: "byte 0",
			record: with(func(r *event.Record) {
				r.Key, r.Value, r.Headers = wide, huge, append([]event.Header{{Key: "x", Value: huge}}, r.Headers...)
			}),
			want: event.Letter{Record: event.Record{Key: wide[:64<<10], Value: huge[:512<<10]}, ValueBytes: len(huge), KeyBytes: len(wide), HeadersLeftOut: 1 + len(claim.Headers)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := event.ReadDeadLetter(arrived(event.DeadLetter(c.record, c.reason, c.detail)))
			want := c.want
			want.Reason, want.Detail = c.reason, c.detail
			cut := want.Record
			want.Record = c.record
			if want.ValueBytes > 0 {
				want.Record.Value = cut.Value
			}
			if want.KeyBytes > 0 {
				want.Record.Key = cut.Key
			}
			if want.HeadersLeftOut > 0 {
				want.Record.Headers = nil
			}
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("got  %.500v, %v\nwant %.500v", got, err, want)
			}
			if got.OfBatch() != c.batch {
				t.Errorf("of a batch: %v", got.OfBatch())
			}
		})
	}
}

func TestReadDeadLetter_Golden(t *testing.T) {
	m := readGolden(t, filepath.Join("testdata", "v1", event.TopicDeadLetters, "dead-letter.json"))
	l, err := event.ReadDeadLetter(arrived(m))
	if err != nil || l.Reason != event.ReasonWrongPartition || l.Detail != "in partition 7, belongs in 3" || l.Record.Offset != 1234567 || !l.Record.Time.Equal(requestedAt) {
		t.Fatalf("got %+v, %v", l, err)
	}
	if e, err := event.Decode(l.Record); err != nil || e.Data != aClaim() {
		t.Errorf("the request that was refused: %+v, %v", e, err)
	}
}

func TestReadDeadLetter_None(t *testing.T) {
	good := event.DeadLetter(claimRecord(t), event.ReasonInvalid, "x")
	change := func(name string, value ...string) event.Record {
		var m event.Message
		for _, h := range good.Headers {
			if h.Key != name {
				m.Headers = append(m.Headers, h)
			}
		}
		for _, v := range value {
			m.Headers = append(m.Headers, event.Header{Key: name, Value: []byte(v)})
		}
		return arrived(m)
	}
	if _, err := event.ReadDeadLetter(change("fc_later", "a header of a later version")); err != nil {
		t.Errorf("what a later version adds must not make it unreadable: %v", err)
	}
	for _, c := range []struct {
		record event.Record
		say    string
	}{
		{event.Record{}, "it has no headers fc_"},
		{arrived(event.Message{Headers: claimRecord(t).Headers}), "it has no headers fc_"},
		{change("fc_topic"), `header fc_topic is ""`},
		{change("fc_partition", "-1"), `header fc_partition is "-1"`},
		{change("fc_partition", "2147483648"), `header fc_partition is "2147483648"`},
		{change("fc_offset", "+7"), `header fc_offset is "+7"`},
		{change("fc_offset", "9223372036854775808"), `header fc_offset is "9223372036854775808"`},
		{change("fc_offset", "1", "2"), `header "fc_offset" stands twice`},
		{change("fc_time", "yesterday"), `header fc_time is "yesterday"`},
		{change("fc_reason", ""), `header fc_reason is ""`},
		{event.Record{Err: &event.DecodeError{Reason: event.ReasonTooLarge, Detail: "64 MiB"}}, "too_large: 64 MiB"},
	} {
		l, err := event.ReadDeadLetter(c.record)
		if err == nil || !strings.HasPrefix(err.Error(), "no dead letter: ") || !strings.HasSuffix(err.Error(), c.say) || !reflect.DeepEqual(l, event.Letter{}) {
			t.Errorf("got %+v, %v; want %s", l, err, c.say)
		}
	}
}

// FuzzReadDeadLetter: whatever stands in the topic is a letter or none, and a letter that was cut nowhere says the same
// when it is written and read again.
func FuzzReadDeadLetter(f *testing.F) {
	golden := readGolden(f, filepath.Join("testdata", "v1", event.TopicDeadLetters, "dead-letter.json"))
	h := headersOf(golden)
	f.Add(golden.Key, golden.Value, "ce_id", h["ce_id"], h["fc_topic"], h["fc_partition"], h["fc_offset"], h["fc_time"], h["fc_reason"], h["fc_detail"])
	f.Add([]byte(nil), []byte(nil), "fc_topic", "twice", "t", "0", "0", "0", "malformed", "")
	f.Add([]byte(nil), []byte("\x00"), "", "", "coupon.requests", "4095", "40", "-5", "too_large", "last offset 1039; gzip; much")
	f.Add([]byte("a"), []byte("b"), "x", "", "t", "1", "2", "9223372036854775807", "invalid", "value cut from 600000 bytes; key cut from 70000 bytes; 3 headers left out; x")
	f.Fuzz(func(t *testing.T, key, value []byte, name, text, topic, partition, offset, at, reason, detail string) {
		r := event.Record{Key: key, Value: value, Headers: []event.Header{
			{Key: name, Value: []byte(text)}, {Key: "fc_topic", Value: []byte(topic)}, {Key: "fc_partition", Value: []byte(partition)}, {Key: "fc_offset", Value: []byte(offset)},
			{Key: "fc_time", Value: []byte(at)}, {Key: "fc_reason", Value: []byte(reason)}, {Key: "fc_detail", Value: []byte(detail)},
		}}
		l, err := event.ReadDeadLetter(r)
		if err != nil {
			return
		}
		again := event.DeadLetter(l.Record, l.Reason, l.Detail)
		got, err := event.ReadDeadLetter(arrived(again))
		if err != nil {
			t.Fatalf("%+v\nwritten again: %v", l, err)
		}
		cut := l.ValueBytes+l.KeyBytes+l.HeadersLeftOut > 0 || len(value) > 512<<10 || len(key) > 64<<10 || len(text) > 100<<10 || len(name) > 1<<10 || len(l.Detail) > 1<<10
		if l.Record.Time.IsZero() || cut { // the zero time is written as 1970
			return
		}
		if !got.Record.Time.Equal(l.Record.Time) {
			t.Errorf("read at %v, written and read %v", l.Record.Time, got.Record.Time)
		}
		got.Record.Time = l.Record.Time
		if !equalLetters(got, l) {
			t.Errorf("read    %+v\nwritten and read %+v", l, got)
		}
	})
}

// equalLetters tells null from empty in key and value, as Kafka does.
func equalLetters(a, b event.Letter) bool {
	same := (a.Record.Key == nil) == (b.Record.Key == nil) && (a.Record.Value == nil) == (b.Record.Value == nil) && len(a.Record.Headers) == len(b.Record.Headers)
	for i := range a.Record.Headers {
		same = same && a.Record.Headers[i].Key == b.Record.Headers[i].Key && bytes.Equal(a.Record.Headers[i].Value, b.Record.Headers[i].Value)
	}
	same = same && bytes.Equal(a.Record.Key, b.Record.Key) && bytes.Equal(a.Record.Value, b.Record.Value)
	a.Record.Key, a.Record.Value, a.Record.Headers = nil, nil, nil
	b.Record.Key, b.Record.Value, b.Record.Headers = nil, nil, nil
	return same && reflect.DeepEqual(a, b)
}
