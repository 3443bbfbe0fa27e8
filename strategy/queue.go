package strategy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Queue lets everybody in at the door: a claim is pushed onto a list and Accepted at once. One worker takes them from the
// other end, issues in that order, and people ask for their Result.
//
//	door:    LPUSH coupon:<id>:queue   "accepted"
//	worker:  LMOVE queue → processing   SCARD < limit   SADD   LREM processing
//
// Guarantees: as long as one worker runs and no more, never more than the limit, never fewer, nobody twice, in the order of
// the pushes. A worker that dies is followed by another, which begins with what lies in processing: nothing is lost, and what
// is done twice changes nothing.
//
// Costs: one round trip a claim at the door; four at the worker (three if Plain), which is one for all: its pace is that of the
// sale. The queue holds everybody who asks, also long after the last one has gone.
//
// Keys: coupon:<id>:limit, coupon:<id>:issued, coupon:<id>:queue, coupon:<id>:processing, coupon:<id>:refused.
//
// Breaks:
//   - OverIssue: two workers count at the same time, and both issue the last one. Nothing here keeps the second one out.
//   - Lost, if Plain: RPOP takes a claim out of Redis, and it dies with the worker who held it. That person was told
//     Accepted, and waits.
//   - Forgotten, as Script; who still waits is forgotten too.
type Queue struct {
	Redis redis.UniversalClient
	Plain bool // RPOP, as it is mostly done; else LMOVE
}

var _ Decider = Queue{}

// idle is how long the worker waits for a claim before it looks whether it is to end.
const idle = time.Second

// Claim is Accepted once the claim stands in the queue. ErrAlreadyIssued is told where that is known at the door.
func (q Queue) Claim(ctx context.Context, couponID, userID string) (Answer, error) {
	if err := checkIDs(couponID, userID); err != nil {
		return "", err
	}
	var exists *redis.IntCmd
	var has *redis.BoolCmd
	_, err := q.Redis.TxPipelined(ctx, func(p redis.Pipeliner) error {
		exists, has = p.Exists(ctx, key(couponID, "limit")), p.SIsMember(ctx, key(couponID, "issued"), userID)
		return p.LPush(ctx, key(couponID, "queue"), userID).Err()
	})
	switch {
	case err != nil:
		return "", fmt.Errorf("queue for coupon %s: %w", couponID, err)
	case exists.Val() == 0:
		return "", q.leave(ctx, couponID, userID)
	case has.Val():
		return "", ErrAlreadyIssued // the worker passes over the second claim
	}
	return Accepted, nil
}

// leave takes a claim out of the queue of a coupon that nobody defined, so that no such queue grows.
func (q Queue) leave(ctx context.Context, couponID, userID string) error {
	if err := q.Redis.LRem(ctx, key(couponID, "queue"), 1, userID).Err(); err != nil {
		return fmt.Errorf("leave the queue for coupon %s: %w", couponID, err)
	}
	return ErrCouponNotFound
}

// Work issues to who waits, in order, until ctx ends or Redis fails: it returns that error, and may be called again. Run one
// for each coupon, not one in each server.
func (q Queue) Work(ctx context.Context, couponID string) error {
	if err := checkIDs(couponID); err != nil {
		return err
	}
	if err := q.finish(ctx, couponID); err != nil {
		return err
	}
	for ctx.Err() == nil {
		userID, err := q.next(ctx, couponID)
		switch {
		case err == nil:
			err = q.decide(context.WithoutCancel(ctx), couponID, userID) // what was taken is decided
		case errors.Is(err, redis.Nil), ctx.Err() != nil:
			err = nil // nobody waits
		default:
			err = fmt.Errorf("take from %s: %w", key(couponID, "queue"), err)
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// next takes who has waited longest.
func (q Queue) next(ctx context.Context, couponID string) (string, error) {
	if !q.Plain {
		return q.Redis.BLMove(ctx, key(couponID, "queue"), key(couponID, "processing"), "RIGHT", "LEFT", idle).Result()
	}
	popped, err := q.Redis.BRPop(ctx, idle, key(couponID, "queue")).Result()
	if err != nil {
		return "", err
	}
	return popped[1], nil
}

// finish decides what a worker before this one had taken.
func (q Queue) finish(ctx context.Context, couponID string) error {
	left, err := q.Redis.LRange(ctx, key(couponID, "processing"), 0, -1).Result()
	if err != nil {
		return fmt.Errorf("read %s: %w", key(couponID, "processing"), err)
	}
	for i := len(left) - 1; i >= 0; i-- {
		if err := q.decide(ctx, couponID, left[i]); err != nil {
			return err
		}
	}
	return nil
}

// decide issues to one person, or refuses them. It may be done again for the same claim.
func (q Queue) decide(ctx context.Context, couponID, userID string) error {
	limit, n, err := look(ctx, q.Redis, couponID)
	if err != nil {
		return fmt.Errorf("decide a claim for coupon %s: %w", couponID, err)
	}
	if n < limit {
		err = q.Redis.SAdd(ctx, key(couponID, "issued"), userID).Err()
	} else {
		err = q.Redis.SAdd(ctx, key(couponID, "refused"), userID).Err()
	}
	if err == nil && !q.Plain {
		err = q.Redis.LRem(ctx, key(couponID, "processing"), 1, userID).Err()
	}
	if err != nil {
		return fmt.Errorf("decide a claim for coupon %s: %w", couponID, err)
	}
	return nil
}

// Result reads the queue from end to end where a person still waits: ask every second, not more often. If Plain, a claim that
// the worker holds looks as one that is lost: ErrNoClaim.
func (q Queue) Result(ctx context.Context, couponID, userID string) (Answer, error) {
	if err := checkIDs(couponID, userID); err != nil {
		return "", err
	}
	var exists, queued, held *redis.IntCmd
	var has, refused *redis.BoolCmd
	_, err := q.Redis.TxPipelined(ctx, func(p redis.Pipeliner) error {
		exists = p.Exists(ctx, key(couponID, "limit"))
		has, refused = p.SIsMember(ctx, key(couponID, "issued"), userID), p.SIsMember(ctx, key(couponID, "refused"), userID)
		queued = p.LPos(ctx, key(couponID, "queue"), userID, redis.LPosArgs{})
		held = p.LPos(ctx, key(couponID, "processing"), userID, redis.LPosArgs{})
		return nil
	})
	switch {
	case err != nil && !errors.Is(err, redis.Nil): // Nil: not in that list
		return "", fmt.Errorf("ask for a result of coupon %s: %w", couponID, err)
	case exists.Val() == 0:
		return "", ErrCouponNotFound
	case has.Val():
		return Issued, nil
	case queued.Err() == nil || held.Err() == nil:
		return Accepted, nil
	case refused.Val():
		return "", ErrExhausted
	}
	return "", ErrNoClaim
}

// SetLimit sets coupon:<id>:limit. Whoever was refused before it rose asks again.
func (q Queue) SetLimit(ctx context.Context, couponID string, limit int64) error {
	return setLimit(ctx, q.Redis, couponID, limit)
}

// Issued lists everyone, in no order.
func (q Queue) Issued(ctx context.Context, couponID string) ([]string, error) {
	return issued(ctx, q.Redis, couponID, "limit")
}

// Remaining is the limit less who has one, whoever waits.
func (q Queue) Remaining(ctx context.Context, couponID string) (int64, error) {
	return remaining(ctx, q.Redis, couponID)
}
