-- What is in force for some coupons, if progress is what was expected. Without keys of coupons: the next ids.
--
-- KEYS  progress, coupons; then those of the coupons
-- ARGV  expected ("" = missing), id to begin after ("" = at the first), how many
-- Gives the progress found, and then the ids, or for each coupon its definition (false where it has none) and how many
-- there were.
local found = redis.call('GET', KEYS[1]) or ''
local answer = { found }
if found ~= ARGV[1] then
  return answer
end
if #KEYS == 2 then
  local after = '-'
  if ARGV[2] ~= '' then
    after = '(' .. ARGV[2]
  end
  answer[2] = redis.call('ZRANGEBYLEX', KEYS[2], after, '+', 'LIMIT', 0, ARGV[3])
  return answer
end
for k = 3, #KEYS do
  local held = redis.call('HMGET', KEYS[k], 'current', 'definitions')
  answer[#answer + 1] = held[1] and redis.call('HGET', KEYS[k], 'def:' .. held[1])
  answer[#answer + 1] = held[2]
end
return answer
