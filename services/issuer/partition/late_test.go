package partition_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/services/issuer/partition"
	"github.com/firstcome/firstcome/services/issuer/partition/partitiontest"
)

// Of two calls whose answers are lost the second arrives much later, once another session was found where it had to be. The
// owner was alone all the time: it has no reason to leave the group.
func TestMachine_OwnLateCall(t *testing.T) {
	w := partitiontest.NewWorld(0)
	w.Append(0, partitiontest.Define(1, fcfs.Definition{CouponID: "a", Limit: 9, Window: fcfs.WindowNone, TimeZone: "UTC", Rules: 1}))
	for _, user := range []string{"u1", "u2", "u3", "u4"} {
		w.Append(0, partitiontest.Claim(1, "a", user))
	}
	o := partitiontest.NewOwner(w, 0, partition.Config{MaxBatch: 2})
	decides := func(a partition.Action) bool { return a.Kind == partition.Decide }
	now := began
	until := func(done func() bool) {
		for range 500 {
			now = now.Add(10 * time.Millisecond)
			o.Step(now)
			switch {
			case o.Machine.Over():
				t.Fatal("leaves the group: ", o.Machine.Err())
			case done():
				return
			case o.Results() > 0:
				o.Deliver(0)
			case len(o.Pending) > 0:
				o.Do(0, partitiontest.None)
			}
		}
		t.Fatal("does not come to it")
	}

	until(func() bool {
		n := 0
		for _, a := range o.Pending {
			if decides(a) {
				n++
			}
		}
		return n == 2
	})
	first := slices.IndexFunc(o.Pending, decides)
	last := first + 1 + slices.IndexFunc(o.Pending[first+1:], decides)
	late := o.Pending[last]
	o.Pending = slices.Delete(o.Pending, last, last+1)
	o.Do(first, partitiontest.FailBefore)
	w.FetchMost = 1
	until(func() bool { return w.Store.Progress().Offset == 2 && o.Results() == 0 })
	partition.Do(context.Background(), w.Ports(0), late)
	until(o.Settled)
	if len(w.Breaches) > 0 {
		t.Error(w.Breaches)
	}
}
