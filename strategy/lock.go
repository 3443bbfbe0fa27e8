package strategy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-redsync/redsync/v4"
	"github.com/go-redsync/redsync/v4/redis/goredis/v9"
	"github.com/redis/go-redis/v9"
)

// Lock lets one server at a time into the coupon, by a lock in Redis: it looks how many are left, counts one down, and writes
// down who has it.
//
//	ada  lock   GET remaining 1   …a pause of more than the lease…                         DECR -1   SADD ada
//	bob                                       lock   GET remaining 1   DECR 0   SADD bob
//
// The lease is there so that a server that dies does not keep the lock for ever; and it makes the lock a promise that ends
// without its holder's knowing. Unless Plain, whoever gets the lock takes a number too, one up from the last one's, and Redis
// takes both writes in one step, and only with the newest number. Note what this says about the lock: the step that checks
// the number could as well have checked what is left, and that is Script.
//
// Guarantees: never more than the limit, never fewer while people ask, nobody twice. Whoever waits for more than a second is
// told ErrBusy: nothing was decided.
//
// Costs: six round trips a claim, during which everybody else waits, at all servers; who waits asks again every 20 ms, in two
// more. A server that dies stops the sale for the rest of its lease.
//
// Keys: lock:coupon:<id>, coupon:<id>:remaining, coupon:<id>:issued, coupon:<id>:fence. The first one expires, so that volatile-*
// may evict it: the fence bears that, and Plain needs noeviction.
//
// Breaks:
//   - Inversion: who waits does so in no order.
//   - OverIssue, if Plain: a pause of more than the lease, as above (garbage collection, a suspended machine, a slow network).
//   - UnderIssue, if Plain: a server that dies between DECR and SADD has taken one that nobody has. So has a DECR whose answer is
//     lost, since the driver sends it again. So has a holder who stood still while their person was given one by another request.
//   - Forgotten, as Script; and with a Redis that comes back older, whose fence does too, so does a paused holder's write.
type Lock struct {
	Redis redis.UniversalClient
	Plain bool // without fence, as it is mostly done
}

const (
	lockWait  = time.Second
	lockLease = time.Second
	lockRetry = 20 * time.Millisecond
)

var errStale = fmt.Errorf("%w: the lock's lease ended, and another has it", ErrBusy)

// fenced are both writes in one step, if the holder's number is still the newest.
var fenced = redis.NewScript(`
-- KEYS: fence, remaining, issued. ARGV: the holder's number, who gets it.
if redis.call('SISMEMBER', KEYS[3], ARGV[2]) == 1 then return 'already issued' end -- the driver sent it again
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'stale' end
redis.call('DECR', KEYS[2])
redis.call('SADD', KEYS[3], ARGV[2])
return 'issued'`)

// Claim is Issued, or refused, or ErrBusy.
func (l Lock) Claim(ctx context.Context, couponID, userID string) (answer Answer, err error) {
	if err := check(l.Redis, couponID, userID); err != nil {
		return "", err
	}
	err = l.locked(ctx, couponID, func() error {
		number, err := l.number(ctx, couponID)
		if err != nil {
			return err
		}
		if err := l.look(ctx, couponID, userID); err != nil {
			return err
		}
		answer, err = l.issue(ctx, couponID, userID, number)
		return err
	})
	return answer, err
}

// next is one up for each holder, of a coupon that somebody defined.
const next = `
-- KEYS: remaining, fence.
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
return redis.call('INCR', KEYS[2])`

// number is that of this holder, unless Plain.
func (l Lock) number(ctx context.Context, couponID string) (int64, error) {
	if l.Plain {
		return 0, nil
	}
	number, err := l.Redis.Eval(ctx, next, []string{key(couponID, "remaining"), key(couponID, "fence")}).Int64()
	switch {
	case err != nil:
		return 0, fmt.Errorf("take a number of %s: %w", key(couponID, "fence"), err)
	case number == 0:
		return 0, ErrCouponNotFound
	}
	return number, nil
}

// look refuses who has one, and everybody when none is left.
func (l Lock) look(ctx context.Context, couponID, userID string) error {
	left, err := l.Redis.Get(ctx, key(couponID, "remaining")).Int64()
	switch {
	case errors.Is(err, redis.Nil):
		return ErrCouponNotFound
	case err != nil:
		return fmt.Errorf("read %s: %w", key(couponID, "remaining"), err)
	}
	has, err := l.Redis.SIsMember(ctx, key(couponID, "issued"), userID).Result()
	switch {
	case err != nil:
		return fmt.Errorf("look for a person in %s: %w", key(couponID, "issued"), err)
	case has:
		return ErrAlreadyIssued
	case left <= 0:
		return ErrExhausted
	}
	return nil
}

