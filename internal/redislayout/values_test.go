package redislayout

import (
	"fmt"
	"strings"
	"testing"

	"github.com/firstcome/firstcome/internal/fcfs"
)

func TestValues(t *testing.T) {
	for _, tt := range []struct {
		value fmt.Stringer
		want  string
		parse func(string) (any, error)
	}{
		{Progress{41, 1795305600000, 1795305600001}, "41:1795305600000:1795305600001", parser(ParseProgress)},
		{Progress{-1, 0, 0}, "-1:0:0", parser(ParseProgress)},
		{Progress{1<<48 - 1, 0, fcfs.MaxTime}, "281474976710655:0:253402300799999", parser(ParseProgress)},
		{Progress{5, -1, 0}, "5:-1:0", parser(ParseProgress)}, // a CreateTime record without a time
		{Entry{1, 0}, "1:0", parser(ParseEntry)},
		{Entry{100000000, 281474976710655}, "100000000:281474976710655", parser(ParseEntry)},
		{Ticket{7, 42, 1795305600000}, "7:42:1795305600000", parser(ParseTicket)},
		{Ticket{4095, 0, 0}, "4095:0:0", parser(ParseTicket)},
		{Remembered{aHash, "", Ticket{7, 42, 1795305600000}}, aHash + ":7:42:1795305600000", parser(ParseRemembered)},
		{Remembered{aHash, "?6f", Ticket{}}, aHash + ":?6f", parser(ParseRemembered)},
	} {
		if got := tt.value.String(); got != tt.want {
			t.Errorf("%#v: %q, want %q", tt.value, got, tt.want)
		}
		if back, err := tt.parse(tt.want); err != nil || back != tt.value {
			t.Errorf("%q: %#v %v, want %#v", tt.want, back, err, tt.value)
		}
	}
}

const aHash = "00112233445566778899aabbccddeeff"

func parser[T any](parse func(string) (T, error)) func(string) (any, error) {
	return func(s string) (any, error) { return parse(s) }
}

func TestValues_refused(t *testing.T) {
	for _, value := range []string{
		"", ":", "1", "a:b", "1:2:3:4", "1:2:", ":1:2", "01:2:3", "+1:2:3", " 1:2:3", "1:2:3 ", "1.0:2:3", "-0:2:3",
		"9223372036854775808:0:0", "1:9223372036854775808:0", "?abc", "?1:2:3",
	} {
		if p, err := ParseProgress(value); err == nil {
			t.Errorf("%q is the progress %+v", value, p)
		}
		if tk, err := ParseTicket(value); err == nil {
			t.Errorf("%q is the ticket %+v", value, tk)
		}
		if e, err := ParseEntry(value); err == nil {
			t.Errorf("%q is the entry %+v", value, e)
		}
	}
	for _, value := range []string{
		"", ":", aHash, aHash + ":", aHash + ":?", aHash + ":6f", aHash + ":7:42", aHash + ":7:42:1:0", aHash + "7:42:1", "7:42:1", "?6f", ":?6f",
		aHash[1:] + ":?6f", aHash + "0:?6f", strings.ToUpper(aHash) + ":?6f", " " + aHash[1:] + ":?6f",
	} {
		if r, err := ParseRemembered(value); err == nil {
			t.Errorf("%q is remembered as %+v", value, r)
		}
	}
	if p, err := ParseProgress("-2:0:0"); err == nil {
		t.Errorf("progress %+v", p)
	}
	for _, value := range []string{"0:5", "-1:5", "1:-1", "1:2:3"} {
		if e, err := ParseEntry(value); err == nil {
			t.Errorf("%q is the entry %+v", value, e)
		}
	}
	for _, value := range []string{"-1:0:0", "2147483648:0:0", "0:-1:0", "1:2"} {
		if tk, err := ParseTicket(value); err == nil {
			t.Errorf("%q is the ticket %+v", value, tk)
		}
	}
}

func FuzzParseValues(f *testing.F) {
	f.Add("41:1795305600000:1795305600001")
	f.Add("1:0")
	f.Add("?token")
	f.Add(aHash + ":7:42:1795305600000")
	f.Add(aHash + ":?token")
	f.Fuzz(func(t *testing.T, value string) {
		if p, err := ParseProgress(value); err == nil && p.String() != value {
			t.Errorf("%q is the progress %q", value, p)
		}
		if tk, err := ParseTicket(value); err == nil && tk.String() != value {
			t.Errorf("%q is the ticket %q", value, tk)
		}
		if e, err := ParseEntry(value); err == nil && e.String() != value {
			t.Errorf("%q is the entry %q", value, e)
		}
		if r, err := ParseRemembered(value); err == nil && r.String() != value {
			t.Errorf("%q is remembered as %q", value, r)
		}
		if id, window, err := ParseRetireMember(value); err == nil && RetireMember(id, window) != value {
			t.Errorf("%q is window %q of %q", value, window, id)
		}
		if o, ok := ParseDefinitionField(value); ok && DefinitionField(o) != value {
			t.Errorf("%q is the definition at %d", value, o)
		}
	})
}
