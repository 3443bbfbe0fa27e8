// Package strategy holds the known ways to give a coupon to the first people who ask, behind one interface: from a Redis set
// that is looked at twice to the pipeline of this repository.
//
//	shop := strategy.Script{Redis: redis.NewClient(&redis.Options{Addr: "localhost:6379"})}
//	err := shop.SetLimit(ctx, "tea", 100)
//	…
//	switch _, err := shop.Claim(ctx, "tea", "ada"); {
//	case err == nil: // ada has one of the hundred
//	case errors.Is(err, strategy.ErrExhausted): // too late
//	}
//
// Each is a page of its own: its type says what it guarantees, what it costs, what is in Redis, and what it is known to break;
// Pages has the last as data. strategytest attacks all of them alike. Script is the one to begin with.
//
// Those on Redis expect one server (a cluster or ring, where a coupon's keys may lie apart, is ErrInvalid) of version 6.2 or
// later, which evicts nothing of theirs (maxmemory-policy noeviction or volatile-*, and noeviction for a plain Lock): a set that was
// evicted has forgotten everybody. They share coupon:<id>:issued, which Issued reads at once, while that Redis serves nobody else,
// and remember as long as that server does. No key expires but a Lock's own. Nothing here has opening times or windows: those are
// the pipeline's.
package strategy

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Strategy is one way to give out coupons. Any number of servers may use one at the same time, each with a value of its own
// on the same Redis or Postgres; a value may be used by any number of goroutines.
//
// Errors besides those of this package are the driver's, wrapped. After such an error it is not known whether a claim was
// decided. Who asks again is told ErrAlreadyIssued if it was given one. That may be so the first time too: drivers send a command
// again whose answer was lost on the way. ErrAlreadyIssued says that the person has it, not since when.
type Strategy interface {
	// SetLimit defines a coupon that is given to at most limit people, one each, or changes its limit. People who have one
	// keep it, even where the limit falls below their number. The limit is 1 to 100,000,000. Whoever was refused before it
	// rose asks again (at a Log, where the log itself refused them, a minute after: until then they are told the same).
	SetLimit(ctx context.Context, couponID string, limit int64) error

	// Claim asks for a coupon for one person. It is Issued, or Accepted where the decision comes later (see Decider), or
	// one of the errors: ErrCouponNotFound, ErrAlreadyIssued, ErrExhausted; of Lock also ErrBusy.
	Claim(ctx context.Context, couponID, userID string) (Answer, error)

	// Issued lists everyone who has the coupon.
	Issued(ctx context.Context, couponID string) ([]string, error)

	// Remaining is how many are left, never below zero.
	Remaining(ctx context.Context, couponID string) (int64, error)
}

// Decider is a Strategy whose claims are accepted first and decided later, by a worker.
type Decider interface {
	Strategy

	// Result is what became of a person's claim: Issued, ErrExhausted, or Accepted while it waits. ErrNoClaim says that
	// nothing is known of it.
	Result(ctx context.Context, couponID, userID string) (Answer, error)

	// Work decides the claims of a coupon, in order, until ctx ends, whose error it returns. One is to run in all.
	Work(ctx context.Context, couponID string) error
}

// Answer is what a person is told who was not refused.
type Answer string

// The answers.
const (
	Issued   Answer = "issued"   // the person has the coupon
	Accepted Answer = "accepted" // the claim waits to be decided
)

// What people are refused with.
var (
	ErrCouponNotFound = errors.New("there is no such coupon")
	ErrExhausted      = errors.New("all coupons are gone")
	ErrAlreadyIssued  = errors.New("this person has the coupon already")
)

// ErrNoClaim is of a Decider: this person never asked, or what they asked was lost.
var ErrNoClaim = errors.New("no claim of this person is known")

// ErrBusy is of Lock: nothing was decided, since too many ask at the same time. Ask again.
var ErrBusy = errors.New("too many ask at the same time")

// ErrInvalid says that an id, a limit or the strategy itself is not what it must be. Nothing was asked.
var ErrInvalid = errors.New("invalid")

var couponIDs = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._~-]{0,99}$`)

const (
	maxUserID = 200
	maxLimit  = 100_000_000
)

// checkIDs lets through what the pipeline takes too, so that nobody is in the way of moving there. A coupon id has no colon:
// it stands in keys as it is.
func checkIDs(couponID string, userIDs ...string) error {
	if !couponIDs.MatchString(couponID) {
		return fmt.Errorf("%w coupon id %q: must be 1 to 100 letters, digits and . _ ~ -, and begin with none of . and ~", ErrInvalid, couponID)
	}
	for _, id := range userIDs {
		if id == "" || len(id) > maxUserID || !utf8.ValidString(id) || strings.ContainsFunc(id, unicode.IsControl) {
			return fmt.Errorf("%w user id %q: must be 1 to %d bytes of UTF-8 without control characters", ErrInvalid, id, maxUserID)
		}
	}
	return nil
}

func checkLimit(couponID string, limit int64) error {
	if err := checkIDs(couponID); err != nil {
		return err
	}
	if limit < 1 || limit > maxLimit {
		return fmt.Errorf("%w limit %d of coupon %s: must be between 1 and %d", ErrInvalid, limit, couponID, maxLimit)
	}
	return nil
}
