package event_test

import (
	"testing"

	"github.com/firstcome/firstcome/pkg/event"
)

func TestSourceOf(t *testing.T) {
	m, err := aGrant().Message(journalMeta)
	good := consumed(event.TopicGrants, published(t, m, err))
	if s, ok := event.SourceOf(good); !ok || s != place {
		t.Fatalf("got %v, %v, want %v", s, ok, place)
	}
	for _, s := range []event.Source{{Partition: 0, Offset: 0}, {Partition: 4095, Offset: 1<<48 - 1}, {Partition: 10, Offset: 1 << 40}} {
		r := good
		setHeader(&r, "ce_id", placeID(s))
		setHeader(&r, "ce_source", event.JournalSource("it-7.coupon.requests", s.Partition))
		if got, ok := event.SourceOf(r); !ok || got != s {
			t.Errorf("got %v, %v, want %v", got, ok, s)
		}
	}
	for _, c := range []struct{ name, header, value string }{
		{"no UUID", "ce_id", "1"},
		{"a random UUID", "ce_id", requestMeta.ID},
		{"version 7", "ce_id", "00000012-d687-7007-9a7b-0123456789ab"},
		{"another variant", "ce_id", "00000012-d687-8007-ca7b-0123456789ab"},
		{"upper case", "ce_id", "00000012-D687-8007-9a7b-0123456789ab"},
		{"dash moved", "ce_id", "0000001-2d687-8007-9a7b-0123456789ab"},
		{"another partition", "ce_source", "/coupon.requests/8"},
		{"no partition", "ce_source", "/coupon.requests/"},
		{"no topic", "ce_source", "/7"},
		{"no slash", "ce_source", "7"},
		{"leading zero", "ce_source", "/coupon.requests/07"},
		{"beyond the partitions", "ce_source", "/coupon.requests/4103"},
		{"negative", "ce_source", "/coupon.requests/-7"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := good
			setHeader(&r, c.header, c.value)
			if s, ok := event.SourceOf(r); ok {
				t.Fatalf("took it for %v", s)
			}
		})
	}
	if _, ok := event.SourceOf(event.Record{}); ok {
		t.Error("took an empty record for one of the journal")
	}
}

func TestSourceOf_AllocatesNothing(t *testing.T) {
	m, err := aGrant().Message(journalMeta)
	r := consumed(event.TopicGrants, published(t, m, err))
	if n := testing.AllocsPerRun(1000, func() { event.SourceOf(r) }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func BenchmarkSourceOf(b *testing.B) {
	m, err := aGrant().Message(journalMeta)
	r := consumed(event.TopicGrants, published(b, m, err))
	b.ReportAllocs()
	for b.Loop() {
		event.SourceOf(r)
	}
}

func BenchmarkDecode(b *testing.B) {
	m, err := event.ClaimRequested{CouponID: "blackfriday-2026", UserID: "user-0000012345"}.Message(requestMeta)
	claim := consumed(event.TopicRequests, published(b, m, err))
	m, err = aGrant().Message(journalMeta)
	grant := consumed(event.TopicGrants, published(b, m, err))
	for _, c := range []struct {
		name   string
		record event.Record
	}{{"claim", claim}, {"grant", grant}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := event.Decode(c.record); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkMessage(b *testing.B) {
	g := aGrant()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := g.Message(journalMeta); err != nil {
			b.Fatal(err)
		}
	}
}
