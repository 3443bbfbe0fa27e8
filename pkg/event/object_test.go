package event_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/firstcome/firstcome/pkg/event"
)

func TestParseObject_Syntax(t *testing.T) {
	for _, c := range []struct {
		text     string
		position int
		detail   string
	}{
		{``, 0, "expected an object"},
		{`"a"`, 0, "expected an object"},
		{`{`, 1, "expected a string"},
		{`{a:1}`, 1, "expected a string"},
		{`{'a':1}`, 1, "expected a string"},
		{`{"a"}`, 4, "expected a colon"},
		{`{"a":}`, 5, "expected a value"},
		{`{"a":`, 5, "expected a value"},
		{`{"a":1`, 6, "expected a comma"},
		{`{"a":1 2}`, 7, "expected a comma"},
		{`{"a":1,}`, 7, "expected a string"},
		{`{"a":1}x`, 7, "more after the object"},
		{"{}\x00", 2, "more after the object"},
		{`{"a":1,"a":1}`, 7, "duplicate name"},
		{`{"a":1,"\u0061":1}`, 7, "duplicate name"},
		{`{"a":[{"b":1,"b":1}]}`, 13, "duplicate name"},
		{`{"a":True}`, 5, "expected a value"},
		{`{"a":nul}`, 5, "expected a value"},
		{`{"a":NaN}`, 5, "expected a value"},
		{`{"a":+1}`, 5, "expected a value"},
		{`{"a":.5}`, 5, "expected a value"},
		{`{"a":-}`, 6, "expected a digit"},
		{`{"a":01}`, 5, "must not begin with 0"},
		{`{"a":-01}`, 6, "must not begin with 0"},
		{`{"a":1.}`, 7, "expected a digit"},
		{`{"a":1e}`, 7, "expected a digit"},
		{`{"a":1e+}`, 8, "expected a digit"},
		{`{"a":0x1}`, 6, "expected a comma"},
		{`{"a":[1,]}`, 8, "expected a value"},
		{`{"a":[1}`, 7, "end of the array"},
		{`{"a":"b}`, 8, "unterminated"},
		{`{"a":"\`, 7, "unterminated"},
		{`{"a":"\x"}`, 6, "unknown escape"},
		{`{"a":"\u00g0"}`, 6, "four hexadecimal"},
		{`{"a":"\u00`, 6, "four hexadecimal"},
		{`{"a":"\ud800"}`, 6, "lone surrogate"},
		{`{"a":"\udc00"}`, 6, "lone surrogate"},
		{`{"a":"x\ud800\ud800"}`, 7, "lone surrogate"},
		{`{"a":"\ud800\u0041"}`, 6, "lone surrogate"},
		{`{"\ud800":1}`, 2, "lone surrogate"},
		{"{\"a\":\"\n\"}", 6, "control character"},
		{"{\"a\":\"\xed\xa0\x80\"}", 6, "not UTF-8"},
		{"{\"a\":\"\ufffd\xc0\xaf\"}", 9, "not UTF-8"},
		{"{\"a\":1}\xff", 7, "not UTF-8"},
		{`{"a":1,/**/"b":1}`, 7, "expected a string"},
		{`{"a":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, 36, "too deeply nested"},
		{strings.Repeat(`{"a":`, 40) + `1` + strings.Repeat(`}`, 40), 160, "too deeply nested"},
	} {
		t.Run(c.text[:min(len(c.text), 30)], func(t *testing.T) {
			_, err := event.ParseObject([]byte(c.text))
			var syntax *event.SyntaxError
			if !errors.As(err, &syntax) || syntax.Position != c.position || !strings.Contains(syntax.Detail, c.detail) {
				t.Fatalf("got %v, want byte %d: %s", err, c.position, c.detail)
			}
		})
	}
}

func TestParseObject_DeepGarbage(t *testing.T) {
	for _, unit := range []string{"[", `{"a":`, `{"a":[`} {
		if _, err := event.ParseObject([]byte(`{"a":` + strings.Repeat(unit, 1<<20))); err == nil {
			t.Errorf("%q was taken", unit)
		}
	}
}

func TestParseObject_ManyMembers(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"first":1`)
	for i := range 200_000 {
		fmt.Fprintf(&b, `,"m%d":%d`, i, i)
	}
	o, err := event.ParseObject([]byte(b.String() + "}"))
	if err != nil {
		t.Fatal(err)
	}
	if n := o.Int("m199999", true, 0, 1e6); n != 199_999 || o.Int("first", true, 1, 1) != 1 || o.Errors() != nil {
		t.Errorf("got %d, %v", n, o.Errors())
	}
	for _, name := range []string{"first", "m3", "m100000"} {
		if _, err := event.ParseObject([]byte(b.String() + `,"` + name + `":1}`)); err == nil {
			t.Errorf("%s stands twice and was taken", name)
		}
	}
}

func TestObject_Reads(t *testing.T) {
	o, err := event.ParseObject([]byte(` {"s":"a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00é", "i":-12, "t":"2026-11-22T09:00:00.1239+09:00", "o":{"i":9223372036854775807}} `))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := o.String("s", true), "a\"\\/\b\f\n\r\té😀é"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := o.Int("i", true, -12, -12); got != -12 {
		t.Errorf("got %d", got)
	}
	if got, want := o.Time("t"), time.Date(2026, 11, 22, 0, 0, 0, 123_000_000, time.UTC); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := o.Object("o", true).Int("i", true, 0, 1<<63-1); got != 1<<63-1 {
		t.Errorf("got %d", got)
	}
	if o.String("absent", false) != "" || o.Int("absent", false, 1, 2) != 0 || !o.Time("absent").IsZero() || o.Has("absent") {
		t.Error("absent members are zero")
	}
	if o.Object("absent", false).String("x", true) != "" {
		t.Error("an absent object is empty")
	}
	if o.Unknown(); o.Errors() != nil {
		t.Errorf("got %v", o.Errors())
	}
}

func TestObject_Errors(t *testing.T) {
	o, err := event.ParseObject([]byte(`{"limit":1.0,"S":"x","s":null,"b":true,"o":{"i":"1","x/y~z %":1},"p":[],"t":"12:00","n":{"deep":1}}`))
	if err != nil {
		t.Fatal(err)
	}
	o.Int("limit", true, 1, 10)
	o.String("s", false)
	o.String("b", false)
	o.Object("o", true).Int("i", true, 0, 9)
	o.Object("p", true).Int("never said", true, 0, 9)
	o.Object("q", true).Fail("never said", "x")
	o.Time("t")
	o.Fail("b", "of the caller's own")
	o.Unknown()
	want := []event.FieldError{
		{"#/limit", "must be an integer, without fraction or exponent"},
		{"#/s", "must be a string"},
		{"#/b", "must be a string"},
		{"#/o/i", "must be an integer"},
		{"#/p", "must be an object"},
		{"#/q", "is required"},
		{"#/t", "must be a time of RFC 3339, such as 2026-11-22T09:00:00.000Z"},
		{"#/b", "of the caller's own"},
		{"#/S", "is not known"},
		{"#/o/x~1y~0z%20%25", "is not known"},
		{"#/n", "is not known"},
	}
	if got := o.Errors(); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestObject_Int(t *testing.T) {
	for text, ok := range map[string]bool{
		"1": true, "10": true, "0": false, "11": false, "-1": false, "1.0": false, "1e0": false, "1E1": false, "0.5": false,
		"9223372036854775808": false, "-9223372036854775809": false, `"1"`: false, "null": false, "true": false, "[1]": false, "{}": false,
	} {
		o, err := event.ParseObject([]byte(`{"n":` + text + `}`))
		if err != nil {
			t.Fatal(err)
		}
		if o.Int("n", true, 1, 10); (o.Errors() == nil) != ok {
			t.Errorf("%s: %v", text, o.Errors())
		}
	}
}

func TestObject_Time(t *testing.T) {
	for text, ok := range map[string]bool{
		"2026-11-22T09:00:00Z": true, "2026-11-22t09:00:00z": true, "2026-11-22T09:00:00.123456789-11:30": true,
		"2024-02-29T00:00:00Z": true, "2026-02-29T00:00:00Z": false, "2026-11-22": false, "2026-11-22 09:00:00Z": false,
		"2026-11-22T9:00:00Z": false, "2026-11-22T09:00:00,5Z": false, "2026-11-22T24:00:00Z": false, "2026-11-22T09:00:00+24:00": false,
		"2026-11-22T09:00:00": false, "2026-11-22T09:00:00.Z": false, "12026-11-22T09:00:00Z": false, "": false,
	} {
		o, err := event.ParseObject([]byte(`{"t":"` + text + `"}`))
		if err != nil {
			t.Fatal(err)
		}
		if at := o.Time("t"); (o.Errors() == nil) != ok || at.IsZero() == ok {
			t.Errorf("%q: %v, %v", text, at, o.Errors())
		}
	}
}
