package redisstore

import (
	"context"
	"fmt"
	"math"
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
	// Token is what the guard holds while the claim is on its way to the log: "?" and something random.
	Token string
	// Guard is for how long it does so at most.
	Guard time.Duration
	// Rules applies the rules about time to the definition in force; nil where the coupon has none.
	Rules func(*fcfs.Definition) verdict.Ruling
}

// Door is the answer. Just one of these: Held is the guard that somebody else holds; Refused is an early refusal, by a
// state not older than Patience; else the guard is taken and the claim may be appended.
type Door struct {
	Held     string
	Refused  fcfs.Outcome
	Entry    *fcfs.Entry // with AlreadyIssued
	Window   string
	Progress redislayout.Progress
}

// tries bounds how often a claim begins again because its coupon was defined anew meanwhile.
const tries = 4

// Admit looks at the guard, then at the rules in their order, and takes the guard, all in one atomic call. Called again
// with the same token it finds its own guard and passes. With an error the guard of Door.Window may have been taken.
func (s *Store) Admit(ctx context.Context, k Knock) (Door, error) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	coupon := s.known.get(k.CouponID)
	for try := 1; ; try++ {
		if try == tries {
			k.Heard = math.MaxInt64 >> 10 // no rules then: whoever defines so fast leaves the decision to the log
		}
		ruling := k.Rules(coupon.current())
		answer, err := s.admit(ctx, k, coupon.version, ruling)
		if err != nil {
			return Door{Window: ruling.Window}, fmt.Errorf("admit a claim: %w", err)
		}
		if len(answer) == 0 || answer[0] != "changed" {
			d, err := answer.door(k.Heard)
			d.Window = ruling.Window
			return d, err
		}
		if coupon, err = s.known.learn(k.CouponID, answer, 2, 3); err != nil {
			return Door{}, err
		}
	}
}

func (s *Store) admit(ctx context.Context, k Knock, v version, r verdict.Ruling) (reply, error) {
	keys := s.keys(k.Partition)
	near, refused := "0", ""
	if r.Near {
		near = "1"
	}
	if r.Refused != fcfs.None {
		refused = r.Refused.String()
	}
	return s.desk(k.Partition).call(ctx, "admit",
		[]string{keys.Coupon(k.CouponID), keys.Granted(k.CouponID, r.Window), keys.Guard(k.CouponID, r.Window, k.UserID)},
		k.Heard, string(v), refused, near, k.UserID, k.Token, k.Guard.Milliseconds(), redislayout.GrantedField(r.Window))
}

// earlyRefusals are all that the door may say no with.
var earlyRefusals = map[string]fcfs.Outcome{
	fcfs.UnknownCoupon.String(): fcfs.UnknownCoupon, fcfs.Closed.String(): fcfs.Closed, fcfs.NotOpen.String(): fcfs.NotOpen,
	fcfs.AlreadyIssued.String(): fcfs.AlreadyIssued, fcfs.SoldOut.String(): fcfs.SoldOut,
}

// door understands an answer. It refuses nobody by a progress below heard.
func (r reply) door(heard int64) (d Door, err error) {
	said, err := r.text(0)
	if err != nil {
		return Door{}, fmt.Errorf("admit a claim: %w", err)
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
	d.Refused = earlyRefusals[said]
	if d.Refused == fcfs.None || d.Progress.Offset < heard {
		return Door{}, fmt.Errorf("admit a claim: %w: %q at progress %d", errReply, said, d.Progress.Offset)
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

// Settle makes the guard the place of the claim in the log, to be held for so long. False: it was no longer this claim's.
func (s *Store) Settle(ctx context.Context, k Knock, window string, t redislayout.Ticket, hold time.Duration) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	guard := s.keys(k.Partition).Guard(k.CouponID, window, k.UserID)
	answer, err := s.desk(k.Partition).call(ctx, "settle", []string{guard}, k.Token, t.String(), hold.Milliseconds())
	if err != nil {
		return false, err
	}
	done, err := answer.text(0)
	if err == nil && done != "1" && done != "0" {
		err = fmt.Errorf("%w: %q", errReply, done)
	}
	return done == "1", err
}

// Release gives the guard up, if it still is this claim's.
func (s *Store) Release(ctx context.Context, k Knock, window string) error {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	guard := s.keys(k.Partition).Guard(k.CouponID, window, k.UserID)
	_, err := s.desk(k.Partition).call(ctx, "release", []string{guard}, k.Token)
	return err
}
