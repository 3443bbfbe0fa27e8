package chaos

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// result is what a round came to.
type result struct {
	Kind        string
	Claims      int
	Granted     int
	LostAnswers int           // requests without an answer, or with a 503: people asked again
	Down        time.Duration // from the fault until it was mended: a server needs its time to start
	Recovery    time.Duration // see recovery
	Silence     time.Duration // the longest
	Differences int           // that the audit found
	breaches
	found []string // a sentence for each breach
}

func (r result) ok() bool { return r.none() && r.Differences == 0 }

func (r result) String() string {
	return fmt.Sprintf("%s: %d claims, %d granted, %d unanswered or lost, %d answers lost on the way, down for %s, recovery: %s (the longest silence: %s); audit: %d differences; %+v",
		r.Kind, r.Claims, r.Granted, r.Lost, r.LostAnswers, seconds(r.Down), seconds(r.Recovery), seconds(r.Silence), r.Differences, r.breaches)
}

// table is what all rounds came to, by kind, in markdown.
func table(results []result) string {
	var b strings.Builder
	b.WriteString("| fault | rounds | claims | over-issue | under-issue | duplicates | out of order | lost | contradicted | audit | down p50 | max | recovery p50 | max |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	kinds := kindNames()
	for _, r := range results { // those with names of their own come last
		if !slices.Contains(kinds, r.Kind) {
			kinds = append(kinds, r.Kind)
		}
	}
	for _, kind := range kinds {
		of := slices.DeleteFunc(slices.Clone(results), func(r result) bool { return r.Kind != kind })
		if len(of) > 0 {
			b.WriteString(row(kind, of))
		}
	}
	b.WriteString(row("**all**", results))
	return b.String()
}

func row(name string, of []result) string {
	var sum result
	var down, recovery []time.Duration
	for _, r := range of {
		sum.Claims += r.Claims
		sum.Differences += r.Differences
		sum.add(r.breaches)
		down, recovery = append(down, r.Down), append(recovery, r.Recovery)
	}
	return fmt.Sprintf("| %s | %d | %d | %d | %d | %d | %d | %d | %d | %d | %s | %s |\n", name, len(of), sum.Claims,
		sum.Over, sum.Under, sum.Duplicates, sum.OutOfOrder, sum.Lost, sum.Contradicted, sum.Differences, middleAndMost(down), middleAndMost(recovery))
}

// middleAndMost are two cells: the lower median, and the longest.
func middleAndMost(times []time.Duration) string {
	if len(times) == 0 {
		return "- | -"
	}
	slices.Sort(times)
	return seconds(times[(len(times)-1)/2]) + " | " + seconds(times[len(times)-1])
}

func seconds(d time.Duration) string {
	if d == 0 {
		return "0"
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// figure is something measured, with what is wanted.
type figure struct{ what, wanted, measured string }

func figures(all ...figure) string {
	var b strings.Builder
	b.WriteString("| what | wanted | measured |\n|---|---|---|\n")
	for _, f := range all {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", f.what, f.wanted, f.measured)
	}
	return b.String()
}
