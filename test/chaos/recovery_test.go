package chaos

import (
	"testing"
	"time"
)

func TestRecovery(t *testing.T) {
	fault := time.Unix(1_800_000_000, 0)
	// told makes probes that were answered so many milliseconds after the fault, in the order of asking.
	told := func(ms ...int) (all []answer) {
		for _, m := range ms {
			all = append(all, answer{Outcome: "granted", AnsweredAt: fault.Add(time.Duration(m) * time.Millisecond)})
		}
		return all
	}
	for _, c := range []struct {
		name              string
		probes            [][]answer
		recovered, silent int
	}{
		{"not felt", [][]answer{told(-200, -100, 0, 100, 400)}, 0, 0},
		{"a silence that began before", [][]answer{told(-300, 900, 1000)}, 900, 1200},
		{"the longest counts, not the last", [][]answer{told(-100, 2000, 2100, 2800, 2900)}, 2000, 2100},
		{"the longest comes late", [][]answer{told(-100, 600, 700, 4000)}, 4000, 3300},
		{"one before the fault", [][]answer{told(-5000, -100, 100)}, 0, 0},
		{"answered in another order", [][]answer{told(3000, -100, 2900)}, 2900, 3000},
		{"the worst partition", [][]answer{told(-100, 0, 100), told(-100, 1500), told(-100, 700)}, 1500, 1600},
		{"the longest is not the one that ends last", [][]answer{told(-100, 6000, 6100), told(-100, 100, 9000, 9600)}, 9000, 8900},
		{"a short one that ends late", [][]answer{told(-100, 6000, 6100), told(29400, 30000)}, 30000, 6100},
		{"nobody was told before", [][]answer{told(800, 900)}, 0, 0},
	} {
		recovered, silent := recovery(c.probes, fault)
		if recovered != time.Duration(c.recovered)*time.Millisecond || silent != time.Duration(c.silent)*time.Millisecond {
			t.Errorf("%s: recovered in %v after %v, want %d and %d ms", c.name, recovered, silent, c.recovered, c.silent)
		}
	}
	unanswered := append(told(-100, 5000), answer{AnsweredAt: fault.Add(time.Second)})
	if recovered, _ := recovery([][]answer{unanswered}, fault); recovered != 5*time.Second {
		t.Errorf("with one who got no answer: %v", recovered)
	}
}
