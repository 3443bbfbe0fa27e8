package simulation

import (
	"flag"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	seeds  = flag.Uint64("seeds", 200, "how many runs")
	seed   = flag.Uint64("seed", 0, "play this one run, and print it")
	effort = flag.Duration("shrink", 20*time.Second, "how long to look for a shorter run that fails too")
)

// Whatever happens between any two steps, nothing that was promised is broken, and in the end all is done, or a partition
// has stopped for something that was truly lost.
func TestSimulation(t *testing.T) {
	if *seed != 0 {
		r := run(t, planOf(*seed), &trace{})
		fmt.Println(r.trace)
		report(t, planOf(*seed), r)
		return
	}
	began := time.Now()
	played, failed, seen := runAll(t, *seeds)
	t.Logf("%d seeds, %.0f a second", played, float64(played)/time.Since(began).Seconds())
	for _, n := range failed {
		report(t, planOf(n), run(t, planOf(n), nil))
	}
	if len(failed) == 0 {
		covered(t, seen, played)
	}
}

// runAll plays the runs of seeds 1 to n on all processors until one fails. It gives how many it played, the seeds that failed, and
// how often everything happened.
func runAll(t *testing.T, n uint64) (played int, failed []uint64, seen map[string]int) {
	var next, stop atomic.Uint64
	var mu sync.Mutex
	var workers sync.WaitGroup
	seen = map[string]int{}
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for number := next.Add(1); number <= n && stop.Load() == 0; number = next.Add(1) {
				r := run(t, planOf(number), nil)
				mu.Lock()
				played++
				for k, v := range r.seen {
					seen[k] += v
				}
				if len(r.breaches) > 0 {
					failed = append(failed, number)
					stop.Store(number)
				}
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	slices.Sort(failed)
	return played, failed, seen
}

// report prints what failed, how to see it again, and the shortest run that was found to fail too.
func report(t *testing.T, p plan, r result) {
	if len(r.breaches) == 0 {
		return
	}
	t.Errorf("seed %d: %s\nagain: go test -v ./test/simulation -run 'TestSimulation$' -seed %d", p.seed, strings.Join(r.breaches, "\n"), p.seed)
	small := shrink(p, func(p plan) (int, bool) {
		r := run(t, p, nil)
		return r.turns, len(r.breaches) > 0
	}, time.Now().Add(*effort))
	shown := run(t, small, &trace{})
	t.Logf("shrunk from %d turns to %d:\n%v", r.turns, shown.turns, shown.trace)
}

// One seed is one run: whatever else the machine does meanwhile, and also where nobody reads the trace.
func TestSimulation_SameSeedSameRun(t *testing.T) {
	for n := range uint64(30) {
		first, second := run(t, planOf(n+1), &trace{}), run(t, planOf(n+1), &trace{})
		if a, b := first.trace.String(), second.trace.String(); a != b {
			t.Fatalf("seed %d: two runs differ\n%s", n+1, firstDifference(a, b))
		}
		if silent := run(t, planOf(n+1), nil); !maps.Equal(silent.seen, first.seen) {
			t.Fatalf("seed %d: it is another run where nobody reads the trace", n+1)
		}
	}
}

func firstDifference(a, b string) string {
	as, bs := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(as), len(bs)) {
		if as[i] != bs[i] {
			return as[i] + "\nand\n" + bs[i]
		}
	}
	return "one is longer"
}
