package partition_test

import (
	"testing"
	"time"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/issuer/partition"
)

func TestReadRequest(t *testing.T) {
	const partitions = 12
	own := event.Partition("c", partitions)
	at := time.UnixMilli(1_800_000_000_123).UTC()
	record := func(m event.Message, err error) event.Record {
		if err != nil {
			t.Fatal(err)
		}
		return event.Record{Topic: "x.coupon.requests", Partition: own, Offset: 7, LastOffset: 7, Time: at, Key: m.Key, Value: m.Value, Headers: m.Headers}
	}
	meta := event.Meta{Source: "/t", CorrelationID: "one", TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
	claim := record(event.ClaimRequested{CouponID: "c", UserID: "u"}.Message(meta))
	definition := record(event.CouponDefined{CouponID: "c", Limit: 3, Window: "daily", TimeZone: "Asia/Seoul", ClosesAt: at}.Message(meta))

	t.Run("claim", func(t *testing.T) {
		q := partition.ReadRequest(claim, partitions)
		if q.Offset != 7 || q.Last != 7 || q.Time != fcfs.FromTime(at) || q.CouponID != "c" || q.UserID != "u" || q.Refused != nil ||
			q.CorrelationID != meta.CorrelationID || q.TraceParent != meta.TraceParent {
			t.Errorf("%+v", q)
		}
	})
	t.Run("definition", func(t *testing.T) {
		q := partition.ReadRequest(definition, partitions)
		want := fcfs.Definition{CouponID: "c", Limit: 3, Window: "daily", TimeZone: "Asia/Seoul", ClosesAt: fcfs.FromTime(at), Rules: 1}
		if q.Definition == nil || *q.Definition != want || q.Refused != nil {
			t.Errorf("%+v", q)
		}
	})
	for _, c := range []struct {
		name   string
		change func(*event.Record)
		want   event.Reason
		last   int64
	}{
		{"another partition", func(r *event.Record) { r.Partition = own + 1 }, event.ReasonWrongPartition, 7},
		{"an unknown zone", func(r *event.Record) {
			*r = record(event.CouponDefined{CouponID: "c", Limit: 3, Window: "none", TimeZone: "Nowhere"}.Message(meta))
		}, event.ReasonInvalid, 7},
		{"no headers", func(r *event.Record) { r.Headers = nil }, event.ReasonNotCloudEvent, 7},
		{"another key: before the partition", func(r *event.Record) { r.Key = []byte("d"); r.Partition++ }, event.ReasonInvalid, 7},
		{"a batch that cannot be read", func(r *event.Record) {
			r.LastOffset = 99
			r.Err = &event.DecodeError{Reason: event.ReasonTooLarge, Detail: "unpacks to more than is read"}
		}, event.ReasonTooLarge, 99},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := claim
			c.change(&r)
			q := partition.ReadRequest(r, partitions)
			if q.Refused == nil || q.Refused.Reason != c.want || q.Last != c.last || q.CouponID != "" || q.Definition != nil {
				t.Errorf("%+v, refused %+v", q, q.Refused)
			}
		})
	}
	t.Run("a clock before 1970", func(t *testing.T) {
		r := claim
		r.Time = time.UnixMilli(-5)
		if q := partition.ReadRequest(r, partitions); q.Time != 1 {
			t.Errorf("time %d", q.Time)
		}
	})
}

// Whatever stands in the log, it is a claim or a definition that the rules can take, or refused for a reason.
func FuzzReadRequest(f *testing.F) {
	f.Add(event.TypeClaimRequested, []byte("c"), []byte(`{"coupon_id":"c","user_id":"u"}`), int64(7), int64(1_800_000_000_000))
	f.Add(event.TypeCouponDefined, []byte("c"), []byte(`{"coupon_id":"c","limit":1,"window":"daily","time_zone":"Asia/Seoul","closes_at":"2027-01-15T00:00:00Z"}`), int64(7), int64(0))
	f.Add(event.TypeCouponDefined, []byte("c"), []byte(`{"coupon_id":"c","limit":1,"window":"none","time_zone":"Local","rules":2}`), int64(7), int64(-1))
	f.Add("firstcome.coupon.stopped", []byte("c"), []byte(`{}`), int64(7), int64(1<<62))
	f.Fuzz(func(t *testing.T, kind string, key, value []byte, offset, ms int64) {
		r := event.Record{
			Topic: "coupon.requests", Partition: event.Partition(string(key), 12), Offset: offset, LastOffset: offset, Time: time.UnixMilli(ms), Key: key, Value: value,
			Headers: []event.Header{
				{Key: "ce_specversion", Value: []byte("1.0")}, {Key: "ce_id", Value: []byte("1")}, {Key: "ce_source", Value: []byte("/f")},
				{Key: "ce_type", Value: []byte(kind)}, {Key: "content-type", Value: []byte("application/json")},
			},
		}
		q := partition.ReadRequest(r, 12)
		if q.Offset != offset || q.Last != offset || q.Time < 1 || q.Time > fcfs.MaxTime {
			t.Errorf("%+v", q)
		}
		if q.Refused != nil {
			if q.Refused.Reason == "" || q.Refused.Detail == "" || q.Definition != nil || q.CouponID != "" || q.UserID != "" {
				t.Errorf("refused as %+v: %+v", q, q.Refused)
			}
			return
		}
		if q.CouponID != string(key) || (q.Definition == nil) != (q.UserID != "") || q.Definition != nil && len(q.Definition.Validate()) > 0 {
			t.Errorf("%+v", q)
		}
	})
}
