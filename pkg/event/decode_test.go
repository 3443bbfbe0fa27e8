package event_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/firstcome/firstcome/pkg/event"
)

type refusal struct {
	name   string
	change func(*event.Record)
	reason event.Reason
	detail string // a part of it
}

func checkRefusals(t *testing.T, good event.Record, refusals []refusal) {
	t.Helper()
	if _, err := event.Decode(good); err != nil {
		t.Fatalf("the record before the change: %v", err)
	}
	for _, c := range refusals {
		t.Run(c.name, func(t *testing.T) {
			r := good
			c.change(&r)
			_, err := event.Decode(r)
			var refused *event.DecodeError
			if !errors.As(err, &refused) || refused.Reason != c.reason || !strings.Contains(refused.Detail, c.detail) {
				t.Fatalf("got %v, want %s: … %s", err, c.reason, c.detail)
			}
		})
	}
}

func header(key, value string) func(*event.Record) {
	return func(r *event.Record) { setHeader(r, key, value) }
}

func without(key string) func(*event.Record) { return func(r *event.Record) { dropHeader(r, key) } }

func value(v string) func(*event.Record) { return func(r *event.Record) { r.Value = []byte(v) } }

// swap replaces a part of the value, which must be there.
func swap(from, to string) func(*event.Record) {
	return func(r *event.Record) {
		if !strings.Contains(string(r.Value), from) {
			panic("the value has no " + from)
		}
		r.Value = []byte(strings.Replace(string(r.Value), from, to, 1))
	}
}

func all(changes ...func(*event.Record)) func(*event.Record) {
	return func(r *event.Record) {
		for _, c := range changes {
			c(r)
		}
	}
}

func claimRecord(t testing.TB) event.Record {
	m, err := aClaim().Message(requestMeta)
	return consumed(event.TopicRequests, published(t, m, err))
}

func definitionRecord(t testing.TB) event.Record {
	m, err := aDefinition().Message(requestMeta)
	return consumed("it-7."+event.TopicRequests, published(t, m, err))
}

func TestDecode_NotCloudEvent(t *testing.T) {
	no := event.ReasonNotCloudEvent
	checkRefusals(t, claimRecord(t), []refusal{
		{"no headers", func(r *event.Record) { r.Headers = nil }, no, "ce_specversion"},
		{"no version", without("ce_specversion"), no, "ce_specversion"},
		{"a later version", header("ce_specversion", "1.1"), no, "ce_specversion"},
		{"no id", without("ce_id"), no, "ce_id is missing"},
		{"empty id", header("ce_id", ""), no, "ce_id is missing"},
		{"no source", without("ce_source"), no, "ce_source"},
		{"no type", without("ce_type"), no, "ce_type"},
		{"empty subject", header("ce_subject", ""), no, "ce_subject"},
		{"names in another case", all(without("ce_id"), header("CE_ID", "1")), no, "ce_id is missing"},
		{"a header twice", func(r *event.Record) {
			r.Headers = append(r.Headers[:len(r.Headers):len(r.Headers)], event.Header{Key: "ce_type", Value: []byte("x")})
		}, no, "ce_type stands twice"},
		{"id with a control character", header("ce_id", "a\x00b"), no, "control"},
		{"id with a C1 control character", header("ce_id", "a\u0085b"), no, "control"},
		{"source not UTF-8", header("ce_source", "/\xff"), no, "UTF-8"},
		{"time that is none", header("ce_time", "yesterday"), no, "ce_time"},
		{"time without offset", header("ce_time", "2026-11-22T09:00:00"), no, "ce_time"},
		{"time in the year 10000 of UTC", header("ce_time", "9999-12-31T23:00:00-02:00"), no, "ce_time"},
		{"empty time", header("ce_time", ""), no, "ce_time"},
		{"no content type", without("content-type"), no, "content-type"},
		{"another content type", header("content-type", "text/plain"), no, "content-type"},
		{"a longer content type", header("content-type", "application/jsonp"), no, "content-type"},
		{"structured mode", header("content-type", "application/cloudevents+json; charset=utf-8"), no, "structured"},
		{"structured batch", header("content-type", "application/cloudevents-batch+json"), no, "structured"},
		{"headers before all else", all(without("ce_id"), header("ce_type", "x"), value("{")), no, "ce_id"},
	})
}

