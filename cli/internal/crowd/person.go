package crowd

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/firstcome/firstcome/cli/internal/client"
)

// Record is one person's story: what was asked, how often, and everything that was answered. A line of the file that
// the audit compares with what happened.
type Record struct {
	CouponID        string    `json:"coupon_id"`
	UserID          string    `json:"user_id"`
	Outcome         string    `json:"outcome"` // granted, or the refusal; empty: unanswered
	Window          string    `json:"window,omitempty"`
	Sequence        int64     `json:"sequence,omitempty"`
	GrantID         string    `json:"grant_id,omitempty"`
	ClaimID         string    `json:"claim_id,omitempty"`          // the last that was told; empty: only early refusals, or nothing
	EarlierClaimIDs []string  `json:"earlier_claim_ids,omitempty"` // told before it
	DueAt           time.Time `json:"due_at,omitzero"`             // arrived, where people come at a rate
	AskedAt         time.Time `json:"asked_at,omitzero"`           // sent the first request; absent: never
	PendingAt       time.Time `json:"pending_at,omitzero"`         // was first told that a claim is pending: from then on a decision is promised
	AnsweredAt      time.Time `json:"answered_at,omitzero"`        // was told the outcome
	Took            Duration  `json:"took_ms"`                     // from arriving, else from asking, to the answer or to leaving
	Requests        int       `json:"requests"`                    // HTTP requests, polls and retries included
	Lost            int       `json:"lost,omitempty"`              // claims whose answer never came: each may be in the log
	Error           string    `json:"error,omitempty"`             // the last one
	Broken          []string  `json:"broken,omitempty"`            // answers that contradict each other

	decided string // the first decision, in the words it was told
	refused int    // how often in a row the gateway was too busy
	door    int    // which one is asked, of however many there are
}

// Duration is written as milliseconds.
type Duration time.Duration

func (d Duration) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, "%.3f", float64(d)/float64(time.Millisecond)), nil
}

func (d *Duration) UnmarshalJSON(text []byte) error {
	var ms float64
	if _, err := fmt.Sscanf(string(text), "%g", &ms); err != nil {
		return fmt.Errorf("took_ms %q is no number", text)
	}
	*d = Duration(ms * float64(time.Millisecond))
	return nil
}

// Between two tries where the gateway names no time of its own.
const (
	firstPause = 50 * time.Millisecond
	maxPause   = time.Second
)

// told takes one reply into the story. It says whether the person is done, or how long to wait before asking again:
// about ClaimID where there is one, else for the coupon once more.
func (r *Record) told(a client.Answer, err error) (done bool, pause time.Duration) {
	r.Requests++
	polling := r.ClaimID != ""
	if err == nil {
		r.Error, r.refused = "", 0
		return r.answered(a)
	}
	r.Error = err.Error()
	var p *client.Problem
	if errors.As(err, &p) {
		return r.problem(p, polling)
	}
	r.door++
	if !polling {
		r.Lost++
	}
	return false, r.backoff()
}

// left ends the story.
func (r *Record) left(now time.Time) {
	from := r.AskedAt
	if !r.DueAt.IsZero() {
		from = r.DueAt
	}
	r.Took = Duration(now.Sub(from))
	if r.Outcome != "" {
		r.AnsweredAt = now
	}
}

func (r *Record) answered(a client.Answer) (done bool, pause time.Duration) {
	if r.ClaimID != "" && a.ClaimID != "" && a.ClaimID != r.ClaimID {
		r.Broken = append(r.Broken, fmt.Sprintf("asked about the claim %s, was answered about %s", r.ClaimID, a.ClaimID))
	}
	r.follow(a.ClaimID)
	if a.Status == client.Pending {
		if r.PendingAt.IsZero() {
			r.PendingAt = time.Now()
		}
		if r.Outcome != "" {
			r.Broken = append(r.Broken, fmt.Sprintf("was told %s, then pending", r.Outcome))
			return true, 0
		}
		if a.RetryAfter > 0 {
			return false, a.RetryAfter
		}
		return false, r.backoff()
	}
	r.final(a)
	return true, 0
}

// follow takes the claim id that was told, if one was.
func (r *Record) follow(claimID string) {
	if claimID == "" || claimID == r.ClaimID {
		return
	}
	if r.ClaimID != "" {
		r.EarlierClaimIDs = append(r.EarlierClaimIDs, r.ClaimID)
	}
	r.ClaimID = claimID
}

// final notes a decision, and where one was told before, whether both are the same.
func (r *Record) final(a client.Answer) {
	told := a.Outcome
	if a.Status == client.Granted {
		told = client.Granted
	}
	if r.decided != "" {
		if told != r.decided || differ(a.Sequence, r.Sequence) || differ(a.GrantID, r.GrantID) {
			r.Broken = append(r.Broken, fmt.Sprintf("was told %s, then %s", describe(r.decided, r.Sequence, r.GrantID), describe(told, a.Sequence, a.GrantID)))
		}
		return
	}
	r.decided, r.Outcome, r.Window, r.Sequence, r.GrantID = told, told, a.Window, a.Sequence, a.GrantID
	if told == alreadyIssued {
		r.earlier()
	}
}

// differ says that both are known, and not the same.
func differ[T comparable](a, b T) bool {
	var unknown T
	return a != unknown && b != unknown && a != b
}

const alreadyIssued = "already_issued"

// earlier explains an already_issued: each person asks for one, so it can only be of a claim whose answer was lost. Where
// the earlier grant was told with it, the person was granted that.
func (r *Record) earlier() {
	if r.Lost == 0 {
		r.Broken = append(r.Broken, fmt.Sprintf("was told already_issued (sequence %d) at the first time of asking", r.Sequence))
	}
	if r.Sequence != 0 {
		r.Outcome = client.Granted
	}
}

func describe(outcome string, sequence int64, grantID string) string {
	if sequence == 0 {
		return outcome
	}
	return fmt.Sprintf("%s with sequence %d (grant %s)", outcome, sequence, grantID)
}

// problem sorts what is no decision: try again, follow the claim that is on its way, or give up.
func (r *Record) problem(p *client.Problem, polling bool) (done bool, pause time.Duration) {
	pause = p.RetryAfter
	if pause == 0 {
		pause = r.backoff()
	}
	switch {
	case p.Name == "duplicate-request":
		if p.ClaimID != "" {
			r.follow(p.ClaimID)
			return false, 0
		}
		return false, pause
	case p.Name == "retired":
		r.Outcome = "retired"
		return true, 0
	case p.Status >= 500 || p.Status == http.StatusTooManyRequests:
		if !polling && p.Status != http.StatusTooManyRequests {
			r.Lost++
		}
		r.refused++
		return false, pause
	}
	return true, 0
}

// maxSpread bounds how many times longer than asked for someone stays away.
const maxSpread = 8

// spread makes those who were turned away together come back apart, and the more so the longer it is too much: a crowd
// that returns as one every second keeps a slow machine busy with turning it away. share is from 0 to 1.
func (r *Record) spread(pause time.Duration, share float64) time.Duration {
	times := min(1<<min(r.refused, 10), maxSpread)
	if r.refused == 0 {
		return pause
	}
	return pause + time.Duration(share*float64(pause)*float64(times-1))
}

func (r *Record) backoff() time.Duration {
	return min(firstPause<<min(r.Requests-1, 10), maxPause)
}
