package crowd

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/firstcome/firstcome/cli/internal/client"
)

type said struct {
	answer client.Answer
	err    error
}

func refused(outcome, claimID string) said {
	return said{answer: client.Answer{Status: client.Refused, Outcome: outcome, ClaimID: claimID}}
}

func granted(sequence int64, grantID string) said {
	return said{answer: client.Answer{Status: client.Granted, ClaimID: "x", Sequence: sequence, GrantID: grantID}}
}

func problem(name string, status int, claimID string) said {
	return said{err: &client.Problem{Name: name, Status: status, ClaimID: claimID, RetryAfter: time.Second}}
}

var (
	lost      = said{err: errors.New("connection reset")}
	pending   = said{answer: client.Answer{Status: client.Pending, ClaimID: "x", RetryAfter: time.Second}}
	hasGrant4 = said{answer: client.Answer{Status: client.Refused, Outcome: "already_issued", Sequence: 4, GrantID: "g"}}
)

func TestRecord_Told(t *testing.T) {
	for _, c := range []struct {
		name     string
		replies  []said
		outcome  string
		sequence int64
		done     bool
		broken   string
	}{
		{name: "granted at once", replies: []said{granted(1, "g")}, outcome: "granted", sequence: 1, done: true},
		{name: "refused early", replies: []said{refused("sold_out", "")}, outcome: "sold_out", done: true},
		{name: "pending, then granted", replies: []said{pending, granted(2, "g")}, outcome: "granted", sequence: 2, done: true},
		{name: "busy, then granted", replies: []said{problem("unavailable", 503, ""), granted(2, "g")}, outcome: "granted", sequence: 2, done: true},
		{name: "answer lost, found by the duplicate's claim id", replies: []said{lost, problem("duplicate-request", 409, "x"), granted(3, "g")}, outcome: "granted", sequence: 3, done: true},
		{name: "answer lost, claim not known yet", replies: []said{lost, problem("duplicate-request", 409, "")}},
		{name: "answer lost, the grant told by the refusal", replies: []said{lost, hasGrant4}, outcome: "granted", sequence: 4, done: true},
		{name: "already issued by the log, sequence not told", replies: []said{lost, refused("already_issued", "x")}, outcome: "already_issued", done: true},
		{name: "not allowed", replies: []said{problem("unauthorized", 401, "")}, done: true},
		{name: "retired", replies: []said{pending, problem("retired", 410, "")}, outcome: "retired", done: true},
		{name: "connection lost while polling", replies: []said{pending, lost}},

		{name: "already issued to one who never asked", replies: []said{hasGrant4}, outcome: "granted", sequence: 4, done: true, broken: "at the first time of asking"},
		{name: "another sequence", replies: []said{granted(1, "g"), granted(2, "h")}, outcome: "granted", sequence: 1, done: true, broken: "then granted with sequence 2"},
		{name: "taken back", replies: []said{granted(1, "g"), refused("sold_out", "x")}, outcome: "granted", sequence: 1, done: true, broken: "then sold_out"},
		{name: "granted after all", replies: []said{refused("sold_out", "x"), granted(1, "g")}, outcome: "sold_out", done: true, broken: "was told sold_out, then granted"},
		{name: "undecided again", replies: []said{granted(1, "g"), pending}, outcome: "granted", sequence: 1, done: true, broken: "then pending"},
		{name: "told of another claim", replies: []said{pending, {answer: client.Answer{Status: client.Granted, ClaimID: "y", Sequence: 1}}}, outcome: "granted", sequence: 1, done: true,
			broken: "was answered about y"},
		{name: "the same again", replies: []said{lost, hasGrant4, refused("already_issued", "")}, outcome: "granted", sequence: 4, done: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r Record
			var done bool
			for _, reply := range c.replies {
				done, _ = r.told(reply.answer, reply.err)
			}
			if r.Outcome != c.outcome || r.Sequence != c.sequence || done != c.done {
				t.Errorf("got outcome %q, sequence %d, done %v", r.Outcome, r.Sequence, done)
			}
			if broken := strings.Join(r.Broken, "; "); (c.broken == "") != (broken == "") || !strings.Contains(broken, c.broken) {
				t.Errorf("contradictions %q, want %q", broken, c.broken)
			}
		})
	}
}

// What the audit of a load needs: every claim id that was told, and that a decision was promised.
func TestRecord_Claims(t *testing.T) {
	var r Record
	for _, reply := range []said{lost, problem("duplicate-request", 409, "w"), pending, pending, granted(1, "g")} {
		if promised := r.ClaimID == "x"; promised == r.PendingAt.IsZero() {
			t.Errorf("with claim %q: told pending at %v", r.ClaimID, r.PendingAt)
		}
		r.told(reply.answer, reply.err)
	}
	if r.ClaimID != "x" || !slices.Equal(r.EarlierClaimIDs, []string{"w"}) {
		t.Errorf("got the claim %q, before it %q", r.ClaimID, r.EarlierClaimIDs)
	}
}

func TestRecord_Pause(t *testing.T) {
	for _, c := range []struct {
		name  string
		reply said
		want  time.Duration
	}{
		{"as the gateway says", problem("unavailable", 503, ""), time.Second},
		{"as a pending answer says", pending, time.Second},
		{"a claim id can be followed at once", problem("duplicate-request", 409, "x"), 0},
		{"short after the first lost connection", lost, firstPause},
	} {
		var r Record
		if _, got := r.told(c.reply.answer, c.reply.err); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	r := Record{Requests: 1000}
	if _, got := r.told(client.Answer{}, lost.err); got != maxPause {
		t.Errorf("after a thousand requests %v, want %v", got, maxPause)
	}
}

func TestRecord_Spread(t *testing.T) {
	var r Record
	busy := problem("unavailable", 503, "")
	for _, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 8 * time.Second} {
		if got := r.spread(time.Second, 1); got != want {
			t.Errorf("refused %d times: at most %v, want %v", r.refused, got, want)
		}
		if got := r.spread(time.Second, 0); got != time.Second {
			t.Errorf("refused %d times: at least %v, want what the gateway says", r.refused, got)
		}
		r.told(busy.answer, busy.err)
	}
	r.told(pending.answer, nil)
	if got := r.spread(time.Second, 1); got != time.Second {
		t.Errorf("answered since: %v, want what the gateway says", got)
	}
}
