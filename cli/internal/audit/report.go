package audit

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/firstcome/firstcome/cli/internal/crowd"
	"github.com/firstcome/firstcome/internal/fcfs"
)

// The places that are compared with what the requests log leads to.
const (
	placeLog         = "requests"
	placeJournal     = "journal"
	placeRedis       = "redis"
	placePostgres    = "postgres"
	placeDeadLetters = "dead letters"
	placeAnswers     = "answers"
)

// Difference is one thing that is not as the log leads to, as a sentence for an operator and with its place for a machine.
type Difference struct {
	Place     string `json:"place"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"` // of the request that it is about; -1: about no single one
	CouponID  string `json:"coupon_id,omitempty"`
	Window    string `json:"window,omitempty"`
	Sequence  int64  `json:"sequence,omitempty"`
	Sentence  string `json:"sentence"`
}

// Compared counts what was looked at, so that "no difference" can be weighed.
type Compared struct {
	Partitions   int `json:"partitions"`
	Requests     int `json:"requests"`      // records of the requests log
	Definitions  int `json:"definitions"`   // that the log leads to
	Grants       int `json:"grants"`        // that the log leads to
	Journal      int `json:"journal"`       // records of the journal
	Duplicates   int `json:"duplicates"`    // of them, dropped by source
	RedisPeople  int `json:"redis_people"`  // entries of people in Redis
	RedisCoupons int `json:"redis_coupons"` // coupons in Redis
	PostgresRows int `json:"postgres_rows"` // definitions and grants
	DeadLetters  int `json:"dead_letters"`
	Answers      int `json:"answers"`   // what people were told
	Truncated    int `json:"truncated"` // partitions whose log no longer has its start
}

func (c *Compared) add(o Compared) {
	c.Partitions += o.Partitions
	c.Requests += o.Requests
	c.Definitions += o.Definitions
	c.Grants += o.Grants
	c.Journal += o.Journal
	c.Duplicates += o.Duplicates
	c.RedisPeople += o.RedisPeople
	c.RedisCoupons += o.RedisCoupons
	c.PostgresRows += o.PostgresRows
	c.Truncated += o.Truncated
}

// Report is the result of an audit.
type Report struct {
	OK          bool         `json:"ok"`
	Compared    Compared     `json:"compared"`
	Differences []Difference `json:"differences"`
}

// maxSentences bounds what is printed for people; the JSON has all.
const maxSentences = 50

// Write prints the differences and the verdict.
func (r Report) Write(w io.Writer) {
	for i, d := range r.Differences {
		if i == maxSentences {
			fmt.Fprintf(w, "… and %s more (--json has all)\n", crowd.Grouped(int64(len(r.Differences)-i)))
			break
		}
		fmt.Fprintf(w, "%s: %s\n", d.Place, d.Sentence)
	}
	fmt.Fprintln(w, r.Line())
}

// Line is the verdict in one line.
func (r Report) Line() string {
	c := r.Compared
	n := func(n int, one, many string) string {
		if n == 1 {
			return "1 " + one
		}
		return crowd.Grouped(int64(n)) + " " + many
	}
	parts := []string{
		n(c.Requests, "request", "requests") + " in " + n(c.Partitions, "partition", "partitions"),
		n(c.Journal, "journal record", "journal records") + " (" + n(c.Duplicates, "duplicate", "duplicates") + ")",
		n(c.RedisPeople, "person", "people") + " in Redis",
		n(c.PostgresRows, "row", "rows") + " in Postgres",
		n(c.DeadLetters, "dead letter", "dead letters"),
	}
	if c.Answers > 0 {
		parts = append(parts, n(c.Answers, "answer", "answers"))
	}
	verdict := "audit: no difference"
	if !r.OK {
		verdict = "audit: " + n(len(r.Differences), "difference", "differences")
	}
	led := n(c.Definitions, "definition", "definitions") + " and " + n(c.Grants, "grant", "grants")
	return verdict + "; the log leads to " + led + "; compared " + strings.Join(parts, ", ")
}

func (r *Report) sort() {
	slices.SortStableFunc(r.Differences, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(a.Place, b.Place), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	r.OK = len(r.Differences) == 0
}

// about makes a difference about one fact.
func about(place string, f fcfs.Fact, format string, args ...any) Difference {
	d := Difference{Place: place, Partition: f.Source.Partition, Offset: f.Source.Offset, Sentence: fmt.Sprintf(format, args...)}
	switch {
	case f.Granted != nil:
		d.CouponID, d.Window, d.Sequence = f.Granted.CouponID, f.Granted.Window, f.Granted.Sequence
	case f.Defined != nil:
		d.CouponID = f.Defined.CouponID
	}
	return d
}

// inPartition makes a difference about no single request.
func inPartition(place string, partition int32, format string, args ...any) Difference {
	return Difference{Place: place, Partition: partition, Offset: -1, Sentence: fmt.Sprintf("partition %d: ", partition) + fmt.Sprintf(format, args...)}
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
