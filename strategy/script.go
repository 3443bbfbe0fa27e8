package strategy

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// Script checks, adds and counts in one call of a Lua script, which Redis runs as one step: nobody else's command comes
// between. The one to begin with.
//
// Guarantees: never more than the limit, never fewer while people ask, nobody twice, in the order in which the calls come to
// Redis, from any number of servers. A server that dies leaves nothing half-done: whoever got no answer asks again.
//
// Costs: one round trip a claim, which carries the script's text: by its hash alone (EVALSHA) it would have to be sent once more
// to a Redis that has just started, and whoever came meanwhile would be before.
//
// Keys: coupon:<id>:limit, coupon:<id>:issued.
//
// Breaks: Redis is all it has. One that comes back empty has Forgotten who has a coupon, one that comes back older (a
// snapshot, a replica that was behind) forgets the last of them, and gives theirs to others.
type Script struct{ Redis redis.UniversalClient }

var claimScript = redis.NewScript(`
-- KEYS: limit, issued. ARGV: who asks.
local limit = redis.call('GET', KEYS[1])
if not limit then return 'not found' end
if redis.call('SISMEMBER', KEYS[2], ARGV[1]) == 1 then return 'already issued' end
if redis.call('SCARD', KEYS[2]) >= tonumber(limit) then return 'exhausted' end
redis.call('SADD', KEYS[2], ARGV[1])
return 'issued'`)

var scriptAnswers = map[string]struct {
	Answer
	error
}{
	"issued": {Issued, nil}, "accepted": {Accepted, nil}, "not found": {"", ErrCouponNotFound},
	"already issued": {"", ErrAlreadyIssued}, "exhausted": {"", ErrExhausted}, "stale": {"", errStale},
}

// Claim is Issued, or refused, as of the moment the script ran.
func (s Script) Claim(ctx context.Context, couponID, userID string) (Answer, error) {
	if err := check(s.Redis, couponID, userID); err != nil {
		return "", err
	}
	keys := []string{key(couponID, "limit"), key(couponID, "issued")}
	return scripted(claimScript.Eval(ctx, s.Redis, keys, userID), couponID)
}

// scripted reads what a script said.
func scripted(reply *redis.Cmd, couponID string) (Answer, error) {
	text, err := reply.Text()
	if err != nil {
		return "", fmt.Errorf("claim coupon %s: %w", couponID, err)
	}
	said, known := scriptAnswers[text]
	if !known {
		return "", fmt.Errorf("claim coupon %s: the script said %q", couponID, text)
	}
	return said.Answer, said.error
}

// SetLimit sets coupon:<id>:limit.
func (s Script) SetLimit(ctx context.Context, couponID string, limit int64) error {
	return setLimit(ctx, s.Redis, couponID, limit)
}

// Issued lists everyone, in no order.
func (s Script) Issued(ctx context.Context, couponID string) ([]string, error) {
	return issued(ctx, s.Redis, couponID, "limit")
}

// Remaining is the limit less who has one.
func (s Script) Remaining(ctx context.Context, couponID string) (int64, error) {
	return remaining(ctx, s.Redis, couponID)
}
