package schema

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/event/schema"
)

// object is a JSON object whose members are as they are written.
type object map[string]json.RawMessage

func (o object) text(t *testing.T) []byte {
	t.Helper()
	b, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func parse(t *testing.T, text []byte) object {
	t.Helper()
	var o object
	if err := json.Unmarshal(text, &o); err != nil {
		t.Fatal(err)
	}
	return o
}

// absent stands for a member that is taken out.
const absent = "absent"

// replacements is put in place of each member, one at a time.
func replacements() []string {
	all := []string{absent, "null", "true", "[]", "{}", `[1]`,
		"0", "-0", "-1", "1", "3", "4095", "4096", "99", "100000000", "100000001", "2147483647", "2147483648", "281474976710655", "281474976710656",
		"9223372036854775808", "1.0", "1e2", "1.5"}
	for _, s := range []string{"", " ", "a", "A-Z_0.9~", ".a", "~", "a b", "a/b", "a:b", "é", "none", "daily", "Daily", "UTC", "Local", "Asia/Seoul",
		"a\n", "a\x00", "\x7f", "\u0085", "\u2028", "\ufffd", "1",
		x(64), x(65), x(100), x(101), x(200), x(201), strings.Repeat("한", 22), strings.Repeat("한", 66), strings.Repeat("한", 67),
		"2026-11-22", "2026-2-1", "2026-02-30", "2024-02-29", "0000-01-01", "today",
		"2026-11-22T09:00:00Z", "2026-11-22t09:00:00.123456789z", "2026-11-22T18:00:00+09:00", "2026-11-22T09:00:00", "2026-11-22 09:00:00Z",
		"2026-11-22T09:00:00,5Z", "2026-11-22T9:00:00Z", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-11-22T24:00:00Z", "2026-11-22T09:00:00.Z",
		"2026-11-22T09:00:00+24:00", "2026-11-22T09:00:00+0900", "2016-12-31T23:59:60Z", "1969-12-31T23:59:59.999Z", "1970-01-01T00:00:00Z", "1970-01-01T00:00:00.001Z",
		"0000-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "0000-01-01T00:00:00+00:01", "9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59-00:01", "10000-01-01T00:00:00Z",
		"00000012-d687-8007-9a7b-0123456789ab", "00000012-D687-8007-9A7B-0123456789AB", "00000012-d687-4007-9a7b-0123456789ab", "00000012-d687-8007-1a7b-0123456789ab",
		"00000012d68780079a7b0123456789ab", "00000000-0001-8000-8000-000000000000", "ffffffff-ffff-8fff-bfff-ffffffffffff",
	} {
		quoted, err := json.Marshal(s)
		if err != nil {
			panic(err)
		}
		all = append(all, string(quoted))
	}
	return all
}

func x(n int) string { return strings.Repeat("x", n) }

// mutated calls with each change of a value: its name and the value.
func mutated(t *testing.T, value object, each func(name string, changed object)) {
	t.Helper()
	const later = "member_of_later" // that no version knows yet
	for _, member := range append(slices.Sorted(maps.Keys(value)), later) {
		for _, to := range replacements() {
			each(member+" "+to, replaced(value, member, to))
		}
	}
	if value["source"] == nil {
		return
	}
	inner := parse(t, value["source"])
	for _, member := range slices.Sorted(maps.Keys(inner)) {
		for _, to := range replacements() {
			each("source/"+member+" "+to, replaced(value, "source", string(replaced(inner, member, to).text(t))))
		}
	}
}

func replaced(o object, member, to string) object {
	o = maps.Clone(o)
	if o[member] = json.RawMessage(to); to == absent {
		delete(o, member)
	}
	return o
}

// carrying is a record with that value whose key and headers agree with it as far as they can.
func carrying(t *testing.T, g golden, value object) event.Record {
	t.Helper()
	r := g.record()
	set := func(name, text string) {
		for i := range r.Headers {
			if r.Headers[i].Key == name {
				r.Headers[i].Value = []byte(text)
			}
		}
	}
	var coupon, grantID string
	if json.Unmarshal(value["coupon_id"], &coupon) == nil && coupon != "" {
		r.Key = []byte(coupon)
		set("ce_subject", coupon)
	}
	var s event.Source
	if json.Unmarshal(value["source"], &s) == nil && string(value["source"]) != "null" && s.Offset >= 0 && s.Partition >= 0 {
		if id := fmt.Sprintf("%q", placeID(s)); value["grant_id"] != nil && s != (event.Source{Partition: 7, Offset: 1234567}) {
			value = replaced(value, "grant_id", id)
		}
		set("ce_id", placeID(s))
		set("ce_source", event.JournalSource(event.TopicRequests, s.Partition))
	}
	if json.Unmarshal(value["grant_id"], &grantID) == nil && grantID != "" {
		set("ce_id", grantID)
	}
	r.Value = value.text(t)
	return r
}

// TestSchemaAndReaderAgree: of every change of a good value, the schema refuses what the reader refuses, and the other way
// round, except for what is listed with its reason.
func TestSchemaAndReaderAgree(t *testing.T) {
	may := excepted()
	unused := maps.Clone(may)
	for _, g := range readGoldens(t) {
		if g.topic == event.TopicDeadLetters || strings.Contains(g.name, ".least") || strings.Contains(g.name, ".last") {
			continue
		}
		t.Run(g.name, func(t *testing.T) {
			s := compile(t, schema.Value(g.topic, g.header("ce_type")))
			changes := 0
			mutated(t, parse(t, []byte(g.Value)), func(name string, changed object) {
				changes++
				r := carrying(t, g, changed)
				_, byReader := event.Decode(r)
				bySchema := valid(s, r.Value)
				switch {
				case (byReader == nil) == (bySchema == nil):
				case bySchema == nil && may[name]:
					delete(unused, name)
				default:
					t.Errorf("%s\nthe reader says %v\nthe schema says %v", name, byReader, bySchema)
				}
			})
			if changes < 200 {
				t.Errorf("%d changes: that can't be all", changes)
			}
		})
	}
	for _, change := range slices.Sorted(maps.Keys(unused)) {
		t.Errorf("no exception any more: %s", change)
	}
}

// TestSchemaAndReaderAgree_Texts: the same of values that are no object with members, or are written strangely.
func TestSchemaAndReaderAgree_Texts(t *testing.T) {
	for _, c := range []struct {
		name, value           string
		readerTakes, schemaTo bool
	}{
		{"empty", ``, false, false},
		{"null", `null`, false, false},
		{"an array", `[{"coupon_id":"a","user_id":"1"}]`, false, false},
		{"a string", `"a"`, false, false},
		{"no members", `{}`, false, false},
		{"more behind it", `{"coupon_id":"a","user_id":"1"} {}`, false, false},
		{"another case", `{"coupon_id":"a","User_id":"1"}`, false, false},
		{"white space", " {\n\t\"coupon_id\" : \"a\" , \"user_id\" : \"1\" }\r\n", true, true},
		{"escapes", `{"coupon\u005fid":"\u0061","user_id":"\ud83d\ude00"}`, true, true},
		// JSON Schema speaks of what a text was read to: how it was written, validators can't see.
		{"a name twice", `{"coupon_id":"a","user_id":"2","user_id":"1"}`, false, true},
		{"a lone surrogate", `{"coupon_id":"a","user_id":"\ud83d"}`, false, true},
		{"no UTF-8", "{\"coupon_id\":\"a\",\"user_id\":\"\xff\"}", false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := golden{topic: event.TopicRequests, Key: "a", Value: c.value, Headers: []string{"ce_specversion: 1.0", "ce_id: 1", "ce_source: /crm",
				"ce_type: " + event.TypeClaimRequested, "content-type: application/json"}}
			if _, err := event.Decode(g.record()); (err == nil) != c.readerTakes {
				t.Errorf("the reader says %v", err)
			}
			if err := valid(compile(t, schema.Value(g.topic, event.TypeClaimRequested)), []byte(c.value)); (err == nil) != c.schemaTo {
				t.Errorf("the schema says %v", err)
			}
		})
	}
}
