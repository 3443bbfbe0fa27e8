package event_test

import (
	"errors"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/firstcome/firstcome/pkg/event"
)

func TestCheckCouponID(t *testing.T) {
	for _, id := range []string{"a", "Z", "0", "_", "-", "a.b~c", "-.~", strings.Repeat("x", 100)} {
		if err := event.CheckCouponID(id); err != nil {
			t.Errorf("%q: %v", id, err)
		}
	}
	for _, id := range []string{"", ".", "~a", "a b", "a/b", "a:b", "a{b}", "é", "a\n", "a\x00", strings.Repeat("x", 101)} {
		if event.CheckCouponID(id) == nil {
			t.Errorf("%q was taken", id)
		}
	}
}

func TestCheckUserID(t *testing.T) {
	for _, id := range []string{"1", " ", "지수", "a\u200db", "e\u0301", strings.Repeat("x", 200), "\ufffd"} {
		if err := event.CheckUserID(id); err != nil {
			t.Errorf("%q: %v", id, err)
		}
	}
	for _, id := range []string{"", strings.Repeat("x", 201), strings.Repeat("한", 67), "a\x00", "a\n", "\x7f", "\u0085", "\xff", "\xed\xa0\x80"} {
		if event.CheckUserID(id) == nil {
			t.Errorf("%q was taken", id)
		}
	}
}

func TestMessage_Defaults(t *testing.T) {
	before := time.Now().Add(-time.Millisecond)
	m, err := aClaim().Message(event.Meta{Source: "/crm"})
	e, err := event.Decode(consumed(event.TopicRequests, published(t, m, err)))
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(e.ID) {
		t.Errorf("id %q", e.ID)
	}
	if e.Time.Before(before) || e.Time.After(time.Now()) || !m.Time.Equal(e.Time) {
		t.Errorf("ce_time %v, timestamp %v", e.Time, m.Time)
	}
	again, _ := aClaim().Message(event.Meta{Source: "/crm"})
	if reflect.DeepEqual(m.Headers, again.Headers) {
		t.Error("two records with one id")
	}
	d := aDefinition()
	d.Rules = 0
	if zero, err := d.Message(requestMeta); err != nil || !reflect.DeepEqual(zero, message(t, event.Event{Meta: requestMeta, Data: aDefinition()})) {
		t.Errorf("rules 0 must be written as 1: %s, %v", zero.Value, err)
	}
}

// TestMessage_JournalTimes: made again from the outbox, a journal record is the same whatever the clock says.
func TestMessage_JournalTimes(t *testing.T) {
	meta := journalMeta
	meta.Time = time.Now()
	for _, data := range []any{aGrant(), aJournalDefinition()} {
		m := message(t, event.Event{Meta: meta, Data: data})
		if !m.Time.Equal(requestedAt) || headersOf(m)["ce_time"] != "2026-11-22T09:00:00.123Z" {
			t.Errorf("timestamp %v, ce_time %s", m.Time, headersOf(m)["ce_time"])
		}
	}
	// An append time of 0 (a CreateTime topic, a producer without a clock) is not "now".
	g := aGrant()
	g.RequestedAt, g.LogTime = time.Time{}, time.Time{}
	m := message(t, event.Event{Meta: journalMeta, Data: g})
	e, err := event.Decode(consumed(event.TopicGrants, m))
	if err != nil || m.Time.IsZero() || m.Time.UnixMilli() != 0 || e.Data.(event.CouponGranted).RequestedAt.UnixMilli() != 0 {
		t.Errorf("timestamp %v, %+v, %v", m.Time, e, err)
	}
}

func TestMessage_Refuses(t *testing.T) {
	journal := func(change func(*event.CouponGranted)) func() error {
		return func() error {
			g := aGrant()
			change(&g)
			_, err := g.Message(journalMeta)
			return err
		}
	}
	definition := func(change func(*event.CouponDefined)) func() error {
		return func() error {
			d := aDefinition()
			change(&d)
			_, err := d.Message(requestMeta)
			return err
		}
	}
	meta := func(change func(*event.Meta)) func() error {
		return func() error {
			m := requestMeta
			change(&m)
			_, err := aClaim().Message(m)
			return err
		}
	}
	for name, refused := range map[string]func() error{
		"limit 0":                               definition(func(d *event.CouponDefined) { d.Limit = 0 }),
		"limit above":                           definition(func(d *event.CouponDefined) { d.Limit = event.MaxLimit + 1 }),
		"no window":                             definition(func(d *event.CouponDefined) { d.Window = "" }),
		"no time zone":                          definition(func(d *event.CouponDefined) { d.TimeZone = "" }),
		"time zone Local":                       definition(func(d *event.CouponDefined) { d.TimeZone = "Local" }),
		"closing before opening":                definition(func(d *event.CouponDefined) { d.ClosesAt = d.OpensAt }),
		"closing less than a millisecond later": definition(func(d *event.CouponDefined) { d.ClosesAt = d.OpensAt.Add(999 * time.Microsecond) }),
		"opening before 1970":                   definition(func(d *event.CouponDefined) { d.OpensAt = time.UnixMilli(-1) }),
		"opening at 1970":                       definition(func(d *event.CouponDefined) { d.OpensAt = time.UnixMilli(0) }),
		"closing in the year 10000":             definition(func(d *event.CouponDefined) { d.ClosesAt = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }),
		"rules 2":                               definition(func(d *event.CouponDefined) { d.Rules = 2 }),
		"journal without its id":                definition(func(d *event.CouponDefined) { d.Source = &event.Source{Partition: 7, Offset: 1} }),
		"journal with the id of another place": func() error {
			d := aJournalDefinition()
			d.Source.Offset++
			_, err := d.Message(journalMeta)
			return err
		},
		"journal from another partition": func() error {
			m := journalMeta
			m.Source = event.JournalSource(event.TopicRequests, 8)
			_, err := aGrant().Message(m)
			return err
		},
		"another grant id":             journal(func(g *event.CouponGranted) { g.GrantID = requestMeta.ID }),
		"a grant id with another hash": journal(func(g *event.CouponGranted) { g.GrantID = strings.Replace(g.GrantID, "456789", "000000", 1) }),
		"another source":               journal(func(g *event.CouponGranted) { g.Source.Offset++ }),
		"sequence above the limit":     journal(func(g *event.CouponGranted) { g.Sequence = g.Limit + 1 }),
		"user with a line break":       journal(func(g *event.CouponGranted) { g.UserID = "a\n" }),
		"window no day":                journal(func(g *event.CouponGranted) { g.Window = "today" }),
		"requested in the year 1e6":    journal(func(g *event.CouponGranted) { g.RequestedAt = time.UnixMilli(1 << 50) }),
		"no source":                    meta(func(m *event.Meta) { m.Source = "" }),
		"id with a line break":         meta(func(m *event.Meta) { m.ID = "a\r\n" }),
		"traceparent without a form":   meta(func(m *event.Meta) { m.TraceParent = "x" }),
		"correlation id too long":      meta(func(m *event.Meta) { m.CorrelationID = strings.Repeat("x", 129) }),
		"time in the year 10000":       meta(func(m *event.Meta) { m.Time = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }),
	} {
		if refused() == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// TestMessage_FieldErrors: all that is wrong, in one error that callers can show member by member.
func TestMessage_FieldErrors(t *testing.T) {
	_, err := event.CouponDefined{CouponID: "a"}.Message(requestMeta)
	var errs event.FieldErrors
	if !errors.As(err, &errs) || len(errs) != 3 || errs[0].Pointer != "#/limit" {
		t.Fatalf("got %v", err)
	}
}
