package gateway

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/internal/problem"
	"github.com/firstcome/firstcome/internal/redislayout"
	"github.com/firstcome/firstcome/internal/telemetry"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/services/gateway/internal/redisstore"
	"github.com/firstcome/firstcome/services/gateway/verdict"
)

// postClaim keeps the order of checks of the design: who asks, how often, and what; then, in one script, whether it was asked
// before under this Idempotency-Key, the guard and the rules; then the append. Its frame is small, as tens of thousands may
// wait in it.
func (s *Service) postClaim(w http.ResponseWriter, r *http.Request) error {
	began := time.Now()
	a, err := s.readAsked(w, r)
	if err != nil {
		return err
	}
	wait := preferredWait(r.Header)
	if wait > 0 {
		if p, free := s.waiters.Reserve(); free {
			a.place = p
			defer s.waiters.Leave(p)
		}
	}
	if err := s.claim(r.Context(), a); err != nil {
		return err
	}
	if a.place != nil {
		w.Header().Set("Preference-Applied", "wait="+strconv.Itoa(int(wait/time.Second)))
		a.verdict = s.await(r.Context(), a.log, a.ticket, a.place, began.Add(wait))
	}
	return s.answerPost(w, a.log, a.ticket, a.verdict)
}

// asked is a claim that was read, and what becomes of it.
type asked struct {
	log     *requestsLog
	ticket  verdict.Ticket // its place in the log is not known before claim
	key     redisstore.Idempotency
	place   *waiter // nil: the person does not wait
	verdict verdict.Verdict
}

// readAsked gives who asks for what, if they may. A person whom a back end names is known only once the body is read, so
// their limit comes then.
func (s *Service) readAsked(w http.ResponseWriter, r *http.Request) (*asked, error) {
	who, err := s.claimer(r)
	if err != nil {
		return nil, err
	}
	if who.user != "" {
		if err := s.persons.Take(w, askerOf(who.user)); err != nil {
			return nil, err
		}
	}
	couponID := r.PathValue("id")
	if event.CheckCouponID(couponID) != nil {
		return nil, refused(fcfs.UnknownCoupon)
	}
	key, err := idempotencyKey(r.Header)
	if err != nil {
		return nil, err
	}
	userID, err := readClaim(w, r, who)
	if err != nil {
		return nil, err
	}
	if who.user == "" {
		if err := s.persons.Take(w, askerOf(userID)); err != nil {
			return nil, err
		}
	}
	telemetry.Annotate(r.Context(), slog.String("coupon", telemetry.Hash(couponID)), slog.String("user", telemetry.Hash(userID)))
	log, err := s.open()
	if err != nil {
		return nil, err
	}
	t := verdict.Ticket{Partition: event.Partition(couponID, log.Count()), CouponID: couponID, UserID: userID}
	return &asked{log: log, ticket: t, key: idempotency(key, who.principal, couponID, userID)}, nil
}

// claim has a place in flight until the claim is in the log: who only waits for the outcome takes none.
func (s *Service) claim(ctx context.Context, a *asked) error {
	leave, err := s.enter()
	if err != nil {
		return err
	}
	defer leave()
	passed, err := s.take(ctx, a.log, a.ticket, a.key)
	a.ticket, a.verdict.Position = passed.ticket, max(0, passed.ticket.Offset-passed.progress)
	return err
}

// readClaim gives whom a claim is for.
func readClaim(w http.ResponseWriter, r *http.Request, who claimer) (userID string, err error) {
	o, err := readObject(w, r)
	if err != nil {
		return "", err
	}
	userID = o.String("user_id", who.user == "")
	if len(o.Errors()) == 0 && (who.user == "" || o.Has("user_id")) {
		if err := event.CheckUserID(userID); err != nil {
			o.Fail("user_id", err.Error())
		}
	}
	if err := finish(o); err != nil {
		return "", err
	}
	return who.speaksFor(userID)
}

// pass is what a claim that was let through has in hand.
type pass struct {
	knock    redisstore.Knock
	ticket   verdict.Ticket // its place in the log is not known before the append
	replayed bool           // it is there already
	window   string         // of its guard
	progress int64          // of the partition, just before
}

// placed is a claim at a place in the log.
func placed(t verdict.Ticket, at redislayout.Ticket) verdict.Ticket {
	t.Offset, t.AppendTime = at.Offset, at.AppendTime
	return t
}

// take takes a claim into the log, unless it is there or is refused. It does not end with the person's connection: what has
// come in is a claim, and those behind it are told that they are not the first.
func (s *Service) take(ctx context.Context, log *requestsLog, t verdict.Ticket, i redisstore.Idempotency) (pass, error) {
	ctx = context.WithoutCancel(ctx)
	p, err := s.admit(ctx, log, t, i)
	if err == nil && !p.replayed {
		p.ticket, err = s.append(ctx, log, t, p)
	}
	return p, err
}

