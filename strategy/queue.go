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
//	worker:  LMOVE queue → processing   a script for the oldest there: SCARD < limit, SADD, RPOP
//
// What the worker decides is what lies longest in processing, not what it was handed: a claim that a worker took and did not
// decide (it died, it ended, the answer to its LMOVE was lost) is the next, at its place in the order. To look, to decide and to
// take out is one step of Redis, whichever worker asks for it: nothing is decided twice, or by a limit that was.
//
// Guarantees: never more than the limit, never fewer, nobody twice, in the order of the pushes, and nothing is lost: also
// where a worker dies or stands still and another goes on, or two are at work by mistake. A limit that is changed meanwhile
// counts from the next decision. If Plain there is no such list and no such step, and this holds as long as one worker runs and
// no more, none dies, no answer is lost, and Redis refuses none of its writes.
//
// Costs: one round trip a claim at the door; two at the worker, three if Plain, which is one for all: its pace is that of the
// sale. The queue holds everybody who asks, also long after the last one has gone.
//
// Keys: coupon:<id>:limit, coupon:<id>:issued, coupon:<id>:queue, coupon:<id>:processing (not if Plain), and
// coupon:<id>:refused, in which people may be who have one: issued counts.
//
// Breaks:
//   - OverIssue, if Plain: two workers count at the same time, and both issue the last one. Nothing keeps the second one out.
//   - Lost, if Plain: RPOP takes a claim out of Redis, and it dies with the worker who held it, or with the connection that
//     was to bring it, or by a Redis that refuses the SADD. That person was told Accepted, and waits.
//   - Inversion, if Plain: who was lost asks again, behind those who came later; and of two workers the one who took the later claim
//     may be the first to decide.
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
	keys := []string{key(couponID, "limit"), key(couponID, "issued"), key(couponID, "refused"), key(couponID, "queue")}
	return scripted(queueScript.Eval(ctx, q.Redis, keys, userID), couponID) // as Script: in the order of the first commands
}

var queueScript = redis.NewScript(`
-- KEYS: limit, issued, refused, queue. ARGV: who asks.
if redis.call('EXISTS', KEYS[1]) == 0 then return 'not found' end
if redis.call('SISMEMBER', KEYS[2], ARGV[1]) == 1 then return 'already issued' end
redis.call('SREM', KEYS[3], ARGV[1]) -- that was another claim
redis.call('LPUSH', KEYS[4], ARGV[1])
return 'accepted'`)

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
	keys := []string{key(couponID, "limit"), key(couponID, "issued"), key(couponID, "refused"), key(couponID, "processing")}
	for left := int64(1); left > 0; {
		var err error
		if left, err = decideScript.Run(ctx, q.Redis, keys).Int64(); err != nil {
			return fmt.Errorf("decide a claim for coupon %s: %w", couponID, err)
		}
	}
	return nil
}

// decideScript decides the claim that lies longest, and says how many still lie there. Where the driver sends it again it decides
// the next one. A claim whose coupon has no limit any more stays until it has one.
var decideScript = redis.NewScript(`
-- KEYS: limit, issued, refused, processing.
local limit, user = redis.call('GET', KEYS[1]), redis.call('LINDEX', KEYS[4], -1)
if not (limit and user) then return 0 end
local into = KEYS[2]
if redis.call('SCARD', KEYS[2]) >= tonumber(limit) then into = KEYS[3] end
redis.call('SADD', into, user) -- who is in issued already stays there
redis.call('RPOP', KEYS[4])
return redis.call('LLEN', KEYS[4])`)

// decide is for a claim that is in no list any more.
func (q Queue) decide(ctx context.Context, couponID, userID string) error {
	limit, n, err := look(ctx, q.Redis, couponID)
	if err != nil {
		return err
	}
	into := "issued"
	if n >= limit {
		into = "refused"
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

// SetLimit sets coupon:<id>:limit. It counts from the next decision.
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
