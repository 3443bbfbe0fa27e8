-- Takes a piece of the journal, if progress is what was expected; without one it moves progress, or only compares it and
-- trims the outbox. As in decide.lua all reading comes first.
--
-- KEYS  progress, coupons, retire, outbox; for each drop: granted, coupon; for each window: coupon, granted; for each
--       definition: coupon, granted
-- ARGV  expected ("" = missing), next ("" = as it is), covered, number of drops, windows, definitions;
--       for each drop: member of retire, counter ("" = it stays);
--       for each window: entries, counter, first sequence, drop at ("" = never), member of retire, then user and entry
--       by turns;
--       for each definition: id, drop at ("" = never), 1 if dropped at once, member of retire, offset, limit,
--       definitions, field, value
-- Gives "!" and the progress found, or "=".
local call = redis.call
local found = call('GET', KEYS[1]) or ''
if found ~= ARGV[1] then
  return '!' .. found
end
if found == '' and call('EXISTS', KEYS[2], KEYS[3], KEYS[4]) > 0 then
  return redis.error_reply('DAMAGED progress is missing, but not what belongs to it')
end
call('ZCARD', KEYS[2])
call('ZCARD', KEYS[3])
local drops, windows, definitions = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local at, k = 7, 5

local dropAt, dropKey = at, k
for _ = 1, drops do
  call('HLEN', KEYS[k])
  call('HLEN', KEYS[k + 1])
  at, k = at + 2, k + 2
end

local windowAt, windowKey = at, k
local totals, counters = {}, {}
for i = 1, windows do
  local n, coupon = tonumber(ARGV[at]), KEYS[k]
  local held = call('HMGET', coupon, 'total', ARGV[at + 1])
  call('HLEN', KEYS[k + 1])
  if tonumber(held[2] or 0) + 1 ~= tonumber(ARGV[at + 2]) then
    return redis.error_reply('DAMAGED the journal goes on with sequence ' .. ARGV[at + 2] .. ' where ' .. (held[2] or '0') .. ' were granted')
  end
  totals[coupon] = (totals[coupon] or tonumber(held[1] or 0)) + n
  counters[i] = tonumber(ARGV[at + 2]) + n - 1
  at, k = at + 5 + 2 * n, k + 2
end

local defineAt, defineKey = at, k
for _ = 1, definitions do
  call('HLEN', KEYS[k])
  call('HLEN', KEYS[k + 1])
  at, k = at + 9, k + 2
end

local covered, trim = tonumber(ARGV[3]), 0
while true do
  local element = call('LINDEX', KEYS[4], trim)
  if not element or tonumber(string.match(element, '^(%d+):')) > covered then
    break
  end
  trim = trim + 1
end

for i = 1, drops do
  local member, counter = ARGV[dropAt + 2 * i - 2], ARGV[dropAt + 2 * i - 1]
  call('UNLINK', KEYS[dropKey + 2 * i - 2])
  call('ZREM', KEYS[3], member)
  if counter ~= '' then
    call('HDEL', KEYS[dropKey + 2 * i - 1], counter)
  end
end
at, k = windowAt, windowKey
for i = 1, windows do
  local n, entries = tonumber(ARGV[at]), at + 5
  for from = entries, entries + 2 * n - 1, 1000 do
    call('HSET', KEYS[k + 1], unpack(ARGV, from, math.min(from + 999, entries + 2 * n - 1)))
  end
  call('HSET', KEYS[k], 'total', totals[KEYS[k]], ARGV[at + 1], counters[i])
  if ARGV[at + 2] == '1' and ARGV[at + 3] ~= '' then
    call('ZADD', KEYS[3], ARGV[at + 3], ARGV[at + 4])
  end
  at, k = entries + 2 * n, k + 2
end
at, k = defineAt, defineKey
for _ = 1, definitions do
  call('HSET', KEYS[k], 'current', ARGV[at + 4], 'limit', ARGV[at + 5], 'definitions', ARGV[at + 6], ARGV[at + 7], ARGV[at + 8])
  call('ZADD', KEYS[2], 0, ARGV[at])
  if ARGV[at + 2] == '1' then
    call('UNLINK', KEYS[k + 1])
  end
  if ARGV[at + 1] ~= '' and ARGV[at + 2] == '0' then
    call('ZADD', KEYS[3], ARGV[at + 1], ARGV[at + 3])
  else
    call('ZREM', KEYS[3], ARGV[at + 3])
  end
  at, k = at + 9, k + 2
end
if trim > 0 then
  call('LTRIM', KEYS[4], trim, -1)
end
if ARGV[2] ~= '' then
  call('SET', KEYS[1], ARGV[2])
end
return '='
