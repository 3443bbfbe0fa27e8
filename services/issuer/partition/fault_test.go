package partition_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/firstcome/firstcome/services/issuer/partition"
	"github.com/firstcome/firstcome/services/issuer/partition/partitiontest"
)

var began = time.Unix(1_800_000_000, 0)

// world is one whose first half was decided by a former owner, who crashed while the last of it was on its way.
func world(t *testing.T, seed uint64, prepare func(*partitiontest.World)) (*partitiontest.World, *partitiontest.Owner) {
	t.Helper()
	w := partitiontest.NewWorld(0)
	history := partitiontest.RandomHistory(rand.New(rand.NewPCG(seed, 1)), 24)
	cfg := partition.Config{MaxBatch: 3, MaxEmit: 2, CommitEvery: time.Millisecond}
	for _, q := range history[:12] {
		w.Append(0, q)
	}
	o := partitiontest.NewOwner(w, 0, cfg)
	if _, settled := o.Settle(began, nil); !settled {
		t.Fatal("the first half is never done", o.StoppedFor())
	}
	for _, q := range history[12:16] {
		w.Append(0, q)
	}
	for !o.Crashed {
		o.Step(began.Add(time.Minute))
		for len(o.Pending) > 0 && !o.Crashed {
			fault := partitiontest.None
			if o.Pending[0].Kind == partition.Emit || w.Store.Progress().Offset == w.End-1 {
				fault = partitiontest.CrashBefore
			}
			o.Do(0, fault)
		}
		for o.Results() > 0 && !o.Crashed {
			o.Deliver(0)
		}
	}
	for _, q := range history[16:] {
		w.Append(1, q)
	}
	if prepare != nil {
		prepare(w)
	}
	return w, partitiontest.NewOwner(w, 1, cfg)
}

var beginnings = map[string]func(*partitiontest.World){
	"crashed":           nil,
	"emptied":           func(w *partitiontest.World) { w.Store.Empty() },
	"cut and emptied":   func(w *partitiontest.World) { w.Drop(w.Committed.Offset); w.Store.Empty() },
	"cut below a crash": func(w *partitiontest.World) { w.Drop(w.Committed.Offset) },
}

// Each action of the way from every beginning fails twice, once before and once after it took effect, and the process
// crashes before and after it; emissions also land in part and late.
func TestMachine_EachActionFails(t *testing.T) {
	faults := []partitiontest.Fault{
		partitiontest.FailBefore, partitiontest.FailAfter, partitiontest.CrashBefore, partitiontest.CrashAfter,
		partitiontest.LandPart, partitiontest.LandLate,
	}
	forEachAction(t, func(t *testing.T, begin func() (*partitiontest.World, *partitiontest.Owner), at int) bool {
		reached := false
		for _, f := range faults {
			w, o := begin()
			_, settled := o.Settle(began.Add(time.Hour), func(number int, a partition.Action) partitiontest.Fault {
				if number != at || (f >= partitiontest.LandPart && a.Kind != partition.Emit) {
					return partitiontest.None
				}
				reached = true
				return f
			})
			verify(t, w, o, settled, fmt.Sprintf("action %d, fault %d", at, f))
		}
		return reached
	})
}

// Before each action Redis is emptied, or rewound to what it was at the beginning; once and at each action from there on
// that writes.
func TestMachine_RedisLost(t *testing.T) {
	forEachAction(t, func(t *testing.T, begin func() (*partitiontest.World, *partitiontest.Owner), at int) bool {
		reached := false
		for _, how := range []string{"emptied", "rewound", "emptied thrice", "emptied and taken over"} {
			w, o := begin()
			saved := w.Store.Save()
			left := map[string]int{"emptied thrice": 3}[how]
			_, settled := o.Settle(began.Add(time.Hour), func(number int, a partition.Action) partitiontest.Fault {
				writes := a.Kind == partition.Decide || a.Kind == partition.RestoreFacts
				switch {
				case number == at && how == "rewound":
					w.Store.Rewind(saved)
				case number == at && left == 0, number >= at && left > 0 && writes:
					w.Store.Empty()
					left--
				}
				reached = reached || number == at
				if number == at && how == "emptied and taken over" {
					return partitiontest.CrashAfter
				}
				return partitiontest.None
			})
			verify(t, w, o, settled, fmt.Sprintf("action %d, Redis is %s", at, how))
		}
		return reached
	})
}

func forEachAction(t *testing.T, try func(*testing.T, func() (*partitiontest.World, *partitiontest.Owner), int) bool) {
	for name, prepare := range beginnings {
		t.Run(name, func(t *testing.T) {
			for seed := uint64(1); seed <= 6; seed++ {
				at := 0
				for try(t, func() (*partitiontest.World, *partitiontest.Owner) { return world(t, seed, prepare) }, at) && !t.Failed() {
					at++
				}
				if at < 8 {
					t.Fatalf("only %d actions", at)
				}
			}
		})
	}
}

func verify(t *testing.T, w *partitiontest.World, o *partitiontest.Owner, settled bool, what string) {
	t.Helper()
	for _, b := range w.Breaches {
		t.Errorf("%s: %s", what, b)
	}
	if settled {
		return
	}
	if start := w.Start; w.Covered(start) && (w.Committed.Offset >= start || w.Store.Progress().Offset >= start-1) {
		t.Errorf("%s: stops although nothing was lost: %s", what, o.StoppedFor())
	}
}
