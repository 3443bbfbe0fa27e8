package partition_test

import (
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/firstcome/firstcome/services/issuer/partition/partitiontest"
)

var (
	walks = flag.Int("walks", 1500, "random walks over the machine")
	seed  = flag.Uint64("seed", 0, "run this one walk and print it")
)

func budget(seed uint64) partitiontest.Budget {
	all := partitiontest.Budget{Fail: 4, Crash: 3, Steal: 3, Empty: 3, Rewind: 3, Truncate: 4, Late: 3}
	switch seed % 5 {
	case 0:
		all.Truncate = 0
	case 1:
		all.Steal, all.Truncate = 0, 0
	case 2:
		all.Fail, all.Late = 0, 0
	case 3:
		all.Empty = 0
	}
	return all
}

// Whatever happens between two actions, nothing that was promised is broken, and in the end all is decided and journaled,
// or the partition has stopped for something that was truly lost.
func TestMachine_RandomWalk(t *testing.T) {
	first, last := uint64(1), uint64(*walks)
	if *seed != 0 {
		first, last = *seed, *seed
	}
	for n := first; n <= last; n++ {
		w := partitiontest.NewWalk(n, 10+int(n%30), budget(n))
		if breaches := w.Run(1500); len(breaches) > 0 {
			t.Fatalf("seed %d: %v\n%s", n, breaches, tail(w.Trace, 60))
		}
		if *seed != 0 {
			fmt.Println(strings.Join(w.Trace, "\n"))
		}
	}
}

func tail(trace []string, n int) string {
	return strings.Join(trace[max(0, len(trace)-n):], "\n")
}
