package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/internal/lifecycle"
	"github.com/firstcome/firstcome/internal/problem"
	"github.com/firstcome/firstcome/internal/telemetry"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/gateway/internal/redisstore"
	"github.com/firstcome/firstcome/services/gateway/verdict"
)

const timeLayout = "2006-01-02T15:04:05.000Z"

func timeText(m fcfs.Millis) string {
	if m == 0 {
		return ""
	}
	return m.Time().Format(timeLayout)
}

// claimBody is the body of every answer about a claim that is no problem.
type claimBody struct {
	ClaimID  string `json:"claim_id"`
	CouponID string `json:"coupon_id"`
	Status   string `json:"status"` // pending, granted, refused
	Outcome  string `json:"outcome,omitempty"`
	Position int64  `json:"position,omitempty"`

	Window      *string    `json:"window,omitempty"`
	Sequence    int64      `json:"sequence,omitempty"`
	GrantID     string     `json:"grant_id,omitempty"`
	RequestedAt string     `json:"requested_at,omitempty"`
	Grant       *grantBody `json:"grant,omitempty"` // the earlier one, with already_issued
}

type grantBody struct {
	GrantID  string `json:"grant_id"`
	Sequence int64  `json:"sequence"`
	Window   string `json:"window"`
}

func (l *requestsLog) grant(t verdict.Ticket, window string, e fcfs.Entry) grantBody {
	return grantBody{fcfs.GrantID(l.topic, fcfs.Source{Partition: t.Partition, Offset: e.Offset}), e.Sequence, window}
}

func withGrant(p *problem.Problem, l *requestsLog, t verdict.Ticket, window string, e *fcfs.Entry) *problem.Problem {
	if e == nil {
		return p
	}
	return p.With("grant", l.grant(t, window, *e))
}

func (s *Service) claimBody(l *requestsLog, t verdict.Ticket, v verdict.Verdict) claimBody {
	b := claimBody{ClaimID: s.sealer.Seal(t), CouponID: t.CouponID, Status: "pending", Position: v.Position}
	switch v.Outcome {
	case fcfs.None:
		return b
	case fcfs.Granted:
		g := l.grant(t, v.Window, *v.Entry)
		b.Status, b.Window, b.Sequence, b.GrantID, b.RequestedAt = "granted", &g.Window, g.Sequence, g.GrantID, timeText(t.AppendTime)
		return b
	}
	b.Status, b.Outcome = "refused", v.Outcome.String()
	if v.Entry != nil {
		g := l.grant(t, v.Window, *v.Entry)
		b.Grant = &g
	}
	return b
}

// answerPost answers a claim that is in the log.
func (s *Service) answerPost(w http.ResponseWriter, l *requestsLog, t verdict.Ticket, v verdict.Verdict) error {
	body := s.claimBody(l, t, v)
	switch v.Outcome {
	case fcfs.Granted:
		return writeJSON(w, http.StatusOK, body)
	case fcfs.None:
		w.Header().Set("Location", "/v1/claims/"+body.ClaimID)
		w.Header().Set("Retry-After", "1")
		return writeJSON(w, http.StatusAccepted, body)
	}
	return withGrant(refused(v.Outcome), l, t, v.Window, v.Entry).With("claim_id", body.ClaimID)
}

// getClaim is for whoever holds the id: nobody can guess one.
func (s *Service) getClaim(w http.ResponseWriter, r *http.Request) error {
	c, err := s.claimOf(r)
	if err != nil {
		return err
	}
	w.Header().Add("Vary", "Accept")
	if prefersStream(r.Header) {
		return s.followClaim(w, r, c)
	}
	return s.tellClaim(w, r, c)
}

// askedClaim is the claim that a request asks after.
type askedClaim struct {
	id string // as it was sent
	t  verdict.Ticket
	l  *requestsLog
}

func (s *Service) claimOf(r *http.Request) (*askedClaim, error) {
	c := &askedClaim{id: r.PathValue("id")}
	var err error
	if c.t, err = s.sealer.Open(c.id); err != nil {
		return nil, problem.New(problem.UnknownClaim, "")
	}
	telemetry.Annotate(r.Context(), slog.String("claim", telemetry.Hash(c.id)))
	if c.l, err = s.open(); err != nil {
		return nil, err
	}
	if c.t.Partition != event.Partition(c.t.CouponID, c.l.Count()) {
		return nil, problem.New(problem.UnknownClaim, "")
	}
	return c, nil
}

func (s *Service) tellClaim(w http.ResponseWriter, r *http.Request, c *askedClaim) error {
	v, err := s.look(r.Context(), c.l, c.t)
	if err != nil {
		return unreadable(err)
	}
	switch v.Outcome {
	case fcfs.None:
		w.Header().Set("Retry-After", "1")
	case fcfs.Retired:
		return retired(c.id)
	}
	return writeJSON(w, http.StatusOK, s.claimBody(c.l, c.t, v))
}

func unreadable(cause error) error {
	return unavailable("the claim is in the log, and its answer cannot be read right now", cause)
}

func retired(claimID string) error { return refused(fcfs.Retired).With("claim_id", claimID) }

// look tells what is known about a claim right now.
func (s *Service) look(ctx context.Context, l *requestsLog, t verdict.Ticket) (verdict.Verdict, error) {
	heard, err := l.Heard(ctx, t.Partition) // before the read: what is heard of after it may be newer
	if err != nil {
		return verdict.Verdict{}, err
	}
	r, err := s.store.Read(ctx, redisstore.Question{
		Partition: t.Partition, CouponID: t.CouponID, UserID: t.UserID, Window: verdict.WindowOf(t),
	})
	if err != nil {
		return verdict.Verdict{}, err
	}
	l.Hear(t.Partition, r.Progress.Offset)
	return verdict.Judge(t, r, heard), nil
}

// lookInTurn is look for people who wait. One message may wake tens of thousands of them: of each partition a few look at
// a time, so that Redis answers the door meanwhile, and that nobody's read waits longer for the others than a read may
// take.
func (s *Service) lookInTurn(ctx context.Context, l *requestsLog, t verdict.Ticket) (verdict.Verdict, error) {
	turn := l.turns[t.Partition]
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
		return s.look(ctx, l, t)
	case <-lifecycle.Draining(ctx):
		return verdict.Verdict{}, errStopping
	case <-ctx.Done():
		return verdict.Verdict{}, ctx.Err()
	}
}

var errStopping = errors.New("the gateway is stopping")

// await looks each time that progress has reached the claim, until the answer is final, the time is over, the person has
// gone or the gateway stops.
func (s *Service) await(ctx context.Context, l *requestsLog, t verdict.Ticket, place *waiter, until time.Time) verdict.Verdict {
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	for {
		s.waiters.Wait(place, t.Partition, t.Offset)
		if l.heard[t.Partition].Load() >= t.Offset {
			if v, err := s.lookInTurn(ctx, l, t); err == nil && v.Outcome != fcfs.None {
				return v
			}
		}
		select {
		case <-place.C:
			continue
		case <-lifecycle.Draining(ctx):
		case <-ctx.Done():
		}
		return verdict.Verdict{Position: l.Position(t)}
	}
}
