package coupontest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/firstcome/firstcome/pkg/event"
)

// RequireGranted fails the test unless each of the people has a grant among these.
func RequireGranted(t testing.TB, grants []event.CouponGranted, users ...string) {
	t.Helper()
	holders := map[string]bool{}
	for _, g := range grants {
		holders[g.UserID] = true
	}
	var without []string
	for _, user := range users {
		if !holders[user] {
			without = append(without, user)
		}
	}
	fail(t, fmt.Sprintf("%d of %d people have no grant among %d", len(without), len(users), len(grants)), without)
}

// RequireExactly fails the test unless the coupon has exactly n grants among these, their sequences are 1 to n, no two are
// one person's, and each is there once. A coupon with a window counts anew in each window, and n is the sum.
//
// A consumer may see a record again after a crash, so it can have a grant twice that the journal has once: by its Source it
// is told apart from a second grant.
func RequireExactly(t testing.TB, grants []event.CouponGranted, couponID string, n int) {
	t.Helper()
	windows := byWindow(grants, couponID)
	total := 0
	var wrong, sizes []string
	for _, of := range windows {
		total += len(of)
		sizes = append(sizes, fmt.Sprintf("%d in %s", len(of), of[0].Window))
		wrong = append(wrong, twice(of)...)
	}
	switch {
	case len(windows) == 0 && n > 0:
		wrong = append(wrong, fmt.Sprintf("none of %d is for this coupon", len(grants)))
	case len(windows) == 1:
		wrong = append(wrong, gaps(windows[0], int64(n))...)
	default:
		for _, of := range windows {
			wrong = append(wrong, gaps(of, int64(len(of)))...)
		}
		if total != n {
			wrong = append(wrong, "there are "+strings.Join(sizes, ", "))
		}
	}
	fail(t, fmt.Sprintf("%s has %d grants, want exactly %d", couponID, total, n), wrong)
}

// byWindow are the grants of a coupon, those of a window together, in the order of their sequences.
func byWindow(grants []event.CouponGranted, couponID string) [][]event.CouponGranted {
	of := map[string][]event.CouponGranted{}
	var names []string
	for _, g := range grants {
		if g.CouponID != couponID {
			continue
		}
		if of[g.Window] == nil {
			names = append(names, g.Window)
		}
		of[g.Window] = append(of[g.Window], g)
	}
	slices.Sort(names)
	windows := make([][]event.CouponGranted, len(names))
	for i, name := range names {
		windows[i] = of[name]
		slices.SortStableFunc(windows[i], func(a, b event.CouponGranted) int { return cmp.Compare(a.Sequence, b.Sequence) })
	}
	return windows
}

// twice says what a window has twice: a grant, a person, a sequence.
func twice(of []event.CouponGranted) []string {
	bySource, byUser, bySequence := map[event.Source]bool{}, map[string]event.CouponGranted{}, map[int64]event.CouponGranted{}
	var wrong []string
	for _, g := range of {
		if bySource[g.Source] {
			wrong = append(wrong, fmt.Sprintf("the grant of %s is there more than once: the same record, seen again", told(g)))
			continue
		}
		bySource[g.Source] = true
		if first, ok := byUser[g.UserID]; ok {
			wrong = append(wrong, fmt.Sprintf("one person has two: %s, and %s", told(first), told(g)))
		} else {
			byUser[g.UserID] = g
		}
		if first, ok := bySequence[g.Sequence]; ok {
			wrong = append(wrong, fmt.Sprintf("two have one sequence: %s, and %s", told(first), told(g)))
		} else {
			bySequence[g.Sequence] = g
		}
	}
	return wrong
}

// gaps says which sequences from 1 to last a window, in order, lacks, and which it has beyond.
func gaps(of []event.CouponGranted, last int64) []string {
	var wrong []string
	next, in := int64(1), ""
	if len(of) > 0 {
		in = inWindow(of[0])
	}
	missing := func(to int64) {
		switch {
		case next == to:
			wrong = append(wrong, fmt.Sprintf("sequence %d%s is missing", to, in))
		case next < to:
			wrong = append(wrong, fmt.Sprintf("sequences %d to %d%s are missing", next, to, in))
		}
	}
	for _, g := range of {
		missing(min(g.Sequence-1, last))
		next = max(next, g.Sequence+1)
		if g.Sequence < 1 || g.Sequence > last {
			wrong = append(wrong, "there should be none of "+told(g))
		}
	}
	missing(last)
	return wrong
}

// told names a grant: whose, which, and the request that led to it.
func told(g event.CouponGranted) string {
	return fmt.Sprintf("%s, sequence %d%s (request %d/%d)", g.UserID, g.Sequence, inWindow(g), g.Source.Partition, g.Source.Offset)
}

func inWindow(g event.CouponGranted) string {
	if g.Window == "" {
		return ""
	}
	return " of " + g.Window
}

const listed = 10 // differences that a failure names; more are no easier to read

// fail fails the test if anything is wrong.
func fail(t testing.TB, what string, wrong []string) {
	t.Helper()
	if len(wrong) == 0 {
		return
	}
	more := ""
	if len(wrong) > listed {
		more = fmt.Sprintf("\n  and %d more", len(wrong)-listed)
		wrong = wrong[:listed]
	}
	t.Fatalf("coupontest: %s:\n  %s%s", what, strings.Join(wrong, "\n  "), more)
}
