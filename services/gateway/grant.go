package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/internal/problem"
	"github.com/firstcome/firstcome/internal/telemetry"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/gateway/verdict"
)

// heldBody is the answer to "do I have it?".
type heldBody struct {
	CouponID string `json:"coupon_id"`
	UserID   string `json:"user_id"`
	Window   string `json:"window"`
	Sequence int64  `json:"sequence"`
	GrantID  string `json:"grant_id"`
}

// getGrant answers "do I have it?" for the current window by the gateway's clock. Nobody who was told granted in it is
// told not-granted: the state is never older than what was heard, people that Redis has dropped are asked of the ledger,
// and around midnight both days count.
func (s *Service) getGrant(w http.ResponseWriter, r *http.Request) error {
	userID, err := s.askedUser(r)
	if err != nil {
		return err
	}
	couponID := r.PathValue("id")
	if event.CheckCouponID(couponID) != nil {
		return refused(fcfs.UnknownCoupon)
	}
	telemetry.Annotate(r.Context(), slog.String("coupon", telemetry.Hash(couponID)), slog.String("user", telemetry.Hash(userID)))
	l, err := s.open()
	if err != nil {
		return err
	}
	held, err := s.held(r.Context(), l, couponID, userID)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, held)
}

// askedUser is the person whose grant is asked for: a claim token names any, by user_id; a JWT need not repeat its own.
func (s *Service) askedUser(r *http.Request) (userID string, err error) {
	who, err := s.claimer(r)
	if err != nil {
		return "", err
	}
	values, wrong := r.URL.Query()["user_id"], "must be given once"
	switch {
	case len(values) == 0 && who.user != "":
		return who.user, nil
	case len(values) == 1:
		err := event.CheckUserID(values[0])
		if err == nil {
			return who.speaksFor(values[0])
		}
		wrong = err.Error()
	}
	return "", problem.InvalidFields(problem.FieldError{Parameter: "user_id", Detail: wrong})
}

// held looks into the current window and, around a day's end, into that of a clock that is a little off.
func (s *Service) held(ctx context.Context, l *requestsLog, couponID, userID string) (heldBody, error) {
	now := fcfs.FromTime(s.now())
	r, body, err := s.heldAt(ctx, l, couponID, userID, now)
	if err != nil || body.GrantID != "" {
		return body, err
	}
	if other, near := verdict.OtherDay(r.Current(), now); near {
		_, body, err = s.heldAt(ctx, l, couponID, userID, other)
		if err != nil || body.GrantID != "" {
			return body, err
		}
	}
	return body, problem.New(problem.NotGranted, "this person holds no coupon in "+windowText(r.Window)+"; a claim that is pending may still be granted")
}

func windowText(window string) string {
	if window == "" {
		return "its one window"
	}
	return "the window " + window
}

// heldAt looks into the window of one moment; without an error and a grant id the person holds nothing in it.
func (s *Service) heldAt(ctx context.Context, l *requestsLog, couponID, userID string, at fcfs.Millis) (verdict.Reading, heldBody, error) {
	q := l.ask(couponID, at)
	q.UserID = userID
	r, err := s.readFresh(ctx, l, q)
	body := heldBody{CouponID: couponID, UserID: userID, Window: r.Window}
	switch {
	case err != nil:
		return r, body, err
	case len(r.Definitions) == 0:
		return r, body, refused(fcfs.UnknownCoupon)
	case r.Dropped():
		body, err = s.heldByLedger(ctx, r, body)
	case r.Entry != nil:
		g := l.grant(verdict.Ticket{Partition: q.Partition}, r.Window, *r.Entry)
		body.Sequence, body.GrantID = g.Sequence, g.GrantID
	}
	return r, body, err
}

// heldByLedger asks the ledger about a window whose people Redis has dropped.
func (s *Service) heldByLedger(ctx context.Context, r verdict.Reading, body heldBody) (heldBody, error) {
	if s.ledger == nil {
		return body, refused(fcfs.Retired)
	}
	g, err := s.ledger.Grant(ctx, body.CouponID, body.UserID, body.Window, r.Total)
	if errors.Is(err, errArchived) {
		return body, problem.New(problem.Retired, "the coupon is retired, and its grants were archived: nobody can tell here who holds one")
	}
	if err != nil {
		return body, unavailable("the coupon is retired, and the ledger cannot tell right now", err)
	}
	body.Sequence, body.GrantID = g.Sequence, g.GrantID
	return body, nil
}
