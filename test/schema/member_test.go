package schema

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/event/schema"
)

// written is what of a JSON Schema tells which members there are.
type written struct {
	Required   []string
	Properties map[string]written
}

func (w written) members() []string { return slices.Sorted(maps.Keys(w.Properties)) }

// TestMembers: what a Go type has, the schema names, and the other way round; and so do the golden records with the most.
func TestMembers(t *testing.T) {
	journalOnly := []string{"log_time", "requested_at", "source"}
	for name, c := range map[string]struct {
		goType  any
		without []string
	}{
		"v1/coupon.requests/claim.requested": {event.ClaimRequested{}, nil},
		"v1/coupon.requests/coupon.defined":  {event.CouponDefined{}, journalOnly},
		"v1/coupon.grants/coupon.defined":    {event.CouponDefined{}, nil},
		"v1/coupon.grants/coupon.granted":    {event.CouponGranted{}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			g := goldenNamed(t, name)
			var s written
			if err := json.Unmarshal(schema.Value(g.topic, g.header("ce_type")), &s); err != nil {
				t.Fatal(err)
			}
			fields := slices.DeleteFunc(members(reflect.TypeOf(c.goType)), func(m string) bool { return slices.Contains(c.without, m) })
			checkSame(t, "the Go type", fields, s.members())
			value := parse(t, []byte(g.Value))
			checkSame(t, "the golden value", slices.Sorted(maps.Keys(value)), s.members())
			if inner, ok := s.Properties["source"]; ok {
				checkSame(t, "event.Source", members(reflect.TypeFor[event.Source]()), inner.members())
				checkSame(t, "the golden source", slices.Sorted(maps.Keys(parse(t, value["source"]))), inner.members())
			}
		})
	}
}

// TestHeaderNames: the headers that the golden records with the most have are those that the schemas know.
func TestHeaderNames(t *testing.T) {
	for _, name := range []string{"v1/coupon.requests/claim.requested", "v1/coupon.grants/coupon.granted", "v1/coupon.dead-letters/dead-letter"} {
		g := goldenNamed(t, name)
		headers := slices.DeleteFunc(slices.Sorted(maps.Keys(g.headers())), func(h string) bool {
			return g.topic == event.TopicDeadLetters && !strings.HasPrefix(h, "fc_") // of the record that was refused
		})
		known := orderedMembers(t, schema.Headers(g.topic))
		slices.Sort(known)
		checkSame(t, name, headers, known)
	}
}

// TestRequired: what Go leaves out where it can is what no schema requires.
func TestRequired(t *testing.T) {
	for _, g := range readGoldens(t) {
		if !strings.HasSuffix(g.name, ".least") {
			continue
		}
		var s written
		if err := json.Unmarshal(schema.Value(g.topic, g.header("ce_type")), &s); err != nil {
			t.Fatal(err)
		}
		always := slices.Sorted(maps.Keys(parse(t, []byte(g.Value))))
		always = slices.DeleteFunc(always, func(m string) bool { return m == "rules" }) // Go writes it, others need not
		slices.Sort(s.Required)
		checkSame(t, g.name, always, s.Required)
	}
}

func checkSame(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s has %v, the schema %v", what, got, want)
	}
}

// members are the names of a type's fields as records have them: grant_id for GrantID.
func members(of reflect.Type) []string {
	var all []string
	for i := range of.NumField() {
		var b strings.Builder
		before := 'A'
		for _, c := range of.Field(i).Name {
			if unicode.IsUpper(c) && unicode.IsLower(before) {
				b.WriteByte('_')
			}
			b.WriteRune(unicode.ToLower(c))
			before = c
		}
		all = append(all, b.String())
	}
	slices.Sort(all)
	return all
}
