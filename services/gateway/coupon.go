package gateway

import (
	"context"
	"fmt"
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

type couponBody struct {
	CouponID      string      `json:"coupon_id"`
	Limit         int64       `json:"limit"`
	Granted       int64       `json:"granted"`
	Remaining     int64       `json:"remaining"`
	Status        string      `json:"status"`
	Window        fcfs.Window `json:"window"`
	CurrentWindow string      `json:"current_window"`
	TimeZone      string      `json:"time_zone"`
	OpensAt       string      `json:"opens_at,omitempty"`
	ClosesAt      string      `json:"closes_at,omitempty"`
}

// describe tells what a coupon is at a time; the counters of the reading are those of that time's window. It is for
// people to look at: no claim is ever decided by it.
func describe(r verdict.Reading, now fcfs.Millis) couponBody {
	d := r.Current()
	return couponBody{
		CouponID: d.CouponID, Limit: d.Limit, Granted: r.Granted, Remaining: max(0, d.Limit-r.Granted),
		Status: status(d, r.Granted, now), Window: d.Window, CurrentWindow: r.Window, TimeZone: d.TimeZone,
		OpensAt: timeText(d.OpensAt), ClosesAt: timeText(d.ClosesAt),
	}
}

func status(d fcfs.Definition, granted int64, now fcfs.Millis) string {
	switch _, refused := d.Admit(now, now); {
	case refused == fcfs.Closed:
		return "closed"
	case refused == fcfs.NotOpen:
		return "scheduled"
	case granted >= d.Limit:
		return "sold_out"
	}
	return "open"
}

// ask is what to read of a coupon at a time.
func (l *requestsLog) ask(couponID string, now fcfs.Millis) redisstore.Question {
	return redisstore.Question{
		Partition: event.Partition(couponID, l.Count()), CouponID: couponID,
		Window: func(definitions []fcfs.Defined) string {
			if len(definitions) == 0 {
				return ""
			}
			return definitions[len(definitions)-1].WindowAt(now)
		},
	}
}

var errBehind = unavailable("the state of the coupons is being restored", nil)

// readFresh reads a coupon from a state that is not older than what was heard.
func (s *Service) readFresh(ctx context.Context, l *requestsLog, q redisstore.Question) (verdict.Reading, error) {
	heard, err := l.Heard(ctx, q.Partition)
	if err != nil {
		return verdict.Reading{}, unavailable("the log cannot be reached", err)
	}
	r, err := s.store.Read(ctx, q)
	if err != nil {
		return r, unavailable("coupons cannot be read right now", err)
	}
	l.Hear(q.Partition, r.Progress.Offset)
	if r.Progress.Offset < heard {
		return r, errBehind
	}
	return r, nil
}

func (s *Service) getCoupon(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	if event.CheckCouponID(id) != nil {
		return refused(fcfs.UnknownCoupon)
	}
	l, err := s.open()
	if err != nil {
		return err
	}
	now := fcfs.FromTime(s.now())
	coupon, err := s.readFresh(r.Context(), l, l.ask(id, now))
	if err != nil {
		return err
	}
	if len(coupon.Definitions) == 0 {
		return refused(fcfs.UnknownCoupon)
	}
	return writeJSON(w, http.StatusOK, describe(coupon, now))
}

// putCoupon defines a coupon, or defines it anew. Whether that takes effect is decided by the log, as everything is.
func (s *Service) putCoupon(w http.ResponseWriter, r *http.Request) error {
	if err := s.admins(r); err != nil {
		return err
	}
	d, err := readDefinition(w, r)
	if err != nil {
		return err
	}
	telemetry.Annotate(r.Context(), slog.String("coupon", telemetry.Hash(d.CouponID)))
	l, err := s.open()
	if err != nil {
		return err
	}
	place := s.waiters.Always()
	defer s.waiters.Leave(place)
	until := time.Now().Add(outcomeWait)
	if err := s.shed(l, event.Partition(d.CouponID, l.Count())); err != nil {
		return err
	}
	at, err := s.publish(context.WithoutCancel(r.Context()), l, defined(d).Message)
	if err != nil {
		return unavailable("the definition may not have been taken: put it again", err)
	}
	outcome, coupon := s.awaitDefinition(r.Context(), l, d, at.Offset, place, until)
	return s.answerPut(w, d.CouponID, outcome, coupon)
}

func (s *Service) answerPut(w http.ResponseWriter, couponID string, outcome fcfs.Outcome, coupon verdict.Reading) error {
	switch outcome {
	case fcfs.Created:
		w.Header().Set("Location", "/v1/coupons/"+couponID)
		return writeJSON(w, http.StatusCreated, describe(coupon, fcfs.FromTime(s.now())))
	case fcfs.Changed:
		return writeJSON(w, http.StatusOK, describe(coupon, fcfs.FromTime(s.now())))
	case fcfs.Conflict:
		return problem.New(problem.DefinitionConflict, "window and time zone cannot change once a coupon was granted")
	case fcfs.Retired:
		return problem.New(problem.Retired, "the coupon closed more than a day ago, and cannot come back")
	case fcfs.Invalid:
		return problem.InvalidFields(problem.FieldError{
			Parameter: "id", Detail: fmt.Sprintf("has %d definitions, and may have no more", fcfs.MaxDefinitions),
		})
	case fcfs.None:
		return unavailable("the definition is in the log, and not yet decided", nil)
	}
	return problem.New(problem.Internal, "").Because(fmt.Errorf("a definition with outcome %s", outcome))
}

// awaitDefinition waits until the log has decided. None: it has not, or nobody can tell.
func (s *Service) awaitDefinition(ctx context.Context, l *requestsLog, d fcfs.Definition, offset int64, place *waiter,
	until time.Time) (fcfs.Outcome, verdict.Reading) {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	q := l.ask(d.CouponID, fcfs.FromTime(s.now()))
	for {
		s.waiters.Wait(place, q.Partition, offset)
		if heard := l.heard[q.Partition].Load(); heard >= offset {
			r, err := s.store.Read(ctx, q)
			if outcome := verdict.JudgeDefinition(d, offset, r, heard); err == nil && outcome != fcfs.None {
				return outcome, r
			}
		}
		select {
		case <-place.C:
		case <-timer.C:
			return fcfs.None, verdict.Reading{}
		case <-lifecycle.Draining(ctx):
			return fcfs.None, verdict.Reading{}
		case <-ctx.Done():
			return fcfs.None, verdict.Reading{}
		}
	}
}
