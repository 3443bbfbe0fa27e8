package gateway

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/services/gateway/verdict"
)

func sealerOf(t testing.TB, list string) *sealer {
	t.Helper()
	s, err := newSealer(list)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var someTicket = verdict.Ticket{Partition: 7, Offset: 123456789, AppendTime: 1795500000123, CouponID: "lucky-box-405", UserID: "사용자 1"}

func TestSealer_Rotation(t *testing.T) {
	old := sealerOf(t, "1="+testKey('a'))
	both := sealerOf(t, "2="+testKey('b')+", 1="+testKey('a'))
	only2 := sealerOf(t, "2="+testKey('b'))
	id := old.Seal(someTicket)
	if got, err := both.Open(id); err != nil || got != someTicket {
		t.Errorf("after the rotation the old id opens as %+v, %v", got, err)
	}
	if _, err := only2.Open(id); err == nil {
		t.Error("an id opens without its key")
	}
	if got, err := only2.Open(both.Seal(someTicket)); err != nil || got != someTicket {
		t.Errorf("the first key does not seal: %+v, %v", got, err)
	}
	other := sealerOf(t, "1="+testKey('c'))
	if _, err := other.Open(id); err == nil {
		t.Error("an id opens under another key of the same number")
	}
}

func TestSealer_OneClaimOneID(t *testing.T) {
	a, b := sealerOf(t, "1="+testKey('a')), sealerOf(t, "1="+testKey('a'))
	if a.Seal(someTicket) != b.Seal(someTicket) {
		t.Error("two gateways give one claim two ids")
	}
	seen := map[string]verdict.Ticket{}
	for _, change := range []func(*verdict.Ticket){
		func(*verdict.Ticket) {},
		func(t *verdict.Ticket) { t.Partition++ },
		func(t *verdict.Ticket) { t.Offset++ },
		func(t *verdict.Ticket) { t.AppendTime++ },
		func(t *verdict.Ticket) { t.CouponID, t.UserID = "lucky-box-40", "5사용자 1" },
		func(t *verdict.Ticket) { t.UserID += " " },
	} {
		x := someTicket
		change(&x)
		id := a.Seal(x)
		if other, taken := seen[id]; taken {
			t.Errorf("%+v and %+v have the same id", x, other)
		}
		seen[id] = x
		if raw, _ := base64.RawURLEncoding.DecodeString(id); strings.Contains(string(raw), x.CouponID) {
			t.Error("the id shows what is in it")
		}
	}
}

func TestSealer_EveryBitCounts(t *testing.T) {
	s := sealerOf(t, "1="+testKey('a')+",0="+testKey('b')+",3="+testKey('c'))
	raw, err := base64.RawURLEncoding.DecodeString(s.Seal(someTicket))
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		for bit := range 8 {
			raw[i] ^= 1 << bit
			if got, err := s.Open(base64.RawURLEncoding.EncodeToString(raw)); err == nil {
				t.Fatalf("opens with bit %d of byte %d turned, as %+v", bit, i, got)
			}
			raw[i] ^= 1 << bit
		}
	}
}

func TestSealer_Forged(t *testing.T) {
	s := sealerOf(t, "1="+testKey('a'))
	id := s.Seal(someTicket)
	for name, forged := range map[string]string{
		"empty": "", "dot": ".", "short": id[:20], "cut": id[:len(id)-1], "longer": id + "A", "padded": id + "=",
		"newline": id[:10] + "\n" + id[10:], "standard base64": strings.NewReplacer("-", "+", "_", "/").Replace(id) + "+",
		"huge": strings.Repeat("A", 1<<20), "not base64": "!!!!" + id[4:],
	} {
		if got, err := s.Open(forged); err == nil {
			t.Errorf("%s: opens as %+v", name, got)
		}
	}
}

func TestNewSealer_Problems(t *testing.T) {
	good := testKey('a')
	for name, list := range map[string]string{
		"empty": "", "no number": good, "negative": "-1=" + good, "too high": "256=" + good,
		"short key": "1=" + base64.StdEncoding.EncodeToString(make([]byte, 31)), "not base64": "1=?", "twice": "1=" + good + ",1=" + good,
		"one bad of two": "1=" + good + ",2=x",
	} {
		_, err := newSealer(list)
		if err == nil {
			t.Errorf("%s: no error", name)
		} else if strings.Contains(err.Error(), good) {
			t.Errorf("%s: the error tells the key: %v", name, err)
		}
	}
}

func FuzzClaimID(f *testing.F) {
	s := sealerOf(f, "1="+testKey('a'))
	f.Add(s.Seal(someTicket), int32(0), int64(0), int64(0), "c", "u")
	f.Add("", int32(4095), int64(1<<48-1), int64(fcfs.MaxTime), strings.Repeat("c", 100), strings.Repeat("\xff", 200))
	f.Fuzz(func(t *testing.T, id string, partition int32, offset, appended int64, coupon, user string) {
		if got, err := s.Open(id); err == nil && s.Seal(got) != id {
			t.Fatalf("%q opens as %+v, whose id is another", id, got)
		}
		x := verdict.Ticket{Partition: partition, Offset: offset, AppendTime: fcfs.Millis(appended), CouponID: coupon, UserID: user}
		possible := partition >= 0 && partition < fcfs.MaxPartitions && offset >= 0 && offset < 1<<48 &&
			appended >= 0 && appended <= int64(fcfs.MaxTime) && coupon != "" && len(coupon) <= 100 && user != "" && len(user) <= 200
		if got, err := s.Open(s.Seal(x)); possible && (err != nil || got != x) {
			t.Fatalf("%+v comes back as %+v, %v", x, got, err)
		}
	})
}

func FuzzTicket(f *testing.F) {
	f.Add(encodeTicket(someTicket))
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := decodeTicket(b); err == nil && string(encodeTicket(got)) != string(b) {
			t.Fatalf("%x reads as %+v, which is written otherwise", b, got)
		}
	})
}
