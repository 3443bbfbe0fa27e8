package chaos

import (
	"slices"
	"time"
)

// noticeable is the shortest silence that counts as one: shorter ones are the machine's.
const noticeable = 500 * time.Millisecond

// recovery is how long a fault was felt. Probes are claims that are made at a steady pace, on a coupon with room, for each
// partition; a silence is a time between two final answers to them, one after the other. The recovery is the time from the
// fault to the end of the longest silence that ends after it, in the partition where that ends last; 0 where no silence was
// noticeable. The longest silence of all is what one partition's people felt at once. All probes are granted, so all are
// answered by the log.
func recovery(probes [][]answer, fault time.Time) (worst, silent time.Duration) {
	for _, answers := range probes {
		if recovered, longest := silence(answers, fault); recovered > 0 {
			worst, silent = max(worst, recovered), max(silent, longest)
		}
	}
	return worst, silent
}

// silence is the recovery of one partition, and how long the silence before it was.
func silence(answers []answer, fault time.Time) (recovered, longest time.Duration) {
	var told []time.Time
	for _, a := range answers {
		if a.Outcome != "" {
			told = append(told, a.AnsweredAt)
		}
	}
	slices.SortFunc(told, time.Time.Compare)
	longest = noticeable
	end := fault
	for i := 1; i < len(told); i++ {
		if gap := told[i].Sub(told[i-1]); told[i].After(fault) && gap > longest {
			longest, end = gap, told[i]
		}
	}
	return end.Sub(fault), longest
}
