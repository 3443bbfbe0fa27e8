package redislayout

import (
	"strings"
	"testing"
)

// The keys of design §4 and §5, letter by letter: operators and other programs read them too.
func TestKeys(t *testing.T) {
	k := New("fc", 7)
	for _, tt := range []struct{ got, want string }{
		{k.Progress(), "fc:{7}:progress"},
		{k.Coupons(), "fc:{7}:coupons"},
		{k.Retire(), "fc:{7}:retire"},
		{k.Coupon("spring"), "fc:{7}:coupon:spring"},
		{k.Granted("spring", "2026-11-22"), "fc:{7}:granted:spring:2026-11-22"},
		{k.Granted("spring", ""), "fc:{7}:granted:spring:"},
		{k.Outbox(), "fc:{7}:outbox"},
		{k.Guard("spring", "2026-11-22", "u1"), "fc:{7}:guard:spring:2026-11-22:u1"},
		{k.Guard("spring", "", "a:b"), "fc:{7}:guard:spring::a:b"},
		{k.Idempotency("0f"), "fc:{7}:idem:0f"},
		{k.Outcomes(), "fc:{7}:outcomes"},
		{New("fc", 4095).Progress(), "fc:{4095}:progress"},
		{New("test-1", 0).Progress(), "test-1:{0}:progress"},
		{FieldCurrent, "current"},
		{FieldLimit, "limit"},
		{FieldDefinitions, "definitions"},
		{FieldTotal, "total"},
		{GrantedField("2026-11-22"), "granted:2026-11-22"},
		{GrantedField(""), "granted:"},
		{DefinitionField(42), "def:42"},
		{RetireMember("spring", "2026-11-22"), "spring:2026-11-22"},
		{RetireMember("spring", ""), "spring:"},
	} {
		if tt.got != tt.want {
			t.Errorf("%q, want %q", tt.got, tt.want)
		}
	}
}

// All keys of a partition live in one slot: the first braces hold the partition, whatever comes after.
func TestKeys_oneSlot(t *testing.T) {
	k := New("fc", 7)
	for _, key := range []string{
		k.Progress(), k.Coupons(), k.Retire(), k.Coupon("c"), k.Granted("c", ""), k.Outbox(), k.Guard("c", "", "{8}"), k.Idempotency("{8}"),
	} {
		_, rest, _ := strings.Cut(key, "{")
		if tag, _, _ := strings.Cut(rest, "}"); tag != "7" {
			t.Errorf("%s has the hash tag %q", key, tag)
		}
	}
}

func TestParseRetireMember(t *testing.T) {
	for _, window := range []string{"", "2026-11-22"} {
		if id, w, err := ParseRetireMember(RetireMember("c~1", window)); id != "c~1" || w != window || err != nil {
			t.Errorf("window %q: %q %q %v", window, id, w, err)
		}
	}
	for _, member := range []string{"", "c", ":", ":2026-11-22", "c:2026-11-31", "c:2026-11-22:", "c::", "c: "} {
		if id, w, err := ParseRetireMember(member); err == nil {
			t.Errorf("%q: %q %q", member, id, w)
		}
	}
}

func TestParseFields(t *testing.T) {
	for _, window := range []string{"", "2026-11-22"} {
		if w, ok := ParseGrantedField(GrantedField(window)); w != window || !ok {
			t.Errorf("window %q: %q %v", window, w, ok)
		}
	}
	for _, offset := range []int64{0, 1, 1<<48 - 1} {
		if o, ok := ParseDefinitionField(DefinitionField(offset)); o != offset || !ok {
			t.Errorf("offset %d: %d %v", offset, o, ok)
		}
	}
	for _, field := range []string{"", "granted", "granted:today", "def", "def:", "def:-1", "def:01", "def:1:2", "def: 1", "limit", "total"} {
		if w, ok := ParseGrantedField(field); ok {
			t.Errorf("%q is the count of window %q", field, w)
		}
		if o, ok := ParseDefinitionField(field); ok {
			t.Errorf("%q is the definition at %d", field, o)
		}
	}
}
