package audit

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/firstcome/firstcome/internal/fcfs"
)

// The places that are compared with what the requests log leads to.
const (
	placeLog         = "requests"
	placeJournal     = "journal"
	placeRedis       = "redis"
	placePostgres    = "postgres"
	placeDeadLetters = "dead_letters"
	placeAnswers     = "answers"
)

// Kind is in what way something is not as the log leads to.
type Kind string

// The kinds of differences.
const (
	Missing      Kind = "missing"      // the log leads to it, and it is not there; of a grant: under-issue
	OverIssue    Kind = "over_issue"   // a grant where the log says sold_out
	Twice        Kind = "twice"        // a grant for a person who holds one, or the same place given twice
	Unfounded    Kind = "unfounded"    // it is there, and the log does not lead to it for another reason
	Wrong        Kind = "wrong"        // it is there, and says something else than it should
	OutOfOrder   Kind = "out_of_order" // a journal record that stands after one of a later request
	Behind       Kind = "behind"       // issuer or ledger had not caught up when the time was over
	Contradicted Kind = "contradicted" // somebody was told something else than the log decided
)

// Difference is one thing that is not as the log leads to, as a sentence for an operator and with its place for a machine.
type Difference struct {
	Place     string `json:"place"` // requests, journal, redis, postgres, dead_letters, answers
	Kind      Kind   `json:"kind"`
	Partition int32  `json:"partition"` // -1: about no single one
	Offset    int64  `json:"offset"`    // of the request that it is about; -1: about no single one
	CouponID  string `json:"coupon_id,omitempty"`
	Window    string `json:"window,omitempty"`
	Sequence  int64  `json:"sequence,omitempty"`
	Sentence  string `json:"sentence"`
}

// String is the difference for people: where, and the sentence.
func (d Difference) String() string {
	return strings.ReplaceAll(d.Place, "_", " ") + ": " + d.Sentence
}

// maxKept bounds the differences of one place that are kept: a Postgres that was emptied differs a million times.
const maxKept = 1000

// findings are the differences that were found, the first of each place as sentences and all of them as a count.
type findings struct {
	kept  []Difference
	count map[string]int // by place
}

func (f *findings) add(d Difference) {
	if f.count == nil {
		f.count = make(map[string]int)
	}
	if f.count[d.Place]++; f.count[d.Place] <= maxKept {
		f.kept = append(f.kept, d)
	}
}

func (f *findings) total() int {
	n := 0
	for _, count := range f.count {
		n += count
	}
	return n
}

// join takes the findings of a partition.
func (f *findings) join(more findings) {
	for _, d := range more.kept {
		f.add(d)
		more.count[d.Place]--
	}
	for place, dropped := range more.count {
		f.count[place] += dropped
	}
}

func (f *findings) sort() {
	slices.SortStableFunc(f.kept, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(a.Place, b.Place), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
}

// about makes a difference about one fact.
func about(place string, kind Kind, f fcfs.Fact, format string, args ...any) Difference {
	d := Difference{Place: place, Kind: kind, Partition: f.Source.Partition, Offset: f.Source.Offset, Sentence: fmt.Sprintf(format, args...)}
	switch {
	case f.Granted != nil:
		d.CouponID, d.Window, d.Sequence = f.Granted.CouponID, f.Granted.Window, f.Granted.Sequence
	case f.Defined != nil:
		d.CouponID = f.Defined.CouponID
	}
	return d
}

// inPartition makes a difference about no single request.
func inPartition(place string, kind Kind, partition int32, format string, args ...any) Difference {
	return Difference{Place: place, Kind: kind, Partition: partition, Offset: -1, Sentence: fmt.Sprintf("partition %d: ", partition) + fmt.Sprintf(format, args...)}
}

// missing says that a fact is not where it should be.
func missing(place string, f fcfs.Fact) Difference {
	if f.Granted != nil {
		return about(place, Missing, f, "%s is missing: the log grants it (under-issue)", name(f))
	}
	return about(place, Missing, f, "%s is missing", name(f))
}

// extra says that a fact is where none should be. d is what the log decided at its source; nil: no request stands there.
func extra(place string, f fcfs.Fact, d *decision) Difference {
	kind, why := Unfounded, "nobody asked there"
	switch {
	case d == nil || d.offset > f.Source.Offset:
	case d.fact != nil:
		kind, why = Twice, "it is one more of the same request"
	case f.Granted != nil && d.outcome == fcfs.SoldOut:
		kind, why = OverIssue, fmt.Sprintf("that request is sold_out, as all %d were given out before it (over-issue)", d.limit)
	case f.Granted != nil && d.outcome == fcfs.AlreadyIssued:
		kind, why = Twice, fmt.Sprintf("that request is already_issued, as the person holds sequence %d of source %d/%d (the same person twice)",
			d.earlier.Sequence, f.Source.Partition, d.earlier.Offset)
	case d.outcome == fcfs.None:
		why = "that request is about another coupon"
	default:
		why = "that request is " + d.outcome.String()
	}
	return about(place, kind, f, "%s is there, and the log does not lead to it: %s", name(f), why)
}

// name says which fact it is: a grant by coupon, window, sequence and source, a definition by coupon and source.
func name(f fcfs.Fact) string {
	source := fmt.Sprintf("source %d/%d", f.Source.Partition, f.Source.Offset)
	switch {
	case f.Granted != nil:
		g := f.Granted
		return fmt.Sprintf("the grant of coupon %s, %ssequence %d, to %q (%s)", g.CouponID, inWindow(g.Window), g.Sequence, g.UserID, source)
	case f.Defined != nil:
		return fmt.Sprintf("the definition of coupon %s with limit %d (%s)", f.Defined.CouponID, f.Defined.Limit, source)
	}
	return "the fact of " + source
}

func inWindow(window string) string {
	if window == "" {
		return ""
	}
	return "window " + window + ", "
}