func TestDecode_UnknownType(t *testing.T) {
	no := event.ReasonUnknownType
	checkRefusals(t, claimRecord(t), []refusal{
		{"another type", header("ce_type", "com.example.other"), no, `"com.example.other"`},
		{"another case", header("ce_type", "Firstcome.claim.requested"), no, ""},
		{"a long type", header("ce_type", strings.Repeat("x", 100_000)), no, `xxx"`},
		{"a grant among the requests", header("ce_type", event.TypeCouponGranted), no, ""},
		{"before the value is looked at", all(header("ce_type", "x"), value("{")), no, ""},
	})
	m, err := aGrant().Message(journalMeta)
	checkRefusals(t, consumed("it-7."+event.TopicGrants, published(t, m, err)), []refusal{
		{"a claim in the journal", header("ce_type", event.TypeClaimRequested), no, ""},
	})
}

func TestDecode_Malformed(t *testing.T) {
	no := event.ReasonMalformed
	checkRefusals(t, claimRecord(t), []refusal{
		{"null value", func(r *event.Record) { r.Value = nil }, no, "null value"},
		{"empty value", value(""), no, "byte 0: expected an object"},
		{"garbage", value("\x00\x01\x02"), no, "byte 0"},
		{"cut off", value(`{"coupon_id":"blackfriday-2026"`), no, "byte 31"},
		{"an array", value(`[]`), no, "expected an object"},
		{"null", value(`null`), no, "expected an object"},
		{"two objects", value(`{}{}`), no, "byte 2: more after the object"},
		{"a name twice", value(`{"user_id":"a","user_id":"b"}`), no, "byte 15: duplicate name"},
		{"not UTF-8", value("{\"user_id\":\"\xff\"}"), no, "byte 12: not UTF-8"},
		{"lone surrogate", value(`{"user_id":"\ud800"}`), no, "byte 12: lone surrogate"},
		{"in an unknown member too", value(`{"x":{"a":1,"a":2}}`), no, "duplicate name"},
		{"byte order mark", value("\ufeff{}"), no, "byte 0"},
	})
}

func TestDecode_Invalid(t *testing.T) {
	no := event.ReasonInvalid
	t.Run("claim", func(t *testing.T) {
		checkRefusals(t, claimRecord(t), []refusal{
			{"no members", value(`{}`), no, "#/coupon_id is required; #/user_id is required"},
			{"another case", swap(`"user_id"`, `"User_id"`), no, "#/user_id is required"},
			{"user is a number", value(`{"coupon_id":"blackfriday-2026","user_id":7}`), no, "#/user_id must be a string"},
			{"user is null", value(`{"coupon_id":"blackfriday-2026","user_id":null}`), no, "#/user_id must be a string"},
			{"user is empty", value(`{"coupon_id":"blackfriday-2026","user_id":""}`), no, "#/user_id"},
			{"user is too long", value(`{"coupon_id":"blackfriday-2026","user_id":"` + strings.Repeat("x", 201) + `"}`), no, "200 bytes"},
			{"user with a control character", value(`{"coupon_id":"blackfriday-2026","user_id":"a\u0000b"}`), no, "control"},
			{"coupon outside the pattern", all(swap("blackfriday-2026", "a b"), func(r *event.Record) { r.Key = []byte("a b") },
				header("ce_subject", "a b")), no, "#/coupon_id must be letters"},
			{"key differs", func(r *event.Record) { r.Key = []byte("other") }, no, "differs from the record's key"},
			{"no key", func(r *event.Record) { r.Key = nil }, no, "differs from the record's key"},
			{"subject differs", header("ce_subject", "other"), no, "differs from ce_subject"},
		})
	})
	t.Run("definition", func(t *testing.T) {
		checkRefusals(t, definitionRecord(t), []refusal{
			{"no limit", swap(`"limit":100,`, ``), no, "#/limit is required"},
			{"limit 0", swap(`"limit":100`, `"limit":0`), no, "#/limit must be between 1 and 100000000"},
			{"limit -1", swap(`"limit":100`, `"limit":-1`), no, "between"},
			{"limit above", swap(`"limit":100`, `"limit":100000001`), no, "between"},
			{"limit beyond 64 bits", swap(`"limit":100`, `"limit":9223372036854775808`), no, "#/limit must have 64 bits"},
			{"limit 1.0", swap(`"limit":100`, `"limit":1.0`), no, "#/limit must be an integer"},
			{"limit 1e2", swap(`"limit":100`, `"limit":1e2`), no, "#/limit must be an integer"},
			{"limit is a string", swap(`"limit":100`, `"limit":"100"`), no, "#/limit must be an integer"},
			{"limit is null", swap(`"limit":100`, `"limit":null`), no, "#/limit must be an integer"},
			{"no window", swap(`"window":"daily",`, ``), no, "#/window is required"},
			{"window unknown", swap(`"daily"`, `"weekly"`), no, "#/window"},
			{"window in another case", swap(`"daily"`, `"Daily"`), no, "#/window"},
			{"no time zone", swap(`"time_zone":"Asia/Seoul",`, ``), no, "#/time_zone is required"},
			{"time zone empty", swap(`"Asia/Seoul"`, `""`), no, "#/time_zone"},
			{"time zone Local", swap(`"Asia/Seoul"`, `"Local"`), no, "#/time_zone"},
			{"time zone with a control character", swap(`"Asia/Seoul"`, `"Asia\n"`), no, "#/time_zone"},
			{"opening is no time", swap(`2026-11-22T00:00:00.000Z`, `tomorrow`), no, "#/opens_at"},
			{"opening without offset", swap(`2026-11-22T00:00:00.000Z`, `2026-11-22T00:00:00`), no, "#/opens_at"},
			{"opening is a number", swap(`"2026-11-22T00:00:00.000Z"`, `1795305600000`), no, "#/opens_at must be a string"},
			{"opening is null", swap(`"2026-11-22T00:00:00.000Z"`, `null`), no, "#/opens_at must be a string"},
			{"opening at the epoch", swap(`2026-11-22T00:00:00.000Z`, `1970-01-01T00:00:00Z`), no, "#/opens_at"},
			{"opening at Go's zero time", swap(`2026-11-22T00:00:00.000Z`, `0001-01-01T00:00:00Z`), no, "#/opens_at"},
			{"closing in the year 10000 of UTC", swap(`2026-11-27T14:59:59.999Z`, `9999-12-31T23:00:00-02:00`), no, "#/closes_at"},
			{"closing with the opening", swap(`2026-11-27T14:59:59.999Z`, `2026-11-22T09:00:00.000+09:00`), no, "#/closes_at must be after opens_at"},
			{"closing after it by less than a millisecond", swap(`2026-11-27T14:59:59.999Z`, `2026-11-22T00:00:00.0009Z`), no, "after opens_at"},
			{"rules 0", swap(`"rules":1`, `"rules":0`), no, "#/rules must be between"},
			{"rules is a string", swap(`"rules":1`, `"rules":"1"`), no, "#/rules must be an integer"},
			{"another coupon's rules 2", all(swap(`"rules":1`, `"rules":2`), func(r *event.Record) { r.Key = nil }), no, "key"},
			{"all at once", all(swap(`"limit":100`, `"limit":0`), swap(`"daily"`, `""`), swap(`Asia/Seoul`, ``)), no,
				"#/limit must be between 1 and 100000000; #/window must be \"none\" or \"daily\"; #/time_zone"},
		})
	})
}

