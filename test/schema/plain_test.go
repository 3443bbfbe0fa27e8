package schema

import (
	"io/fs"
	"slices"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/firstcome/firstcome/pkg/event/schema"
)

// TestPlainValidators: by draft 2020-12 formats are notes, which many validators pass over. What is no object, no text or no
// time is refused all the same.
func TestPlainValidators(t *testing.T) {
	times := 0
	err := fs.WalkDir(schema.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(schema.FS(), path)
		if err != nil {
			return err
		}
		s, withFormats := compileWith(t, text, false), compile(t, text)
		for _, value := range []string{"null", "[]", `"text"`, "1"} {
			if valid(s, []byte(value)) == nil {
				t.Errorf("%s allows %s", path, value)
			}
		}
		for name, member := range s.Properties {
			for _, value := range []any{nil, true, 1.5, []any{}} {
				if member.Validate(value) == nil {
					t.Errorf("%s allows %s to be %v", path, name, value)
				}
			}
			if slices.Contains(texts, name) && member.Validate("a\n") == nil {
				t.Errorf("%s allows control characters in %s", path, name)
			}
			if !isTime(withFormats.Properties[name]) {
				continue
			}
			times++
			for _, value := range []string{"yesterday", "2026-11-22", "2026-11-22 09:00:00Z", "2026-11-22T09:00:00", "a2026-11-22T09:00:00Z", "2026-11-22T09:00:00Z\n"} {
				if member.Validate(value) == nil && !(name == "window" && value == "2026-11-22") {
					t.Errorf("%s allows %s to be %q", path, name, value)
				}
			}
		}
		return nil
	})
	if err != nil || times < 12 {
		t.Errorf("%d times, want 12: %v", times, err)
	}
}

// texts are members that have no control characters, whatever else is said of them.
var texts = []string{"ce_id", "ce_source", "ce_type", "ce_subject", "coupon_id", "user_id", "time_zone", "window"}

func isTime(s *jsonschema.Schema) bool {
	if s.Format != nil {
		return s.Format.Name == "date-time" || s.Format.Name == "date"
	}
	for _, one := range s.AnyOf {
		if isTime(one) {
			return true
		}
	}
	return false
}
