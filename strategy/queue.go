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
//	door:    LPUSH queue   "accepted"
//	worker:  LMOVE queue → processing   look at the oldest there: SCARD < limit   SADD, LREM processing
//
// What the worker decides is what lies longest in processing, not what it was handed: a claim that a worker took and did not
// decide (it died, it ended, the answer to its LMOVE was lost) is the next, at its place in the order. To decide one twice
// changes nothing: it is the same step from the same state.
//
// Guarantees: never more than the limit, never fewer, nobody twice, in the order of the pushes, and nothing is lost: also
// where a worker dies or stands still and another goes on, or two are at work by mistake. A limit that is changed meanwhile
// counts from the worker's next look. If Plain there is no such list, and this holds as long as one worker runs and no more, and
// none dies.
//
// Costs: one round trip a claim at the door; three at the worker, which is one for all: its pace is that of the sale. The queue
// holds everybody who asks, also long after the last one has gone.
//
// Keys: coupon:<id>:limit, coupon:<id>:issued, coupon:<id>:queue, coupon:<id>:processing (not if Plain), and
// coupon:<id>:refused, in which people may be who have one: issued counts.
//
// Breaks:
//   - OverIssue, if Plain: two workers count at the same time, and both issue the last one. Nothing keeps the second one out.
//   - Lost, if Plain: RPOP takes a claim out of Redis, and it dies with the worker who held it, or with the connection that
//     was to bring it. That person was told Accepted, and waits.
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
	if err := check(q.Redis, couponID, userID); err != nil {
		return "", err
	}
	var exists *redis.IntCmd
	var has *redis.BoolCmd
	_, err := q.Redis.TxPipelined(ctx, func(p redis.Pipeliner) error {
		exists, has = p.Exists(ctx, key(couponID, "limit")), p.SIsMember(ctx, key(couponID, "issued"), userID)
		p.SRem(ctx, key(couponID, "refused"), userID) // that was another claim
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

// Work issues to who waits, in order, until ctx ends (and up to a second longer) or Redis fails: it returns that error, and may
// be called again. It may begin before the coupon is defined. Run one for each coupon, not one in each server; while it
// waits it holds one connection of the client's pool.
func (q Queue) Work(ctx context.Context, couponID string) error {
	if err := check(q.Redis, couponID); err != nil {
		return err
	}
	if err := q.finish(ctx, couponID); err != nil { // what a worker before this one had taken
		return err
	}
	for ctx.Err() == nil {
		userID, err := q.next(ctx, couponID)
		if err != nil && !errors.Is(err, redis.Nil) && ctx.Err() == nil { // Nil: nobody waits
			return fmt.Errorf("take from %s: %w", key(couponID, "queue"), err)
		}
		onward := context.WithoutCancel(ctx) // what was taken is decided
		switch {
		case !q.Plain:
			err = q.finish(onward, couponID)
		case err == nil:
			err = q.decide(onward, couponID, userID)
		default:
			err = nil
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

// finish decides what lies in processing, the oldest first.
func (q Queue) finish(ctx context.Context, couponID string) error {
	for left := int64(1); left > 0; {
		userID, into, err := q.oldest(ctx, couponID)
		if err != nil || userID == "" {
			return err
		}
		var lies *redis.IntCmd
		_, err = q.Redis.TxPipelined(ctx, func(p redis.Pipeliner) error {
			if into != "" {
				p.SAdd(ctx, key(couponID, into), userID)
			}
			p.LRem(ctx, key(couponID, "processing"), -1, userID)
			lies = p.LLen(ctx, key(couponID, "processing"))
			return nil
		})
		if err != nil {
			return fmt.Errorf("decide a claim for coupon %s: %w", couponID, err)
		}
		left = lies.Val()
	}
	return nil
}

// oldest is who lies longest in processing, if anybody does, and the set into which the next one to be decided belongs: all seen
// at one moment.
func (q Queue) oldest(ctx context.Context, couponID string) (userID, into string, err error) {
	var limit, n *redis.IntCmd
	var lies *redis.StringCmd
	_, err = q.Redis.TxPipelined(ctx, func(p redis.Pipeliner) error {
		limit, n = getLimit(ctx, p, couponID), p.SCard(ctx, key(couponID, "issued"))
		lies = p.LIndex(ctx, key(couponID, "processing"), -1)
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return "", "", fmt.Errorf("look at the next claim for coupon %s: %w", couponID, err)
	}
	return lies.Val(), belongs(limit, n), nil
}

// belongs names the set of who is decided next; none where nobody defined the coupon, which who claimed was told.
func belongs(limit, issued *redis.IntCmd) string {
	switch {
	case limit.Err() != nil:
		return ""
	case issued.Val() < limit.Val():
		return "issued"
	}
	return "refused"
}

// decide is for a claim that is in no list any more.
func (q Queue) decide(ctx context.Context, couponID, userID string) error {
	_, into, err := q.oldest(ctx, couponID)
	if err != nil || into == "" {
		return err
	}
	if err := q.Redis.SAdd(ctx, key(couponID, into), userID).Err(); err != nil {
		return fmt.Errorf("decide a claim for coupon %s: %w", couponID, err)
	}
	return nil
}

// Result reads the queue from end to end where a person still waits: ask every second, not more often. If Plain, a claim that
// the worker holds looks as one that is lost: ErrNoClaim.
func (q Queue) Result(ctx context.Context, couponID, userID string) (Answer, error) {
	if err := check(q.Redis, couponID, userID); err != nil {
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

// SetLimit sets coupon:<id>:limit. It counts from the worker's next look.
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
