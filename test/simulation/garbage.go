package simulation

import (
	"github.com/firstcome/firstcome/pkg/event"
)

// garbage writes a record that nobody can take, of every kind that there is.
func (w *World) garbage(p *place) {
	meta := w.meta()
	good := func(coupon string) event.Message {
		m, err := event.ClaimRequested{CouponID: coupon, UserID: "u0"}.Message(meta)
		if err != nil {
			panic(err)
		}
		return m
	}
	own := p.coupons[0]
	m, reason, kind := good(own), event.ReasonMalformed, ""
	switch w.rng.IntN(11) {
	case 0:
		w.unreadableBatch(p, meta)
		return
	case 1:
		m.Value = m.Value[:len(m.Value)-1]
	case 2:
		m.Value = nil
	case 3:
		m.Headers, reason = nil, event.ReasonNotCloudEvent
	case 4:
		m.Value, reason = []byte(`{"coupon_id":"`+own+`","user_id":""}`), event.ReasonInvalid
	case 5:
		m.Key, reason = []byte("another"), event.ReasonInvalid
	case 6, 9, 10:
		setType(&m, newerType)
		reason, kind = event.ReasonUnknownType, newerType
	case 7:
		setType(&m, event.TypeCouponDefined)
		m.Value, reason = []byte(`{"coupon_id":"`+own+`","limit":1,"window":"none","time_zone":"UTC","rules":2}`), event.ReasonUnsupportedRules
	case 8:
		m, reason = good(foreign(p.number, len(w.places))), event.ReasonWrongPartition
		if len(w.places) == 1 {
			return
		}
	}
	w.write(p, appended(m, w.clock.Time()), asked{refused: reason, kind: kind}, meta)
}

// unreadableBatch stands as one record for all its offsets, as the fetcher gives it.
func (w *World) unreadableBatch(p *place, meta event.Meta) {
	reason := event.ReasonMalformed
	if w.chance(2) {
		reason = event.ReasonTooLarge
	}
	r := event.Record{
		LastOffset: w.rng.Int64N(3), Time: w.clock.Time(), LogAppendTime: true, Value: []byte("bytes"),
		Err: &event.DecodeError{Reason: reason, Detail: "it cannot be read"},
	}
	w.write(p, r, asked{refused: reason}, meta)
}

func setType(m *event.Message, kind string) {
	for i := range m.Headers {
		if m.Headers[i].Key == "ce_type" {
			m.Headers[i].Value = []byte(kind)
		}
	}
}

// foreign is a coupon of another partition.
func foreign(p int32, partitions int) string {
	return couponsOf((p+1)%int32(partitions), partitions)[0]
}
