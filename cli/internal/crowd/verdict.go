package crowd

import (
	"fmt"
	"io"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/firstcome/firstcome/cli/internal/client"
)

// Expectation is how many must be granted. Exact is false where nobody can say, as when the coupon opens while people
// are asking: then no more than that.
type Expectation struct {
	Granted int64
	Exact   bool
	Limit   int64 // no sequence is above it
	Fresh   bool  // nobody else asks: the sequences told are 1..granted without a gap
}

// Verdict is what a crowd's answers come to.
type Verdict struct {
	People     int
	Granted    int64
	Unanswered int
	Outcomes   map[string]int // of the answered
	Latencies  [4]time.Duration
	PerSecond  float64
	Took       time.Duration
	Retried    int // people who needed more than one request
	Rechecked  int
	Held       int      // people who could not ask when they arrived
	Problems   []string // sentences; none: all is as promised
}

var quantiles = [4]string{"p50", "p90", "p99", "max"}

// manyProblems bounds the sentences of one kind that a verdict lists.
const manyProblems = 20

// Judge compares what people were told with what was promised.
func Judge(res Result, want Expectation) Verdict {
	v := Verdict{People: len(res.Records), Outcomes: make(map[string]int), Took: res.Took, Rechecked: res.Rechecked, Held: res.Held}
	v.count(res.Records)
	v.quantiles(res.Records)
	switch {
	case want.Exact && v.Granted != want.Granted:
		v.problem("%d were granted, and it should be exactly %d", v.Granted, want.Granted)
	case v.Granted > want.Granted:
		v.problem("%d were granted, and at most %d could be", v.Granted, want.Granted)
	}
	if v.Unanswered > 0 {
		v.problem("%d got no answer%s", v.Unanswered, example(res.Records, func(r Record) bool { return r.Outcome == "" }))
	}
	if res.Unchecked > 0 {
		v.problem("%d claims could not be asked about again%s", res.Unchecked, example(res.Records, func(r Record) bool { return r.Outcome != "" && r.Outcome != "retired" }))
	}
	v.contradictions(res.Records, want)
	return v
}

func (v *Verdict) problem(format string, args ...any) {
	v.Problems = append(v.Problems, fmt.Sprintf(format, args...))
}

func (v *Verdict) count(records []Record) {
	answered := 0
	for _, r := range records {
		if r.Requests > 1 {
			v.Retried++
		}
		if r.Outcome == "" {
			v.Unanswered++
			continue
		}
		answered++
		v.Outcomes[r.Outcome]++
	}
	// Someone told already_issued by the log holds one, only the sequence was not told.
	v.Granted = int64(v.Outcomes[client.Granted] + v.Outcomes[alreadyIssued])
	if v.Took > 0 {
		v.PerSecond = float64(answered) / v.Took.Seconds()
	}
}

func (v *Verdict) quantiles(records []Record) {
	var took []time.Duration
	for _, r := range records {
		if r.Outcome != "" {
			took = append(took, time.Duration(r.Took))
		}
	}
	if len(took) == 0 {
		return
	}
	slices.Sort(took)
	at := func(percent int) time.Duration { return took[(len(took)-1)*percent/100] }
	v.Latencies = [4]time.Duration{at(50), at(90), at(99), took[len(took)-1]}
}

// example is the error of one of those who are meant.
func example(records []Record, meant func(Record) bool) string {
	for _, r := range records {
		if meant(r) && r.Error != "" {
			return fmt.Sprintf(" (%s: %s)", r.UserID, r.Error)
		}
	}
	return ""
}

// contradictions are answers that can't all be true.
func (v *Verdict) contradictions(records []Record, want Expectation) {
	type place struct {
		window   string
		sequence int64
	}
	holder := make(map[place]string)
	found := 0
	say := func(format string, args ...any) {
		if found++; found <= manyProblems {
			v.problem(format, args...)
		}
	}
	for _, r := range records {
		for _, b := range r.Broken {
			say("%s %s", r.UserID, b)
		}
		if r.Outcome != client.Granted {
			continue
		}
		p := place{r.Window, r.Sequence}
		if other, taken := holder[p]; taken {
			say("%s and %s were both told sequence %d", other, r.UserID, r.Sequence)
		}
		holder[p] = r.UserID
		if r.Sequence < 1 || r.Sequence > want.Limit {
			say("%s was told sequence %d, and the limit is %d", r.UserID, r.Sequence, want.Limit)
		}
		if want.Fresh && v.Unanswered == 0 && r.Sequence > v.Granted {
			say("%s was told sequence %d, and only %d were granted", r.UserID, r.Sequence, v.Granted)
		}
	}
	if found > manyProblems {
		v.problem("and %d more contradictions", found-manyProblems)
	}
}

// OK says that everyone has an answer and all answers are as promised.
func (v Verdict) OK() bool { return len(v.Problems) == 0 }

// Write prints the table of outcomes, of latencies, and the problems.
func (v Verdict) Write(w io.Writer) {
	fmt.Fprintf(w, "%s people in %s: %s claims/s\n\n", Grouped(int64(v.People)), round(v.Took), Grouped(int64(v.PerSecond)))
	for _, row := range v.rows() {
		fmt.Fprintf(w, "  %-15s %9s\n", row.name, Grouped(int64(row.count)))
	}
	latency := "\n  latency        "
	for i, q := range v.Latencies {
		latency += fmt.Sprintf(" %s %-9s", quantiles[i], round(q))
	}
	fmt.Fprintln(w, strings.TrimRight(latency, " "))
	if v.Retried > 0 {
		fmt.Fprintf(w, "  %s needed more than one request\n", Grouped(int64(v.Retried)))
	}
	if v.Rechecked > 0 {
		fmt.Fprintf(w, "  %s claims were asked about again\n", Grouped(int64(v.Rechecked)))
	}
	if v.Held > 0 {
		fmt.Fprintf(w, "  %s could not ask when they arrived: as many as --concurrency allows were asking\n", Grouped(int64(v.Held)))
	}
	for _, p := range v.Problems {
		fmt.Fprintf(w, "  WRONG: %s\n", p)
	}
}

type row struct {
	name  string
	count int
}

// rows are granted first, then the refusals by number, then the unanswered, which are always named.
func (v Verdict) rows() []row {
	var refused []row
	for name, count := range v.Outcomes {
		if name != client.Granted {
			refused = append(refused, row{name, count})
		}
	}
	sort.Slice(refused, func(i, j int) bool {
		if refused[i].count != refused[j].count {
			return refused[i].count > refused[j].count
		}
		return refused[i].name < refused[j].name
	})
	rows := append([]row{{client.Granted, v.Outcomes[client.Granted]}}, refused...)
	return append(rows, row{"unanswered", v.Unanswered})
}

func round(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= 10*time.Millisecond:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Microsecond).String()
}

// Grouped writes 1234567 as 1,234,567.
func Grouped(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	var parts []string
	for len(digits) > 3 {
		parts = append([]string{digits[len(digits)-3:]}, parts...)
		digits = digits[:len(digits)-3]
	}
	return sign + strings.Join(append([]string{digits}, parts...), ",")
}
