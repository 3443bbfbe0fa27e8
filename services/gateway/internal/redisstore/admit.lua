-- Is this claim let through? One atomic look at the guard, the rules in their order, and the guard is taken.
-- KEYS: progress, coupon, granted of the window, guard. ARGV: see admit.go.
local heard, version, definition, refused, near, user, token, guard_ms, granted =
  tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9]

local held = redis.call('GET', KEYS[4])
if held and held ~= token then
  return {'held', '', held}
end

local progress = redis.call('GET', KEYS[1])
local offset = -1
if progress then
  offset = tonumber(string.match(progress, '^(%-?%d+):'))
end
progress = progress or ''

if offset >= heard then
  local coupon = redis.call('HMGET', KEYS[2], 'current', 'definitions', 'limit', granted)
  local now = ''
  if coupon[1] then
    now = coupon[2] .. '/' .. coupon[1] .. '/' .. redis.call('HGET', KEYS[2], definition .. coupon[1])
  end
  if now ~= version then
    return {'changed', progress, now, redis.call('HGETALL', KEYS[2])}
  end
  if not coupon[1] then
    return {'unknown_coupon', progress}
  end
  if near ~= '1' then
    if refused ~= '' then
      return {refused, progress}
    end
    local entry = redis.call('HGET', KEYS[3], user)
    if entry then
      return {'already_issued', progress, entry}
    end
    if tonumber(coupon[4] or '0') >= tonumber(coupon[3]) then
      return {'sold_out', progress}
    end
  end
end

redis.call('SET', KEYS[4], token, 'PX', guard_ms)
return {'admitted', progress}
