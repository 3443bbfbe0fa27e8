package partition_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/services/issuer/partition"
	"github.com/firstcome/firstcome/services/issuer/partition/partitiontest"
)

// A batch of Kafka that could not be read may claim any number of offsets: one dead letter, progress beyond it, and no
// memory for each of them.
func TestMachine_UnreadableBatchOfBillions(t *testing.T) {
	w := partitiontest.NewWorld(0)
	w.Append(0, partitiontest.Claim(1, "c", "u"))
	w.Append(0, partitiontest.Refuse(5, 1<<31))
	w.Append(0, partitiontest.Claim(9, "c", "u"))
	o := partitiontest.NewOwner(w, 0, partition.Config{})
	if _, settled := o.Settle(time.Unix(1_800_000_000, 0), nil); !settled || len(w.Breaches) > 0 {
		t.Fatal(o.Machine.Status(), w.Breaches)
	}
	if w.Letters[1] != 1 || len(w.Letters) != 1 {
		t.Errorf("dead letters %v", w.Letters)
	}
	if got := w.Store.Progress().Offset; got != 1<<31+1 {
		t.Errorf("progress %d", got)
	}
}

// While the journal takes nothing, deciding goes on until too many facts wait for it, and goes on when it does.
func TestMachine_PausesForTheJournal(t *testing.T) {
	w := partitiontest.NewWorld(0)
	w.Append(0, partitiontest.Define(1, fcfs.Definition{CouponID: "c", Limit: 1000, Window: "none", TimeZone: "UTC", Rules: 1}))
	for i := range 200 {
		w.Append(0, partitiontest.Claim(1, "c", fmt.Sprint("u", i)))
	}
	o := partitiontest.NewOwner(w, 0, partition.Config{MaxBatch: 5, MaxInFlight: 2, MaxWaiting: 20, MaxEmit: 50})
	now := time.Unix(1_800_000_000, 0)
	for range 2000 {
		o.Step(now)
		for i := range o.Pending {
			if o.Pending[i].Kind != partition.Emit {
				o.Do(i, partitiontest.None)
				break
			}
		}
		for o.Results() > 0 {
			o.Deliver(0)
		}
		now = now.Add(time.Millisecond)
	}
	if n := w.Store.Longest; n <= 20 || n > 20+2*5 {
		t.Errorf("%d facts waited, more than 20 may by a batch or two", n)
	}
	if _, settled := o.Settle(now, nil); !settled || len(w.Breaches) > 0 {
		t.Error(o.Machine.Status(), w.Breaches)
	}
}
