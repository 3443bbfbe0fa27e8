package redisstore

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/internal/redislayout"
	"github.com/firstcome/firstcome/services/gateway/verdict"
)

// Knock is one claim at the door.
type Knock struct {
	Partition int32
	CouponID  string
	UserID    string
	// Heard is the highest progress that is known to have been reached: a state below it refuses nobody.
	Heard int64
	// Token is what the guard holds while the claim is on its way to the log: redislayout.PendingMark and something random.
	Token string
	// Guard is for how long it does so at most, as does the idempotency key.
	Guard time.Duration
	// Rules applies the rules about time to the definition in force; nil where the coupon has none.
	Rules func(*fcfs.Definition) verdict.Ruling
	// Idempotency is zero where the person sent no key.
	Idempotency Idempotency
}

// Idempotency is an Idempotency-Key and what was asked with it, both as hashes of redislayout.HashLength.
type Idempotency struct{ Key, Request string }

// Door is the answer. Just one of these: Remembered is what another request with the same idempotency key left; Held is the
// guard that somebody else holds; Refused is an early refusal, by a state not older than Patience; else guard and key are
// taken and the claim may be appended.
type Door struct {
	Remembered *redislayout.Remembered
	Held       string
	Refused    fcfs.Outcome
	Entry      *fcfs.Entry // with AlreadyIssued
	Window     string
	Progress   redislayout.Progress
}

// tries bounds how often a claim begins again because its coupon was defined anew meanwhile.
const tries = 4

// Admit looks at the idempotency key, the guard and the rules, in their order, and takes guard and key, all in one atomic
// call. Of one person's claims the one that came first is looked at first, whatever becomes of the others. Called again with
// the same token it finds its own guard and passes. With an error the guard of Door.Window may have been taken.
func (s *Store) Admit(ctx context.Context, k Knock) (Door, error) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	return s.knock(ctx, k).door()
}

// visit is a claim in line at a desk, and there.
type visit struct {
	call   *call
	store  *Store
	knock  Knock
	window atomic.Pointer[string] // it was last looked at for; nil before. Whoever waits may have to go before an answer is there.

	try int // the desk's alone
}

func (s *Store) knock(ctx context.Context, k Knock) *visit {
	v := &visit{store: s, knock: k}
	v.call = s.desk(k.Partition).start(ctx, v)
	return v
}

func (v *visit) door() (d Door, err error) {
	answer, err := v.call.wait()
	if err == nil {
		d, err = answer.door(v.knock)
	}
	if w := v.window.Load(); w != nil {
		d.Window = *w
	}
	if err != nil {
		err = fmt.Errorf("admit a claim: %w", err)
	}
	return d, err
}

func (v *visit) words() words {
	k, keys := &v.knock, v.store.keys(v.knock.Partition)
	coupon := v.store.known.get(k.CouponID)
	if v.try++; v.try == tries {
		k.Heard = math.MaxInt64 >> 10 // no rules then: whoever defines so fast leaves the decision to the log
	}
	r := k.Rules(coupon.current())
	v.window.Store(&r.Window)
	near, refused := "0", ""
	if r.Near {
		near = "1"
	}
	if r.Refused != fcfs.None {
		refused = r.Refused.String()
	}
	return words{
		"admit", append([]string{keys.Coupon(k.CouponID), keys.Granted(k.CouponID, r.Window)}, v.store.ownKeys(*k, r.Window)...),
		[]any{k.Idempotency.Request, k.Heard, string(coupon.version), refused, near, k.UserID, k.Token, k.Guard.Milliseconds(),
			redislayout.GrantedField(r.Window)},
	}
}

// again is for whoever came with definitions that are not in force any more: with those of the answer it asks once more.
func (v *visit) again(answer reply) (bool, error) {
	if len(answer) == 0 || answer[0] != "changed" {
		return false, nil
	}
	if v.try == tries {
		return false, fmt.Errorf("%w: \"changed\", though no rules were asked for", errReply)
	}
	_, err := v.store.known.learn(v.knock.CouponID, answer, 2, 3)
	return err == nil, err
}

// ownKeys are those that a claim takes: the guard, and the idempotency key where there is one.
func (s *Store) ownKeys(k Knock, window string) []string {
	keys := s.keys(k.Partition)
	own := []string{keys.Guard(k.CouponID, window, k.UserID)}
	if k.Idempotency.Request != "" {
		own = append(own, keys.Idempotency(k.Idempotency.Key))
	}
	return own
}

// earlyRefusals are all that the door may say no with.
var earlyRefusals = map[string]fcfs.Outcome{
	fcfs.UnknownCoupon.String(): fcfs.UnknownCoupon, fcfs.Closed.String(): fcfs.Closed, fcfs.NotOpen.String(): fcfs.NotOpen,
	fcfs.AlreadyIssued.String(): fcfs.AlreadyIssued, fcfs.SoldOut.String(): fcfs.SoldOut,
}

// door understands an answer. It refuses nobody by a progress below what was heard, and remembers only for who has a key.
func (r reply) door(k Knock) (d Door, err error) {
	said, err := r.text(0)
	if err != nil {
		return Door{}, err
	}
	if said == "held" {
		d.Progress.Offset = Missing
		if d.Held, err = r.text(2); err == nil && d.Held == "" {
			err = fmt.Errorf("%w: a guard that nobody holds", errReply)
		}
		return d, err
	}
	if d.Progress, err = r.progress(1); err != nil || said == "admitted" {
		return d, err
	}
	if said == "remembered" && k.Idempotency.Request != "" {
		d.Remembered, err = r.remembered(2, k.Partition)
		return d, err
	}
	d.Refused = earlyRefusals[said]
	if d.Refused == fcfs.None || d.Progress.Offset < k.Heard {
		return Door{}, fmt.Errorf("%w: %q at progress %d", errReply, said, d.Progress.Offset)
	}
	if d.Refused == fcfs.AlreadyIssued {
		if d.Entry, err = r.entry(2); err == nil && d.Entry == nil {
			err = fmt.Errorf("%w: issued to nobody", errReply)
		}
	}
	if err != nil {
		return Door{}, err
	}
	return d, nil
}

// Settle makes guard and idempotency key the place of the claim in the log, to be held and remembered for so long. False: the
// guard was no longer this claim's.
func (s *Store) Settle(ctx context.Context, k Knock, window string, t redislayout.Ticket, hold, remember time.Duration) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	answer, err := s.desk(k.Partition).start(ctx, words{"settle", s.ownKeys(k, window),
		[]any{k.Idempotency.Request, k.Token, t.String(), hold.Milliseconds(), remember.Milliseconds()}}).wait()
	if err != nil {
		return false, err
	}
	done, err := answer.text(0)
	if err == nil && done != "1" && done != "0" {
		err = fmt.Errorf("%w: %q", errReply, done)
	}
	return done == "1", err
}

// Release gives guard and idempotency key up, each if it still is this claim's.
func (s *Store) Release(ctx context.Context, k Knock, window string) error {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	_, err := s.desk(k.Partition).start(ctx, words{"release", s.ownKeys(k, window), []any{k.Idempotency.Request, k.Token}}).wait()
	return err
}