func TestDecode_InvalidJournal(t *testing.T) {
	no := event.ReasonInvalid
	m, err := aJournalDefinition().Message(journalMeta)
	checkRefusals(t, consumed(event.TopicGrants, published(t, m, err)), []refusal{
		{"no source", swap(`,"source":{"partition":7,"offset":1234567}`, ``), no, "#/source is required"},
		{"no offset", swap(`,"offset":1234567`, ``), no, "#/source/offset is required"},
		{"source is a string", swap(`{"partition":7,"offset":1234567}`, `"7"`), no, "#/source must be an object"},
		{"source differs from the id", swap(`"offset":1234567`, `"offset":1234568`), no, "#/source differs"},
		{"source differs from the header", header("ce_source", "/coupon.requests/8"), no, "#/source differs"},
		{"an id of another kind", header("ce_id", requestMeta.ID), no, "#/source differs"},
		{"no log time", swap(`"log_time":"2026-11-22T09:00:00.456Z",`, ``), no, "#/log_time is required"},
		{"partition out of range", swap(`"partition":7`, `"partition":4096`), no, "#/source/partition must be between 0 and 4095"},
	})
	m, err = aGrant().Message(journalMeta)
	checkRefusals(t, consumed(event.TopicGrants, published(t, m, err)), []refusal{
		{"another grant id", swap(placeID(place), placeID(event.Source{Partition: 7, Offset: 1})), no, "#/grant_id differs from ce_id"},
		{"sequence 0", swap(`"sequence":3`, `"sequence":0`), no, "#/sequence must be between 1 and limit"},
		{"sequence above the limit", swap(`"sequence":3`, `"sequence":101`), no, "#/sequence"},
		{"limit 0", swap(`"limit":100`, `"limit":0`), no, "#/limit"},
		{"no window", swap(`"window":"2026-11-22",`, ``), no, "#/window is required"},
		{"window is no day", swap(`"2026-11-22"`, `"2026-02-30"`), no, "#/window"},
		{"key differs", func(r *event.Record) { r.Key = []byte("x") }, no, "key"},
	})
}