// admit lets a claim through to the log, or refuses it. Whoever is let through has the guard.
func (s *Service) admit(ctx context.Context, log *requestsLog, t verdict.Ticket, i redisstore.Idempotency) (pass, error) {
	if err := s.shed(log, t.Partition); err != nil {
		return pass{}, err
	}
	heard, err := log.Heard(ctx, t.Partition)
	if err != nil {
		s.count("failed")
		return pass{}, unavailable("the log cannot be reached", err)
	}
	knock := redisstore.Knock{
		Partition: t.Partition, CouponID: t.CouponID, UserID: t.UserID,
		Heard: heard, Token: newToken(), Guard: guardPending, Rules: verdict.RulesAt(fcfs.FromTime(s.now())), Idempotency: i,
	}
	door, err := s.store.Admit(ctx, knock)
	switch {
	case err != nil:
		s.count("failed")
		s.releases.Go(func() { s.abandon(ctx, knock, door.Window) }) // the call may have been made all the same
		return pass{}, unavailable("claims cannot be checked right now", err)
	case door.Held != "":
		s.count("held")
		return pass{}, s.duplicate(t, door.Held)
	}
	log.Hear(t.Partition, door.Progress.Offset)
	if door.Remembered != nil {
		return s.remembered(t, knock, door)
	}
	if door.Refused != fcfs.None {
		s.count(door.Refused.String())
		return pass{}, withGrant(refused(door.Refused), log, t, door.Window, door.Entry)
	}
	return pass{knock: knock, ticket: t, window: door.Window, progress: door.Progress.Offset}, nil
}

// shed turns a claim away at once where it could only wait: the people who are already waiting come first.
func (s *Service) shed(log *requestsLog, partition int32) error {
	switch {
	case !s.redis.Up() || !s.brokers.Up():
	case log.producer.OldestUnacknowledged(partition) > shedAfter:
	default:
		return nil
	}
	s.count("shed")
	return unavailable("no claims can be taken right now", nil)
}

// duplicate is said to somebody whose guard is held: by a claim that is in the log, or one on its way there.
func (s *Service) duplicate(t verdict.Ticket, guard string) error {
	p := problem.New(problem.DuplicateRequest, "this person asked for this coupon a moment ago")
	held, err := redislayout.ParseTicket(guard)
	if err != nil || held.Partition != t.Partition {
		return p.After(time.Second)
	}
	return p.With("claim_id", s.sealer.Seal(placed(t, held)))
}

// append puts the claim into the log, and its place there into guard and idempotency key; on failure both are given up.
func (s *Service) append(ctx context.Context, log *requestsLog, t verdict.Ticket, p pass) (verdict.Ticket, error) {
	at, err := s.publish(ctx, log, event.ClaimRequested{CouponID: t.CouponID, UserID: t.UserID}.Message)
	if err != nil {
		s.count("failed")
		s.abandon(ctx, p.knock, p.window)
		return t, unavailable("the claim may not have been taken: ask again, you cannot get two", err)
	}
	s.count("appended")
	if _, err := s.store.Settle(ctx, p.knock, p.window, at, guardHeld, rememberFor); err != nil {
		// The claim is in the log: a click too early, or again with the same key, is let through, and the log refuses it.
		s.log.Warn("a guard could not be settled", "error", err.Error())
	}
	return placed(t, at), nil
}

// publish appends a record and waits until all in-sync replicas have it.
func (s *Service) publish(ctx context.Context, log *requestsLog, encode func(event.Meta) (event.Message, error)) (redislayout.Ticket, error) {
	m, err := encode(event.Meta{
		Source: "/firstcome/gateway", Time: log.clock(),
		CorrelationID: telemetry.CorrelationID(ctx), TraceParent: telemetry.TraceParent(ctx),
	})
	if err != nil {
		return redislayout.Ticket{}, err
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, appendDeadline)
	defer cancel()
	ack, err := log.producer.Publish(ctx, m)
	s.metrics.append.Observe(time.Since(began).Seconds())
	if err != nil {
		return redislayout.Ticket{}, err
	}
	appended := ack.AppendTime
	if appended.IsZero() { // the topic has CreateTime: then the record's own time is what the issuer sees
		appended = m.Time
	}
	return redislayout.Ticket{Partition: ack.Partition, Offset: ack.Offset, AppendTime: fcfs.FromTime(appended)}, nil
}

// abandon gives up a guard, and an idempotency key. What cannot be given up goes by itself, a few seconds later.
func (s *Service) abandon(ctx context.Context, k redisstore.Knock, window string) {
	if err := s.store.Release(ctx, k, window); err != nil {
		s.log.Warn("a guard could not be released", "error", err.Error())
	}
}

func (s *Service) count(result string) { s.metrics.claims.WithLabelValues(result).Inc() }

func newToken() string {
	var random [12]byte
	_, _ = rand.Read(random[:]) // never fails
	return redislayout.PendingMark + hex.EncodeToString(random[:])
}
