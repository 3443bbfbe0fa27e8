package redislayout

import (
	"strings"
	"testing"

	"github.com/firstcome/firstcome/internal/fcfs"
)

func TestDefinition(t *testing.T) {
	for _, tt := range []struct {
		d    fcfs.Definition
		want string
	}{
		{fcfs.Definition{CouponID: "c", Limit: 100, Window: fcfs.WindowNone, TimeZone: "UTC", Rules: 1},
			`{"limit":100,"window":"none","time_zone":"UTC","rules":1}`},
		{fcfs.Definition{CouponID: "c", Limit: 1, Window: fcfs.WindowDaily, TimeZone: "Asia/Seoul", OpensAt: 1795305600000, ClosesAt: 1795392000000, Rules: 1},
			`{"limit":1,"window":"daily","time_zone":"Asia/Seoul","opens_at":1795305600000,"closes_at":1795392000000,"rules":1}`},
	} {
		if got := EncodeDefinition(tt.d); got != tt.want {
			t.Errorf("%s\nwant %s", got, tt.want)
		}
		if d, err := DecodeDefinition("c", tt.want); err != nil || d != tt.d {
			t.Errorf("%s: %+v %v", tt.want, d, err)
		}
	}
}

// What comes from Redis goes straight into the rules, so it must be valid.
func TestDecodeDefinition_refuses(t *testing.T) {
	for _, value := range []string{
		``, `null`, `{}`, `[]`, `{"limit":100,"window":"none","time_zone":"UTC","rules":1} x`,
		`{"limit":"100","window":"none","time_zone":"UTC","rules":1}`,
		`{"limit":0,"window":"none","time_zone":"UTC","rules":1}`,
		`{"limit":1,"window":"none","time_zone":"Local","rules":1}`,
		`{"limit":1,"window":"none","time_zone":"UTC","rules":2}`,
		`{"limit":1,"window":"none","time_zone":"UTC","closes_at":-1,"rules":1}`,
	} {
		if d, err := DecodeDefinition("spring", value); err == nil {
			t.Errorf("%s: %+v", value, d)
		} else if !strings.Contains(err.Error(), "coupon spring") {
			t.Errorf("%s: %v does not name the coupon", value, err)
		}
	}
}

func FuzzDecodeDefinition(f *testing.F) {
	f.Add(`{"limit":1,"window":"daily","time_zone":"Asia/Seoul","opens_at":1,"closes_at":2,"rules":1}`)
	f.Fuzz(func(t *testing.T, value string) {
		d, err := DecodeDefinition("c", value)
		if err != nil {
			return
		}
		d.WindowAt(1) // must not panic
		if again, err := DecodeDefinition("c", EncodeDefinition(d)); err != nil || again != d {
			t.Errorf("%s: %+v became %+v %v", value, d, again, err)
		}
	})
}

func TestInForce(t *testing.T) {
	limit := func(n int64) fcfs.Definition { return fcfs.Definition{Limit: n} }
	defs := map[int64]fcfs.Definition{3: limit(1), 10: limit(2), 7: limit(3)}
	for _, tt := range []struct{ offset, at, limit int64 }{{3, 3, 1}, {4, 3, 1}, {9, 7, 3}, {10, 10, 2}, {1 << 40, 10, 2}} {
		if d, at, ok := InForce(defs, tt.offset); !ok || at != tt.at || d.Limit != tt.limit {
			t.Errorf("at %d: %+v of %d, %v", tt.offset, d, at, ok)
		}
	}
	for _, none := range []map[int64]fcfs.Definition{defs, nil} {
		if d, _, ok := InForce(none, 2); ok {
			t.Errorf("before the first: %+v", d)
		}
	}
}
