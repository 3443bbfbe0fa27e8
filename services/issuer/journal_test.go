package issuer_test

import (
	"reflect"
	"testing"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/issuer"
)

// A fact survives the journal, and its record's id, source, times and headers are those of the design.
func TestFactMessage(t *testing.T) {
	const requests = "x.coupon.requests"
	source := fcfs.Source{Partition: 7, Offset: 1234}
	definition := fcfs.Definition{CouponID: "c", Limit: 5, Window: "daily", TimeZone: "Asia/Seoul", OpensAt: 1_800_000_000_001, Rules: 1}
	common := fcfs.Fact{
		Source: source, CorrelationID: "corr", TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		RequestedAt: 1_800_000_000_123, LogTime: 1_800_000_000_456,
	}
	defined, granted := common, common
	defined.Defined = &definition
	granted.Granted = &fcfs.GrantFact{CouponID: "c", UserID: `여"섯\`, Window: "2027-01-15", Sequence: 5, Limit: 5}
	granted.CorrelationID, granted.TraceParent = "", ""
	for name, f := range map[string]fcfs.Fact{"defined": defined, "granted": granted} {
		t.Run(name, func(t *testing.T) {
			m, err := issuer.FactMessage(requests, f)
			if err != nil {
				t.Fatal(err)
			}
			again, _ := issuer.FactMessage(requests, f)
			if !reflect.DeepEqual(m, again) {
				t.Error("made again it differs")
			}
			r := event.Record{Topic: "x.coupon.grants", Partition: 7, Key: m.Key, Value: m.Value, Headers: m.Headers, Time: m.Time}
			e, err := event.Decode(r)
			if err != nil {
				t.Fatal(err)
			}
			if e.ID != fcfs.GrantID(requests, source) || e.Source != "/x.coupon.requests/7" || fcfs.FromTime(e.Time) != f.RequestedAt || fcfs.FromTime(m.Time) != f.RequestedAt {
				t.Errorf("%+v at %v", e.Meta, m.Time)
			}
			got, err := issuer.ReadFact(r)
			if err != nil || !reflect.DeepEqual(got, f) {
				t.Errorf("read as %+v, %v", got, err)
			}
		})
	}
}

// Whatever stands in the journal, it is read as a fact that can be written again, or there is an error.
func FuzzReadFact(f *testing.F) {
	for _, fact := range []fcfs.Fact{
		{RequestedAt: 5, LogTime: 9, Defined: &fcfs.Definition{CouponID: "c", Limit: 5, Window: "daily", TimeZone: "Asia/Seoul", Rules: 1}},
		{RequestedAt: 5, LogTime: 9, Granted: &fcfs.GrantFact{CouponID: "c", UserID: "u", Window: "2027-01-15", Sequence: 5, Limit: 5}},
	} {
		fact.Source = fcfs.Source{Partition: 7, Offset: 1234}
		m, err := issuer.FactMessage("coupon.requests", fact)
		if err != nil {
			f.Fatal(err)
		}
		r := event.Record{Headers: m.Headers}
		f.Add(headerOf(r, "ce_type"), headerOf(r, "ce_id"), headerOf(r, "ce_source"), "c", m.Value)
		f.Add("firstcome.coupon.stopped", headerOf(r, "ce_id"), headerOf(r, "ce_source"), "c", m.Value)
	}
	f.Fuzz(func(t *testing.T, kind, id, source, key string, value []byte) {
		r := event.Record{Topic: "coupon.grants", Partition: 7, Key: []byte(key), Value: value, Headers: []event.Header{
			{Key: "ce_specversion", Value: []byte("1.0")}, {Key: "ce_id", Value: []byte(id)}, {Key: "ce_source", Value: []byte(source)},
			{Key: "ce_type", Value: []byte(kind)}, {Key: "ce_time", Value: []byte("2027-01-15T08:00:00.000Z")}, {Key: "content-type", Value: []byte("application/json")},
		}}
		fact, err := issuer.ReadFact(r)
		if err != nil {
			return
		}
		if (fact.Defined == nil) == (fact.Granted == nil) {
			t.Fatalf("read as %+v", fact)
		}
		m, err := issuer.FactMessage("coupon.requests", fact)
		if err != nil {
			t.Fatalf("%+v cannot be written: %v", fact, err)
		}
		again, err := issuer.ReadFact(event.Record{Topic: "coupon.grants", Partition: 7, Key: m.Key, Value: m.Value, Headers: m.Headers})
		if err != nil || !reflect.DeepEqual(again, fact) {
			t.Fatalf("%+v is written and read as %+v, %v", fact, again, err)
		}
	})
}

func headerOf(r event.Record, name string) string {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}
