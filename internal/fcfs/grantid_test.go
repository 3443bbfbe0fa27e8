package fcfs

import (
	"regexp"
	"sort"
	"strings"
	"testing"
)

var uuid8 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// The ids were computed by another program: offset<<80 | 8<<76 | partition<<64 | 2<<62 | SHA-256(topic)>>194, in Python.
func TestGrantID(t *testing.T) {
	for _, tt := range []struct {
		topic string
		s     Source
		want  string
	}{
		{"coupon.requests", Source{0, 0}, "00000000-0000-8000-a1d4-758a0fdf86de"},
		{"coupon.requests", Source{7, 123456789}, "0000075b-cd15-8007-a1d4-758a0fdf86de"},
		{"coupon.requests", Source{4095, 1<<48 - 1}, "ffffffff-ffff-8fff-a1d4-758a0fdf86de"},
		{"test1.coupon.requests", Source{7, 123456789}, "0000075b-cd15-8007-8fe8-2f26cd5a8bc4"},
	} {
		id := GrantID(tt.topic, tt.s)
		if id != tt.want {
			t.Errorf("%s %+v: %s, want %s", tt.topic, tt.s, id, tt.want)
		}
		if !uuid8.MatchString(id) {
			t.Errorf("%s is not a UUIDv8", id)
		}
		for _, spelled := range []string{id, strings.ToUpper(id)} {
			if s, hash, err := ParseGrantID(spelled); err != nil || s != tt.s || hash != TopicHash(tt.topic) {
				t.Errorf("%s turned back: %+v %x %v", spelled, s, hash, err)
			}
		}
	}
}

func TestGrantID_sortsWithTheLog(t *testing.T) {
	var ids []string
	for _, offset := range []int64{0, 1, 255, 256, 65535, 65536, 1 << 31, 1 << 40, 1<<48 - 1} {
		ids = append(ids, GrantID("coupon.requests", Source{12, offset}))
	}
	if !sort.StringsAreSorted(ids) {
		t.Errorf("not in the order of the log: %v", ids)
	}
}

func TestGrantID_misuse(t *testing.T) {
	for _, s := range []Source{{0, -1}, {0, 1 << 48}, {-1, 0}, {4096, 0}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%+v has an id", s)
				}
			}()
			GrantID("coupon.requests", s)
		}()
	}
}

func TestParseGrantID_refuses(t *testing.T) {
	good := GrantID("coupon.requests", Source{7, 123456789})
	for name, id := range map[string]string{
		"empty":         "",
		"random":        "f47ac10b-58cc-4372-a567-0e02b2c3d479",
		"version 7":     good[:14] + "7" + good[15:],
		"variant":       good[:19] + "c" + good[20:],
		"not hex":       "g" + good[1:],
		"braces":        "{" + good + "}",
		"urn":           "urn:uuid:" + good,
		"no dashes":     strings.ReplaceAll(good, "-", ""),
		"moved dash":    good[:7] + "-" + good[7:8] + good[9:],
		"one more":      good + "0",
		"spaces inside": good[:35] + " ",
	} {
		if s, _, err := ParseGrantID(id); err == nil {
			t.Errorf("%s: %q is taken as %+v", name, id, s)
		}
	}
}

func FuzzParseGrantID(f *testing.F) {
	f.Add(GrantID("coupon.requests", Source{7, 123456789}))
	f.Add("f47ac10b-58cc-4372-a567-0e02b2c3d479")
	f.Fuzz(func(t *testing.T, id string) {
		s, _, err := ParseGrantID(id)
		if err != nil {
			return
		}
		// The topic's hash cannot be turned back into a topic; the rest of the id must be what the source gives.
		if again := GrantID("", s); again[:19] != strings.ToLower(id[:19]) {
			t.Errorf("%q gives %+v, which gives %q", id, s, again)
		}
	})
}
