package fcfs

import (
	"strconv"
	"testing"
)

func BenchmarkAdmit(b *testing.B) {
	d := daily("Asia/Seoul")
	now := Millis(20_000) * day
	for b.Loop() {
		d.Admit(now, now)
	}
}

func BenchmarkDayEnd(b *testing.B) {
	d := daily("America/New_York")
	for b.Loop() {
		d.DayEnd("2028-11-05")
	}
}

func BenchmarkGrantID(b *testing.B) {
	for b.Loop() {
		GrantID("coupon.requests", Source{7, 123456789})
	}
}

func BenchmarkLog_Claim(b *testing.B) {
	l := NewLog(0)
	l.Define(0, 1, Definition{CouponID: "c", Limit: MaxLimit, Window: WindowNone, TimeZone: "UTC", Rules: 1})
	offset := int64(0)
	for b.Loop() {
		offset++
		l.Claim(offset, 1, "c", strconv.FormatInt(offset, 10))
	}
}
