-- One atomic look at progress, the definitions, the counters and one person's entry.
-- KEYS: progress, coupon, granted of the window. ARGV: see read.go.
local known, definition, granted, user = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local coupon = redis.call('HMGET', KEYS[2], 'current', 'definitions', 'total', granted)
local version = ''
if coupon[1] then
  version = coupon[2] .. '/' .. coupon[1] .. '/' .. redis.call('HGET', KEYS[2], definition .. coupon[1])
end
local answer = {redis.call('GET', KEYS[1]) or '', version, coupon[3] or '0', coupon[4] or '0', ''}
if user ~= '' then
  answer[5] = redis.call('HGET', KEYS[3], user) or ''
end
if version ~= known then
  answer[6] = redis.call('HGETALL', KEYS[2])
end
return answer