func (l Lock) issue(ctx context.Context, couponID, userID string, number int64) (Answer, error) {
	if !l.Plain {
		keys := []string{key(couponID, "fence"), key(couponID, "remaining"), key(couponID, "issued")}
		return scripted(fenced.Run(ctx, l.Redis, keys, number, userID), couponID)
	}
	if err := l.Redis.Decr(ctx, key(couponID, "remaining")).Err(); err != nil {
		return "", fmt.Errorf("count down %s: %w", key(couponID, "remaining"), err)
	}
	ctx = context.WithoutCancel(ctx) // what was counted down is somebody's
	added, err := l.Redis.SAdd(ctx, key(couponID, "issued"), userID).Result()
	switch {
	case err != nil:
		return "", fmt.Errorf("add a person to %s: %w", key(couponID, "issued"), err)
	case added == 0: // by another request, while this one stood still; or the driver sent it again
		return "", ErrAlreadyIssued
	}
	return Issued, nil
}

// locked calls do while the lock is held, or was a second ago.
func (l Lock) locked(ctx context.Context, couponID string, do func() error) error {
	lock := redsync.New(goredis.NewPool(l.Redis)).NewMutex("lock:coupon:"+couponID,
		redsync.WithExpiry(lockLease), redsync.WithTimeoutFactor(1))
	if err := acquire(ctx, lock); err != nil {
		return fmt.Errorf("lock coupon %s: %w", couponID, err)
	}
	// Who fails to unlock has lost the lock, or Redis: the lease ends it.
	defer func() { _, _ = lock.UnlockContext(context.WithoutCancel(ctx)) }()
	return do()
}

// acquire tries for a second. That Redis is away is told as that, and not as ErrBusy.
func acquire(ctx context.Context, lock *redsync.Mutex) error {
	waiting, stop := context.WithTimeout(ctx, lockWait)
	defer stop()
	again := time.NewTicker(lockRetry)
	defer again.Stop()
	for heard := false; ; heard = true {
		err := lock.TryLockContext(waiting)
		var away *redsync.RedisError
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &away) && !(heard && waiting.Err() != nil): // else the second ended within a try
			return err
		}
		select {
		case <-waiting.Done():
			return cmp.Or(ctx.Err(), ErrBusy)
		case <-again.C:
		}
	}
}

// relimit counts anew what is left, if the holder's number is still the newest.
var relimit = redis.NewScript(`
-- KEYS: fence, remaining, issued. ARGV: the holder's number, the limit.
if ARGV[1] ~= '0' and redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'stale' end
redis.call('SET', KEYS[2], string.format('%d', tonumber(ARGV[2]) - redis.call('SCARD', KEYS[3])))
return 'issued'`)

// SetLimit sets coupon:<id>:remaining to the limit less who has one. It takes the lock, and so may be ErrBusy.
func (l Lock) SetLimit(ctx context.Context, couponID string, limit int64) error {
	if err := check(l.Redis, couponID); err != nil {
		return err
	}
	if err := checkLimit(couponID, limit); err != nil {
		return err
	}
	return l.locked(ctx, couponID, func() error {
		var number int64
		if !l.Plain {
			var err error
			if number, err = l.Redis.Incr(ctx, key(couponID, "fence")).Result(); err != nil {
				return fmt.Errorf("take a number of %s: %w", key(couponID, "fence"), err)
			}
		}
		keys := []string{key(couponID, "fence"), key(couponID, "remaining"), key(couponID, "issued")}
		_, err := scripted(relimit.Run(ctx, l.Redis, keys, number, limit), couponID)
		return err
	})
}

// Issued lists everyone, in no order.
func (l Lock) Issued(ctx context.Context, couponID string) ([]string, error) {
	return issued(ctx, l.Redis, couponID, "remaining")
}

// Remaining is coupon:<id>:remaining.
func (l Lock) Remaining(ctx context.Context, couponID string) (int64, error) {
	if err := check(l.Redis, couponID); err != nil {
		return 0, err
	}
	left, err := l.Redis.Get(ctx, key(couponID, "remaining")).Int64()
	switch {
	case errors.Is(err, redis.Nil):
		return 0, ErrCouponNotFound
	case err != nil:
		return 0, fmt.Errorf("read %s: %w", key(couponID, "remaining"), err)
	}
	return max(0, left), nil
}
