package chaos

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/firstcome/firstcome/internal/fcfs"
)

// answer is what a person was told, as `firstcome load --record` writes it.
type answer struct {
	CouponID        string    `json:"coupon_id"`
	UserID          string    `json:"user_id"`
	Outcome         string    `json:"outcome"` // granted, or the refusal; empty: unanswered
	Window          string    `json:"window"`
	Sequence        int64     `json:"sequence"`
	GrantID         string    `json:"grant_id"`
	ClaimID         string    `json:"claim_id"`
	EarlierClaimIDs []string  `json:"earlier_claim_ids"`
	AskedAt         time.Time `json:"asked_at"`
	AnsweredAt      time.Time `json:"answered_at"`
	Lost            int       `json:"lost"` // requests whose answer never came, or was a 503
	Error           string    `json:"error"`
	Broken          []string  `json:"broken"` // answers that contradict each other
}

func readAnswers(path string) ([]answer, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []answer
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var a answer
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, a)
	}
	return all, lines.Err()
}

// breaches counts how often each promise was broken. All are zero, or something is wrong.
type breaches struct {
	Over         int // grants that the log does not lead to (G1)
	Under        int // grants that the log leads to and that are missing (G1)
	Duplicates   int // a person twice in a window (G2)
	OutOfOrder   int // a later claim with a lower sequence (G3)
	Lost         int // claims without an answer, or answered and not in the log (G4)
	Contradicted int // answers that are not true (G5)
}

func (b breaches) none() bool { return b == breaches{} }

func (b *breaches) add(o breaches) {
	b.Over += o.Over
	b.Under += o.Under
	b.Duplicates += o.Duplicates
	b.OutOfOrder += o.OutOfOrder
	b.Lost += o.Lost
	b.Contradicted += o.Contradicted
}

// judge holds a round's stores and answers against what the log leads to.
type judge struct {
	*witness
	requestsTopic string // full name
	key           string // of the claim ids
	breaches
	found []string // a sentence for each
}

func (j *judge) say(count *int, format string, args ...any) {
	*count++
	j.found = append(j.found, fmt.Sprintf(format, args...))
}

// store compares the grants of one coupon that a store has with those that the log leads to.
func (j *judge) store(name, couponID string, has []grant) {
	led := map[grant]bool{}
	for _, g := range j.led[couponID] {
		led[g] = true
	}
	for _, g := range has {
		if !led[g] {
			j.say(&j.Over, "%s has %s, and the log does not lead to it", name, g)
		}
		delete(led, g)
	}
	for g := range led {
		j.say(&j.Under, "%s has not %s, and the log leads to it", name, g)
	}
	j.order(name, has)
}

// order looks at one coupon's grants alone: no person twice in a window, and each window's sequence is the log's order.
func (j *judge) order(name string, has []grant) {
	has = slices.Clone(has)
	slices.SortFunc(has, func(a, b grant) int {
		return cmp.Or(strings.Compare(a.window, b.window), cmp.Compare(a.source.Offset, b.source.Offset))
	})
	seen := map[holder]bool{}
	for i, g := range has {
		if seen[g.holder()] {
			j.say(&j.Duplicates, "%s has %s, who had one", name, g)
		}
		seen[g.holder()] = true
		if i > 0 && has[i-1].window == g.window && g.sequence <= has[i-1].sequence {
			j.say(&j.OutOfOrder, "%s has %s after %s", name, g, has[i-1])
		}
	}
}

func (g grant) String() string {
	return fmt.Sprintf("the grant of %s in window %q, sequence %d, to %s (source %d/%d)", g.couponID, g.window, g.sequence, g.userID, g.source.Partition, g.source.Offset)
}

// answers compares what people were told.
func (j *judge) answers(all []answer) {
	for _, a := range all {
		who := fmt.Sprintf("%s, who asked for %s,", a.UserID, a.CouponID)
		for _, b := range a.Broken {
			j.say(&j.Contradicted, "%s %s", who, b)
		}
		for _, id := range append(a.EarlierClaimIDs, a.ClaimID) {
			if id != "" {
				j.inLog(who, a, id)
			}
		}
		if a.Outcome == "" {
			j.say(&j.Lost, "%s got no answer (%s)", who, a.Error)
			continue
		}
		if wrong := j.untrue(a); wrong != "" {
			j.say(&j.Contradicted, "%s was told %s, %s", who, a.Outcome, wrong)
		}
	}
}

// inLog looks for the record that a claim id stands for.
func (j *judge) inLog(who string, a answer, claimID string) {
	t, err := openTicket(claimID, j.key)
	if err != nil {
		j.say(&j.Contradicted, "%s was told the claim id %s: %v", who, claimID, err)
		return
	}
	c, ok := j.at(t.source)
	if !ok || c.couponID != a.CouponID || c.userID != a.UserID || c.at != t.appendTime {
		j.say(&j.Lost, "%s was told a claim id for the record at %d/%d, and there is %+v", who, t.source.Partition, t.source.Offset, c)
	}
}

// untrue says what is wrong with a final answer; "" if nothing is.
func (j *judge) untrue(a answer) string {
	outcome := fcfs.None // of the record that the answer was about
	if t, err := openTicket(a.ClaimID, j.key); err == nil {
		c, _ := j.at(t.source)
		outcome = c.Outcome
	}
	if a.Outcome == fcfs.Granted.String() {
		g, ok := j.held[holder{a.CouponID, a.Window, a.UserID}]
		switch id := fcfs.GrantID(j.requestsTopic, g.source); {
		case !ok:
			return "and has nothing"
		case g.sequence != a.Sequence || id != a.GrantID:
			return fmt.Sprintf("with sequence %d and grant %s, and has %s, grant %s", a.Sequence, a.GrantID, g, id)
		case a.ClaimID != "" && outcome != fcfs.Granted && outcome != fcfs.AlreadyIssued:
			return "and by the log that claim was " + outcome.String()
		}
		return ""
	}
	if a.ClaimID != "" {
		if outcome.String() != a.Outcome {
			return "and by the log that claim was " + outcome.String()
		}
		return ""
	}
	return j.early(a)
}

// early judges a refusal at the door, which no record stands behind. It passes over nobody: that claim is not in the log.
// But it must not be made up: by then the log must have led to that state.
func (j *judge) early(a answer) string {
	if a.Outcome != fcfs.SoldOut.String() {
		return "at the door, and no claim of the round can be refused so"
	}
	if at, ever := j.soldOut[a.CouponID]; !ever || at > fcfs.FromTime(a.AnsweredAt) {
		return fmt.Sprintf("at the door at %v, and by the log it was not sold out before %v", a.AnsweredAt, at.Time())
	}
	return ""
}
