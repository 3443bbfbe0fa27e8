package strategy

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// Recheck counts a set, adds the person, counts again, and takes the person out again if that was one too many. Four plain
// commands, no script and no lock.
//
//	ada  SCARD 99 < 100   SADD      SCARD 101: too many   SREM      "gone"
//	bob  SCARD 99 < 100      SADD   SCARD 101: too many      SREM   "gone"
//	                                          and the hundredth is still there
//
// Guarantees: while no server dies, no answer of Redis is lost and the limit stays, never more people than the limit once all
// who ask have been answered; nobody twice.
//
// Costs: three round trips to give one out, one more to take it back; two once all are gone.
//
// Keys: coupon:<id>:limit, coupon:<id>:issued.
//
// Breaks:
//   - UnderIssue: racers for the last one can all step back, as above. It is refused to all of them, for the moment, and for
//     ever if nobody else asks.
//   - Inversion: whoever comes after them gets it.
//   - Untrue: a person's second request that comes between their SADD and their SREM is told ErrAlreadyIssued.
//   - OverIssue: a server that dies between SADD and SREM leaves one too many in the set. So does an SADD whose answer is lost:
//     the driver sends it again, hears that the person is in the set already, and nobody counts again. And a claim on its way
//     goes by the limit that it has read, also where that falls.
//   - Forgotten, as Script.
type Recheck struct{ Redis redis.UniversalClient }

// Claim is Issued, or refused. After an error of Redis the person may be one too many in the set.
func (r Recheck) Claim(ctx context.Context, couponID, userID string) (Answer, error) {
	if err := check(r.Redis, couponID, userID); err != nil {
		return "", err
	}
	limit, n, err := look(ctx, r.Redis, couponID)
	switch {
	case err != nil:
		return "", err
	case n >= limit:
		return "", r.refuse(ctx, couponID, userID)
	}
	set := key(couponID, "issued")
	added, err := r.Redis.SAdd(ctx, set, userID).Result()
	switch {
	case err != nil:
		return "", fmt.Errorf("add a person to %s: %w", set, err)
	case added == 0:
		return "", ErrAlreadyIssued
	}
	ctx = context.WithoutCancel(ctx) // who is one too many is taken out again
	n, err = r.Redis.SCard(ctx, set).Result()
	switch {
	case err != nil:
		return "", fmt.Errorf("count %s again: %w", set, err)
	case n <= limit:
		return Issued, nil
	}
	_, err = r.Redis.TxPipelined(ctx, func(p redis.Pipeliner) error { // which the driver does not send again: they may have one by then
		return p.SRem(ctx, set, userID).Err()
	})
	if err != nil {
		return "", fmt.Errorf("take a person out of %s, who is one too many: %w", set, err)
	}
	return "", ErrExhausted
}

// refuse tells who has one from who came too late.
func (r Recheck) refuse(ctx context.Context, couponID, userID string) error {
	has, err := r.Redis.SIsMember(ctx, key(couponID, "issued"), userID).Result()
	switch {
	case err != nil:
		return fmt.Errorf("look for a person in %s: %w", key(couponID, "issued"), err)
	case has:
		return ErrAlreadyIssued
	}
	return ErrExhausted
}

// SetLimit sets coupon:<id>:limit. It counts for claims that come after.
func (r Recheck) SetLimit(ctx context.Context, couponID string, limit int64) error {
	return setLimit(ctx, r.Redis, couponID, limit)
}

// Issued lists everyone, in no order; among them, for a moment, people who are about to be taken out again.
func (r Recheck) Issued(ctx context.Context, couponID string) ([]string, error) {
	return issued(ctx, r.Redis, couponID, "limit")
}

// Remaining is the limit less who is in the set.
func (r Recheck) Remaining(ctx context.Context, couponID string) (int64, error) {
	return remaining(ctx, r.Redis, couponID)
}
