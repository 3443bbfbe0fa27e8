package strategy

import (
	"fmt"
	"maps"
	"slices"
	"testing"
)

func TestCount(t *testing.T) {
	given := func(users ...string) (told []Told) {
		for _, user := range users {
			told = append(told, Told{UserID: user, Answer: Issued})
		}
		return told
	}
	refused := func(err error, users ...string) (told []Told) {
		for _, user := range users {
			told = append(told, Told{UserID: user, Err: fmt.Errorf("wrapped: %w", err)})
		}
		return told
	}
	for _, c := range []struct {
		name string
		sale Sale
		want map[Fault]int
	}{
		{"exact", Sale{2, []string{"ada", "bob"}, slices.Concat(given("ada", "bob"), refused(ErrExhausted, "eve"), refused(ErrAlreadyIssued, "ada")), []string{"bob", "ada", "eve"}}, nil},
		{"few came", Sale{9, []string{"ada"}, given("ada"), []string{"ada"}}, nil},
		{"answer lost", Sale{1, []string{"ada"}, refused(ErrAlreadyIssued, "ada"), []string{"ada"}}, nil},
		{"refused, and given one when the limit rose", Sale{1, []string{"ada"}, slices.Concat(refused(ErrExhausted, "ada"), given("ada")), []string{"ada"}}, nil},
		{"no such coupon", Sale{1, nil, refused(ErrCouponNotFound, "ada"), nil}, map[Fault]int{UnderIssue: 1}},
		{"three listed", Sale{2, []string{"ada", "bob", "eve"}, given("ada", "bob", "eve"), nil}, map[Fault]int{OverIssue: 1}},
		{"three told", Sale{2, []string{"ada", "bob"}, given("ada", "bob", "eve"), nil}, map[Fault]int{OverIssue: 1, Untrue: 1}},
		{"others listed than told", Sale{1, []string{"ada"}, given("bob"), nil}, map[Fault]int{OverIssue: 1, Untrue: 1}},
		{"listed and not told", Sale{1, []string{"ada", "bob"}, given("ada"), nil}, map[Fault]int{OverIssue: 1}},
		{"one left", Sale{2, []string{"ada"}, slices.Concat(given("ada"), refused(ErrExhausted, "bob", "eve")), nil}, map[Fault]int{UnderIssue: 1}},
		{"two left, one refused", Sale{3, []string{"ada"}, slices.Concat(given("ada"), refused(ErrExhausted, "bob")), nil}, map[Fault]int{UnderIssue: 1}},
		{"given twice", Sale{2, []string{"ada"}, given("ada", "ada", "ada"), nil}, map[Fault]int{Duplicate: 2}},
		{"listed twice", Sale{2, []string{"ada", "ada"}, given("ada"), nil}, map[Fault]int{Duplicate: 1}},
		{"overtaken", Sale{1, []string{"eve"}, slices.Concat(refused(ErrExhausted, "ada", "bob", "fay"), given("eve")), []string{"ada", "bob", "eve", "fay"}}, map[Fault]int{Inversion: 2}},
		{"told by a second request", Sale{1, []string{"bob"}, slices.Concat(refused(ErrAlreadyIssued, "ada"), given("bob")), nil}, map[Fault]int{Untrue: 1}},
		{"told that all are gone", Sale{1, []string{"ada"}, refused(ErrExhausted, "ada"), nil}, map[Fault]int{Untrue: 1}},
		{"told both", Sale{1, []string{"ada"}, slices.Concat(refused(ErrExhausted, "ada"), refused(ErrAlreadyIssued, "ada")), nil}, nil},
		{"waits for ever", Sale{2, []string{"bob"}, slices.Concat([]Told{{UserID: "ada", Answer: Accepted}}, refused(ErrNoClaim, "eve"), given("bob")), nil}, map[Fault]int{Lost: 2}},
	} {
		if got := Count(c.sale); !maps.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
