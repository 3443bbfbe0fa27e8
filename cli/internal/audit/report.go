package audit

import (
	"fmt"
	"io"
	"strings"

	"github.com/firstcome/firstcome/cli/internal/crowd"
)

// Compared counts what was looked at, so that "no difference" can be weighed.
type Compared struct {
	Partitions   int `json:"partitions"`
	Requests     int `json:"requests"`      // records of the requests log
	Definitions  int `json:"definitions"`   // that the log leads to
	Grants       int `json:"grants"`        // that the log leads to
	Journal      int `json:"journal"`       // records of the journal
	Duplicates   int `json:"duplicates"`    // of them, dropped by source
	Unknown      int `json:"unknown"`       // of them, of a type that this version does not know: passed over
	RedisPeople  int `json:"redis_people"`  // entries of people in Redis
	RedisCoupons int `json:"redis_coupons"` // coupons in Redis
	PostgresRows int `json:"postgres_rows"` // definitions and grants
	Archived     int `json:"archived"`      // grants that were taken out of Postgres, compared by count and checksum
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
	c.Unknown += o.Unknown
	c.RedisPeople += o.RedisPeople
	c.RedisCoupons += o.RedisCoupons
	c.PostgresRows += o.PostgresRows
	c.Archived += o.Archived
	c.DeadLetters += o.DeadLetters
	c.Answers += o.Answers
	c.Truncated += o.Truncated
}

// Bound is up to where a partition was compared. What came later was left out.
type Bound struct {
	Partition int32 `json:"partition"`
	LogStart  int64 `json:"log_start"` // first offset that the requests log still has
	Progress  int64 `json:"progress"`  // last offset that Redis had decided, and that was compared; -1: none
	Journal   int64 `json:"journal"`   // journal offset up to before which was read
	Ledger    int64 `json:"ledger"`    // journal offset up to before which the ledger had written
}

// Report is the result of an audit, and the document of `firstcome audit --json`: members are only added.
type Report struct {
	OK          bool           `json:"ok"`
	Coupons     []string       `json:"coupons,omitempty"` // only these were looked at; absent: all
	Compared    Compared       `json:"compared"`
	Bounds      []Bound        `json:"bounds"`
	Found       map[string]int `json:"found"`       // differences by place
	Differences []Difference   `json:"differences"` // the first 1,000 of each place
}

// maxSentences bounds what is printed for people.
const maxSentences = 50

// Write prints the differences and the verdict.
func (r Report) Write(w io.Writer) {
	for i, d := range r.Differences {
		if i == maxSentences {
			fmt.Fprintf(w, "… and %s more (--json has the first %s of each place)\n", crowd.Grouped(int64(r.total()-i)), crowd.Grouped(maxKept))
			break
		}
		fmt.Fprintln(w, d)
	}
	fmt.Fprintln(w, r.Line())
}

func (r Report) total() int {
	all := findings{count: r.Found}
	return all.total()
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
	journal := "(" + n(c.Duplicates, "duplicate", "duplicates")
	if c.Unknown > 0 {
		journal += ", " + crowd.Grouped(int64(c.Unknown)) + " of an unknown type"
	}
	parts := []string{
		n(c.Requests, "request", "requests") + " in " + n(c.Partitions, "partition", "partitions"),
		n(c.Journal, "journal record", "journal records") + " " + journal + ")",
		n(c.RedisPeople, "person", "people") + " in Redis",
		n(c.PostgresRows, "row", "rows") + " in Postgres",
		n(c.DeadLetters, "dead letter", "dead letters"),
	}
	if c.Archived > 0 {
		parts = append(parts, n(c.Archived, "archived grant", "archived grants"))
	}
	if c.Answers > 0 {
		parts = append(parts, n(c.Answers, "answer", "answers"))
	}
	verdict := "audit: no difference"
	if !r.OK {
		verdict = "audit: " + n(r.total(), "difference", "differences")
	}
	led := n(c.Definitions, "definition", "definitions") + " and " + n(c.Grants, "grant", "grants")
	return verdict + "; the log leads to " + led + "; compared " + strings.Join(parts, ", ")
}
