package schema

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/event/schema"
)

// TestEncodedIsValid: whatever Go writes, the schemas allow and Go reads back.
func TestEncodedIsValid(t *testing.T) {
	random := rand.New(rand.NewPCG(6, 4))
	for _, kind := range []struct {
		topic, eventType string
		make             func(*rand.Rand) any
	}{
		{event.TopicRequests, event.TypeClaimRequested, func(r *rand.Rand) any { return event.ClaimRequested{CouponID: couponID(r), UserID: userID(r)} }},
		{event.TopicRequests, event.TypeCouponDefined, func(r *rand.Rand) any { return definition(r) }},
		{event.TopicGrants, event.TypeCouponDefined, func(r *rand.Rand) any { return journalDefinition(r) }},
		{event.TopicGrants, event.TypeCouponGranted, func(r *rand.Rand) any { return grant(r) }},
	} {
		t.Run(kind.topic+"/"+kind.eventType, func(t *testing.T) {
			values, headers := compile(t, schema.Value(kind.topic, kind.eventType)), compile(t, schema.Headers(kind.topic))
			for range 2000 {
				data := kind.make(random)
				m := encode(t, data, random)
				if err := valid(values, m.Value); err != nil {
					t.Fatalf("%s: %v", m.Value, err)
				}
				if err := validHeaders(headers, headersOf(m)); err != nil {
					t.Fatalf("%v: %v", headersOf(m), err)
				}
				e, err := event.Decode(event.Record{Topic: kind.topic, Key: m.Key, Value: m.Value, Headers: m.Headers})
				if err != nil || !reflect.DeepEqual(e.Data, data) {
					t.Fatalf("%s\nread back %+v, %v\nwant      %+v", m.Value, e.Data, err, data)
				}
			}
		})
	}
}

func headersOf(m event.Message) map[string]string {
	of := map[string]string{}
	for _, h := range m.Headers {
		of[h.Key] = string(h.Value)
	}
	return of
}

func encode(t *testing.T, data any, r *rand.Rand) event.Message {
	t.Helper()
	meta := event.Meta{Source: "/crm"}
	if r.IntN(2) == 0 {
		meta.CorrelationID = strings.Repeat("~", 1+r.IntN(128))
	}
	var m event.Message
	var err error
	switch d := data.(type) {
	case event.ClaimRequested:
		m, err = d.Message(meta)
	case event.CouponDefined:
		if d.Source != nil {
			meta.ID, meta.Source = placeID(*d.Source), event.JournalSource("x.coupon.requests", d.Source.Partition)
		}
		m, err = d.Message(meta)
	case event.CouponGranted:
		meta.Source = event.JournalSource("x.coupon.requests", d.Source.Partition)
		m, err = d.Message(meta)
	}
	if err != nil {
		t.Fatalf("%+v: %v", data, err)
	}
	return m
}

func text(r *rand.Rand, alphabet string, least, most int) string {
	letters := []rune(alphabet)
	var b strings.Builder
	for range least + r.IntN(most-least+1) {
		b.WriteRune(letters[r.IntN(len(letters))])
	}
	return b.String()
}

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

func couponID(r *rand.Rand) string { return text(r, letters, 1, 1) + text(r, letters+".~", 0, 99) }

// userID has up to 50 characters of up to 4 bytes.
func userID(r *rand.Rand) string {
	return text(r, "aZ 7\"'\\/<>&지수é\u00a0\u2028\ufeff\ufffd😀", 1, 50)
}

// moment is any millisecond from least to the end of the year 9999.
func moment(r *rand.Rand, least int64) time.Time {
	end := time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	return time.UnixMilli(least + r.Int64N(end-least)).UTC()
}

func definition(r *rand.Rand) event.CouponDefined {
	d := event.CouponDefined{CouponID: couponID(r), Limit: 1 + r.Int64N(event.MaxLimit), Rules: event.RulesVersion,
		Window: []string{event.WindowNone, event.WindowDaily}[r.IntN(2)], TimeZone: []string{"UTC", "Asia/Seoul", strings.Repeat("z", 64)}[r.IntN(3)]}
	if r.IntN(2) == 0 {
		d.OpensAt = moment(r, 1)
	}
	if r.IntN(2) == 0 {
		least := max(d.OpensAt.UnixMilli(), 0) + 1
		d.ClosesAt = moment(r, least)
	}
	return d
}

func place(r *rand.Rand) event.Source {
	return event.Source{Partition: r.Int32N(4096), Offset: r.Int64N(1 << r.IntN(49))}
}

func journalDefinition(r *rand.Rand) event.CouponDefined {
	d, s := definition(r), place(r)
	d.Source, d.RequestedAt, d.LogTime = &s, moment(r, 0), moment(r, 0)
	return d
}

func grant(r *rand.Rand) event.CouponGranted {
	s, limit := place(r), 1+r.Int64N(event.MaxLimit)
	g := event.CouponGranted{GrantID: placeID(s), CouponID: couponID(r), UserID: userID(r), Sequence: 1 + r.Int64N(limit), Limit: limit,
		RequestedAt: moment(r, 0), LogTime: moment(r, 0), Source: s}
	if r.IntN(2) == 0 {
		g.Window = moment(r, 0).Format(time.DateOnly)
	}
	return g
}

// placeID is the UUIDv8 of a place, with a fixed hash of the topic.
func placeID(s event.Source) string {
	o := fmt.Sprintf("%012x", s.Offset)
	return fmt.Sprintf("%s-%s-8%03x-9a7b-0123456789ab", o[:8], o[8:], s.Partition)
}
