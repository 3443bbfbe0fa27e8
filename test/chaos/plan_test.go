package chaos

import (
	"reflect"
	"slices"
	"testing"
	"time"
)

func TestPlan(t *testing.T) {
	names := kindNames()
	var all []round
	for n := 1; n <= 20*len(names); n++ {
		r := plan(7, n, names)
		all = append(all, r)
		if again := plan(7, n, names); !reflect.DeepEqual(again, r) {
			t.Fatalf("round %d is %+v, and then %+v", n, r, again)
		}
		for _, s := range r.Strikes {
			if s.Lasts < s.Min || s.Lasts > s.Max || r.Traffic < r.Moment+s.Lasts+settle {
				t.Errorf("round %d: %s lasts %v, people arrive for %v", n, s.Name, s.Lasts, r.Traffic)
			}
		}
		if two := r.Kind == twoAtOnce; two != (len(r.Strikes) == 2) {
			t.Errorf("round %d, %s: %d faults", n, r.Kind, len(r.Strikes))
		} else if two && (r.Strikes[0].Target == r.Strikes[1].Target || r.Strikes[0].Quiet || r.Strikes[1].Quiet) {
			t.Errorf("round %d: %s and %s at once", n, r.Strikes[0].Name, r.Strikes[1].Name)
		}
		if r.Moment < time.Second || r.Moment >= 3*time.Second || r.HotShare <= 0 || r.HotShare >= 1 {
			t.Errorf("round %d: %+v", n, r)
		}
	}
	for deck := range slices.Chunk(all, len(names)) { // each kind once before any comes again
		kinds := map[string]bool{}
		for _, r := range deck {
			kinds[r.Kind] = true
		}
		if len(kinds) != len(names) {
			t.Errorf("rounds %d and on are of %d kinds, want %d", deck[0].Number, len(kinds), len(names))
		}
	}
	if other := plan(8, 1, names); other.Moment == all[0].Moment {
		t.Error("another seed, and the same moment")
	}
}

func TestKinds(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range allKinds {
		if seen[k.Name] || k.Target == "" || k.Min > k.Max {
			t.Errorf("%+v", k)
		}
		seen[k.Name] = true
	}
}
