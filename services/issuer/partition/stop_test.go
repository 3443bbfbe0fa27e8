package partition_test

import (
	"slices"
	"testing"
	"time"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/services/issuer/partition"
	"github.com/firstcome/firstcome/services/issuer/partition/partitiontest"
)

// A partition is to stop while Kafka is away: its last emission is under way, and a commit fails at once. It tries again when
// it is time to, and does not ask a dead broker as fast as it can.
func TestMachine_StopsWhileKafkaIsAway(t *testing.T) {
	w := partitiontest.NewWorld(0)
	at := fcfs.FromTime(began)
	w.Append(0, partitiontest.Define(at, fcfs.Definition{CouponID: "a", Limit: 2, Window: fcfs.WindowNone, TimeZone: "UTC", Rules: 1}))
	w.Append(0, partitiontest.Claim(at, "a", "u1"))
	w.Append(0, partitiontest.Claim(at, "a", "u2"))
	o := partitiontest.NewOwner(w, 0, partition.Config{MaxEmit: 1})
	pending := func(now time.Time, kind partition.Kind) int {
		o.Step(now)
		return slices.IndexFunc(o.Pending, func(a partition.Action) bool { return a.Kind == kind })
	}
	for len(w.Journal) < 2 || pending(began, partition.Emit) < 0 { // until the last emission is under way
		o.Step(began)
		o.Do(0, partitiontest.None)
		o.Deliver(0)
	}
	o.Machine.Stop()
	commit := pending(began, partition.Commit)
	if commit < 0 {
		t.Fatalf("it does not commit what was acknowledged: %v", o.Pending)
	}
	o.Do(commit, partitiontest.FailBefore)
	o.Deliver(0)
	if pending(began, partition.Commit) >= 0 {
		t.Error("it commits again at once")
	}
	if wake := o.Machine.Wake(); !wake.Equal(began.Add(time.Second)) {
		t.Errorf("it wakes after %v, want a second", wake.Sub(began))
	}
	if pending(began.Add(time.Second), partition.Commit) < 0 {
		t.Error("it never tries again")
	}
}
