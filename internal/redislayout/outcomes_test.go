package redislayout

import (
	"bytes"
	"encoding/hex"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/firstcome/firstcome/internal/fcfs"
)

func TestOutcomes(t *testing.T) {
	for _, tt := range []struct {
		name string
		o    Outcomes
		want string // hex
	}{
		{"one refusal", Outcomes{0, 0, []fcfs.Outcome{fcfs.SoldOut}, nil}, "01 00 00 03"},
		{"one grant", Outcomes{5, 5, []fcfs.Outcome{fcfs.Granted}, []int64{1}}, "01 05 00 01 01"},
		{"a batch with a gap", Outcomes{300, 304, []fcfs.Outcome{fcfs.Granted, fcfs.AlreadyIssued, fcfs.None, fcfs.Granted, fcfs.Created}, []int64{7, 300}},
			"01 ac02 04 01 02 00 01 08 07 ac02"},
		{"the last offset of all", Outcomes{math.MaxInt64, math.MaxInt64, []fcfs.Outcome{fcfs.Closed}, nil}, "01 ffffffffffffffff7f 00 05"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := unhex(t, tt.want)
			if got := tt.o.Encode(); !bytes.Equal(got, want) {
				t.Errorf("%x, want %x", got, want)
			}
			if back, err := DecodeOutcomes(want); err != nil || !reflect.DeepEqual(back, tt.o) {
				t.Errorf("decoded %+v %v", back, err)
			}
		})
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(string(bytes.ReplaceAll([]byte(s), []byte(" "), nil)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestOutcomes_All(t *testing.T) {
	o := Outcomes{10, 14, []fcfs.Outcome{fcfs.Granted, fcfs.None, fcfs.SoldOut, fcfs.Granted, fcfs.None}, []int64{3, 4}}
	got := map[int64]Decided{}
	for offset, d := range o.All() {
		got[offset] = d
	}
	want := map[int64]Decided{10: {fcfs.Granted, 3}, 12: {fcfs.SoldOut, 0}, 13: {fcfs.Granted, 4}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	for range o.All() {
		break // must not go on
	}
}

func TestOutcomes_random(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		o := Outcomes{First: rnd.Int64N(1 << 48), Outcomes: make([]fcfs.Outcome, 1+rnd.IntN(600))}
		o.Last = o.First + int64(len(o.Outcomes)) - 1
		for i := range o.Outcomes {
			if o.Outcomes[i] = fcfs.Outcome(rnd.IntN(int(fcfs.Retired) + 1)); o.Outcomes[i] == fcfs.Granted {
				o.Sequences = append(o.Sequences, 1+rnd.Int64N(fcfs.MaxLimit))
			}
		}
		if back, err := DecodeOutcomes(o.Encode()); err != nil || !reflect.DeepEqual(back, o) {
			t.Fatalf("%+v became %+v %v", o, back, err)
		}
	}
}

func TestDecodeOutcomes_refuses(t *testing.T) {
	for name, message := range map[string]string{
		"nothing":                             "",
		"another version":                     "02 00 00 03",
		"no offsets":                          "01",
		"no outcome":                          "01 00 00",
		"fewer outcomes than offsets":         "01 00 02 03 03",
		"more than a grant has":               "01 00 00 03 03",
		"an unknown outcome":                  "01 00 00 0c",
		"a grant without a sequence":          "01 00 00 01",
		"more sequences than grants":          "01 00 00 01 01 01",
		"sequence 0":                          "01 00 00 01 00",
		"a sequence cut short":                "01 00 00 01 80",
		"a number not in its shortest form":   "01 80 00 00 03",
		"an offset above int64":               "01 ffffffffffffffffff01 00 03",
		"a last offset above int64":           "01 ffffffffffffffff7f 01 03 03",
		"more offsets than memory could hold": "01 00 ffffffffffffffff7f 03",
	} {
		if o, err := DecodeOutcomes(unhex(t, message)); err == nil {
			t.Errorf("%s: %+v", name, o)
		}
	}
}

func TestOutcomes_Encode_misuse(t *testing.T) {
	for name, o := range map[string]Outcomes{
		"nothing":                {},
		"last before first":      {5, 4, nil, nil},
		"too few outcomes":       {5, 6, []fcfs.Outcome{fcfs.SoldOut}, nil},
		"a sequence too few":     {5, 5, []fcfs.Outcome{fcfs.Granted}, nil},
		"a sequence too many":    {5, 5, []fcfs.Outcome{fcfs.SoldOut}, []int64{1}},
		"sequence 0":             {5, 5, []fcfs.Outcome{fcfs.Granted}, []int64{0}},
		"an offset below 0":      {-1, -1, []fcfs.Outcome{fcfs.SoldOut}, nil},
		"an outcome off the end": {5, 5, []fcfs.Outcome{fcfs.Retired + 1}, nil},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: encoded", name)
				}
			}()
			o.Encode()
		}()
	}
}

func FuzzDecodeOutcomes(f *testing.F) {
	f.Add([]byte{1, 0xac, 2, 4, 1, 2, 0, 1, 8, 7, 0xac, 2})
	f.Add([]byte{1, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 3})
	f.Fuzz(func(t *testing.T, message []byte) {
		o, err := DecodeOutcomes(message)
		if err != nil {
			return
		}
		for range o.All() {
		}
		if again := o.Encode(); !bytes.Equal(again, message) {
			t.Errorf("%x is %+v, which is %x", message, o, again)
		}
	})
}