func TestDecode_UnsupportedRules(t *testing.T) {
	no := event.ReasonUnsupportedRules
	checkRefusals(t, definitionRecord(t), []refusal{
		{"rules 2", swap(`"rules":1`, `"rules":2`), no, "rules 2; known are 1 to 1"},
		{"whatever the members mean there", all(swap(`"rules":1`, `"rules":2`), swap(`"limit":100`, `"limit":"many"`)), no, ""},
	})
}

// TestDecode_Takes holds where reading is generous.
func TestDecode_Takes(t *testing.T) {
	for _, c := range []struct {
		name   string
		record event.Record
		change func(*event.Record)
	}{
		{"unknown members", claimRecord(t), swap(`{`, `{"x":[{"y":null}],"USER_ID":1,"":{},`)},
		{"unknown headers, even twice", claimRecord(t), all(header("ce_partitionkey", "x"), func(r *event.Record) {
			r.Headers = append(r.Headers, event.Header{Key: "ce_partitionkey"})
		})},
		{"no subject", claimRecord(t), without("ce_subject")},
		{"no time", claimRecord(t), without("ce_time")},
		{"time with an offset", claimRecord(t), header("ce_time", "2026-11-22T18:00:00.123456789+09:00")},
		{"content type with parameters", claimRecord(t), header("content-type", "Application/JSON ; charset=utf-8")},
		{"space around", claimRecord(t), swap(`{`, " \n{\t")},
		{"escapes", claimRecord(t), swap(`"blackfriday`, `"\u0062lackfriday`)},
		{"a broken traceparent", claimRecord(t), header("traceparent", "00-x-y-01")},
		{"a correlation id that is too long", claimRecord(t), header("ce_correlationid", strings.Repeat("x", 129))},
		{"no rules", definitionRecord(t), swap(`,"rules":1`, ``)},
		{"no opening", definitionRecord(t), swap(`"opens_at":"2026-11-22T00:00:00.000Z",`, ``)},
		{"a request's own source member", definitionRecord(t), swap(`{`, `{"source":"crm","log_time":1,`)},
		{"times finer than a millisecond", definitionRecord(t), swap(`00:00:00.000Z`, `00:00:00.000999999Z`)},
	} {
		t.Run(c.name, func(t *testing.T) {
			want, err := event.Decode(c.record)
			if err != nil {
				t.Fatal(err)
			}
			r := c.record
			r.Headers = append([]event.Header(nil), r.Headers...)
			c.change(&r)
			got, err := event.Decode(r)
			if err != nil {
				t.Fatal(err)
			}
			if d, ok := want.Data.(event.CouponDefined); ok && c.name == "no opening" {
				d.OpensAt = got.Data.(event.CouponDefined).OpensAt
				want.Data = d
			}
			if got.Data != want.Data {
				t.Errorf("got %+v, want %+v", got.Data, want.Data)
			}
		})
	}
}

func TestDecode_TracingIsNeverInTheWay(t *testing.T) {
	r := claimRecord(t)
	setHeader(&r, "traceparent", "00-00000000000000000000000000000000-00f067aa0ba902b7-01")
	setHeader(&r, "ce_correlationid", "a\nb")
	e, err := event.Decode(r)
	if err != nil || e.TraceParent != "" || e.CorrelationID != "" {
		t.Fatalf("got %q, %q, %v", e.TraceParent, e.CorrelationID, err)
	}
}

// TestDecode_KeepsMeta: a dead letter's log line still tells which request it was.
func TestDecode_KeepsMeta(t *testing.T) {
	r := claimRecord(t)
	r.Value = nil
	e, err := event.Decode(r)
	if err == nil || e.Meta != requestMeta || e.Type != event.TypeClaimRequested || e.Data != nil {
		t.Fatalf("got %+v, %v", e, err)
	}
}

func TestDecode_UnreadableBatch(t *testing.T) {
	want := &event.DecodeError{Reason: event.ReasonTooLarge, Detail: "unpacks to more than 64 MiB"}
	if _, err := event.Decode(event.Record{Err: want}); err != error(want) {
		t.Fatalf("got %v", err)
	}
}

// TestDecode_Copies: fetchers use their buffers again.
func TestDecode_Copies(t *testing.T) {
	r := claimRecord(t)
	e, err := event.Decode(r)
	if err != nil {
		t.Fatal(err)
	}
	clear(r.Value)
	for _, h := range r.Headers {
		clear(h.Value)
	}
	if e.Data != any(aClaim()) || e.Meta != requestMeta || e.Subject != "blackfriday-2026" {
		t.Fatalf("the event changed with the buffer: %+v", e)
	}
}
