package compare

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/firstcome/firstcome/cli/internal/endpoint"
	"github.com/firstcome/firstcome/pkg/coupontest/embedded"
)

// mark is the key of the run that has a Redis, whose prefix is its value. It stays when the run empties the Redis, so that no
// other takes that for one which nobody uses.
const mark = "firstcome-compare"

// errForeign says that whatever a run would go on with stands in somebody else's way, and is measured beside them.
var errForeign = errors.New("somebody else has begun to use this Redis")

var taking = redis.NewScript(`
-- KEYS: the mark. ARGV: the run. Who has it, how many keys there are, one of them.
local run = redis.call('GET', KEYS[1])
if run then return {run, '', ''} end
local held = redis.call('DBSIZE')
if held > 0 then return {'', tostring(held), redis.call('RANDOMKEY') or ''} end
redis.call('SET', KEYS[1], ARGV[1])
return {ARGV[1], '', ''}`)

// takeRedis takes a database that nobody uses: it will be emptied.
func (k *keeper) takeRedis(ctx context.Context) (string, error) {
	if mode := k.servers.Redis.Mode; mode != "single" {
		return "", fmt.Errorf("REDIS_MODE is %s, and the strategies expect a single server", mode)
	}
	client := endpoint.RedisClient(k.servers.Redis)
	k.closers = append(k.closers, func(context.Context) error { return client.Close() })
	found, err := taking.Run(ctx, client, []string{mark}, k.RedisPrefix).StringSlice()
	switch {
	case err != nil:
		return "", fmt.Errorf("redis at %s: %w", k.Redis, err)
	case found[1] != "":
		return "", fmt.Errorf("redis at %s holds %s keys, such as %q: a Redis that is lost is one of the attacks, so compare empties its database, "+
			"and takes only one without any key. It is database 0 of its server, as for all of Firstcome: give the address of another server, or none, which embeds one", k.Redis, found[1], found[2])
	case found[0] != k.RedisPrefix:
		return "", fmt.Errorf("redis at %s is that of another compare, %s: wait for its end, or give the address of another server. If it was killed together with the process that has its servers, "+
			"remove the keys that it left, %s among them", k.Redis, found[0], mark)
	}
	k.closers = append(k.closers,
		func(ctx context.Context) error { return leave(ctx, client, k.RedisPrefix) },
		func(ctx context.Context) error { return empty(ctx, client, k.RedisPrefix) })
	if k.given.Redis == "" {
		return embedded.RedisVersion, nil
	}
	return redisVersion(ctx, client), nil
}

func redisVersion(ctx context.Context, client redis.UniversalClient) string {
	info, _ := client.Info(ctx, "server").Result() // not everybody may ask
	for line := range strings.Lines(info) {
		if version, ok := strings.CutPrefix(strings.TrimSpace(line), "redis_version:"); ok {
			return "Redis " + version
		}
	}
	return "Redis, which tells no version"
}

var leaving = redis.NewScript(`
-- KEYS: the mark. ARGV: the run.
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 'left'`)

// leave takes the mark away, if it is the run's.
func leave(ctx context.Context, client redis.UniversalClient, run string) error {
	if err := leaving.Run(ctx, client, []string{mark}, run).Err(); err != nil {
		return fmt.Errorf("remove %s from redis: %w", mark, err)
	}
	return nil
}

// Coupons of a run are those that sell and strategytest make, and nothing, which strategytest asks for. All is removed in one
// step: a pipeline that lost half of its keys would find what no lost Redis looks like.
var emptying = redis.NewScript(`
-- KEYS: the mark. ARGV: the run. A key of somebody else, if there is one.
local run = redis.call('GET', KEYS[1])
local another = run and run ~= ARGV[1]
local made = '%-' .. string.rep('[A-Z2-7]', 26) .. '$'

local function own(key)
	if key == KEYS[1] then return not another end
	if string.sub(key, 1, #ARGV[1] + 1) == ARGV[1] .. ':' then return true end
	local id = string.match(key, '^coupon:([^:]+):') or string.match(key, '^lock:coupon:([^:]+)')
	if another or not id then return false end
	id = string.gsub(id, '%-no%-%d+$', '')
	return id == 'nothing' or string.match(id, '^sale' .. made) or string.match(id, '^tea' .. made)
end

local foreign = false
for _, key in ipairs(redis.call('KEYS', '*')) do
	if not own(key) then
		foreign = key
	elseif key ~= KEYS[1] then
		redis.call('DEL', key)
	end
end
return foreign`)

// empty empties the database of a run but for the mark, as a Redis without a disk is that comes back. It touches no key of
// anybody else, and says whose it found.
func empty(ctx context.Context, client redis.UniversalClient, run string) error {
	foreign, err := emptying.Run(ctx, client, []string{mark}, run).Text()
	switch {
	case errors.Is(err, redis.Nil):
		return nil
	case err != nil:
		return fmt.Errorf("empty redis: %w", err)
	}
	return fmt.Errorf("%w: %q is not a key of compare's; only compare's were removed", errForeign, foreign)
}
