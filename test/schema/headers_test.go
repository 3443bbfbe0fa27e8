package schema

import (
	"testing"

	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/event/schema"
)

// A headerChange is one header of a good record, with another text.
type headerChange struct {
	header, text   string
	read, bySchema bool // whether the reader takes it, and the schema allows it
}

var headerChanges = map[string][]headerChange{
	"v1/coupon.requests/claim.requested": {
		{"ce_specversion", absent, false, false},
		{"ce_specversion", "1.1", false, false},
		{"ce_id", absent, false, false},
		{"ce_id", "", false, false},
		{"ce_id", "a\n", false, false},
		{"ce_id", "any text", true, true},
		{"ce_source", absent, false, false},
		{"ce_source", "", false, false},
		{"ce_source", "https://crm.example/feed", true, true},
		{"ce_source", "crm", true, true},
		{"ce_source", "%zz", true, false}, // no URI reference; nobody looks at it closely enough
		{"ce_type", absent, false, false},
		{"ce_type", event.TypeCouponGranted, false, false},
		{"ce_type", "com.example.order.placed", false, false},
		{"ce_type", event.TypeCouponDefined, false, true}, // the value is not one
		{"ce_subject", absent, true, true},
		{"ce_subject", "", false, false},
		{"ce_subject", "a b", false, false},
		{"ce_subject", "a", false, true}, // the value is about another coupon
		{"ce_time", absent, true, true},
		{"ce_time", "2026-11-22T18:00:00+09:00", true, true},
		{"ce_time", "2026-11-22", false, false},
		{"ce_time", "2016-12-31T23:59:60Z", false, true}, // a leap second
		{"content-type", absent, false, false},
		{"content-type", "Application/JSON ; charset=utf-8", true, true},
		{"content-type", "application/jsonp", false, false},
		{"content-type", "application/cloudevents+json", false, false},
		{"traceparent", absent, true, true},
		{"traceparent", "what is only for tracing never costs anyone a coupon", true, true},
		{"ce_correlationid", absent, true, true},
		{"ce_correlationid", x(129), true, true},
		{"of_later", "", true, true},
	},
	// The journal's schema says what is written there, for those who read; the reader takes it with less.
	"v1/coupon.grants/coupon.granted": {
		{"ce_specversion", absent, false, false},
		{"ce_specversion", "1.1", false, false},
		{"ce_id", absent, false, false},
		{"ce_id", "8f6f1c1e-6f0e-4b43-9c7a-0d9b3f6f1a11", false, false},
		{"ce_id", "00000012-d687-8008-9a7b-0123456789ab", false, true}, // that of another place than the value's source
		{"ce_source", absent, false, false},
		{"ce_source", "/coupon.requests/", false, false},
		{"ce_source", "/coupon.requests/07", false, false},
		{"ce_source", "/x.coupon.requests/7", true, true},
		{"ce_source", "/coupon.requests/8", false, true}, // likewise
		{"ce_source", "coupon.requests/7", true, false},
		{"ce_source", "/%zz/7", true, false}, // no URI reference
		{"ce_type", absent, false, false},
		{"ce_type", "", false, false},
		{"ce_type", "firstcome.coupon.exhausted", false, true}, // types may be added: unknown ones are passed over
		{"ce_subject", absent, true, false},
		{"ce_subject", "", false, false},
		{"ce_time", absent, true, false},
		{"ce_time", "2026-11-22", false, false},
		{"content-type", absent, false, false},
		{"content-type", "application/json; charset=utf-8", true, false},
		{"traceparent", absent, true, true},
		{"ce_correlationid", absent, true, true},
		{"ce_correlationid", x(129), true, false},
		{"ce_correlationid", "", true, false},
		{"ce_correlationid", "é", true, false},
		{"of_later", "", true, true},
	},
	"v1/coupon.dead-letters/dead-letter": {
		{"ce_id", absent, true, true},
		{"fc_topic", absent, false, false},
		{"fc_topic", "", false, false},
		{"fc_partition", absent, false, false},
		{"fc_partition", "-1", false, false},
		{"fc_partition", "007", false, false},
		{"fc_partition", "2147483648", false, true}, // 32 bits
		{"fc_offset", absent, false, false},
		{"fc_offset", "9223372036854775807", true, true},
		{"fc_offset", "9223372036854775808", false, true}, // 64 bits
		{"fc_offset", "12345678901234567890", false, false},
		{"fc_time", absent, false, false},
		{"fc_time", "-62167219200001", true, true},
		{"fc_time", "yesterday", false, false},
		{"fc_time", "2026-02-30T00:00:00Z", false, false},
		{"fc_reason", absent, false, false},
		{"fc_reason", "", false, false},
		{"fc_reason", "word_of_later", true, true},
		{"fc_detail", absent, true, false}, // always written
		{"fc_detail", "", true, true},
	},
}

func TestHeadersAndReaderAgree(t *testing.T) {
	for name, changes := range headerChanges {
		t.Run(name, func(t *testing.T) {
			g := goldenNamed(t, name)
			s := compile(t, schema.Headers(g.topic))
			for _, c := range changes {
				changed := g.headers()
				if changed[c.header] = c.text; c.text == absent {
					delete(changed, c.header)
				}
				if err := read(carryingHeaders(g, changed)); (err == nil) != c.read {
					t.Errorf("%s %q: the reader says %v", c.header, c.text, err)
				}
				if err := validHeaders(s, changed); (err == nil) != c.bySchema {
					t.Errorf("%s %q: the schema says %v", c.header, c.text, err)
				}
			}
		})
	}
}

func read(r event.Record) error {
	if r.Topic == event.TopicDeadLetters {
		_, err := event.ReadDeadLetter(r)
		return err
	}
	_, err := event.Decode(r)
	return err
}

func goldenNamed(t *testing.T, name string) golden {
	t.Helper()
	for _, g := range readGoldens(t) {
		if g.name == name {
			return g
		}
	}
	t.Fatalf("there is no golden record %s", name)
	return golden{}
}

func carryingHeaders(g golden, headers map[string]string) event.Record {
	r := g.record()
	r.Headers = nil
	for name, text := range headers {
		r.Headers = append(r.Headers, event.Header{Key: name, Value: []byte(text)})
	}
	return r
}
