package partition_test

import (
	"testing"
	"time"

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
