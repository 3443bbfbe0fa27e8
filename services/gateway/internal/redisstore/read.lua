-- One atomic look at progress, the definitions, the counters and one person's entry.
-- KEYS: progress, coupon, granted of the window. ARGV: version known, name of the window's counter, user or ''.
local coupon = redis.call('HMGET', KEYS[2], 'current', 'definitions', 'total', ARGV[2])
local version = (coupon[1] or '') .. '/' .. (coupon[2] or '')
local answer = {redis.call('GET', KEYS[1]) or '', version, coupon[3] or '0', coupon[4] or '0', ''}
if ARGV[3] ~= '' then
  answer[5] = redis.call('HGET', KEYS[3], ARGV[3]) or ''
end
if version ~= ARGV[1] then
  answer[6] = redis.call('HGETALL', KEYS[2])
end
return answer
