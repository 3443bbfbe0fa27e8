-- The guard becomes the claim's place in the log, if it is still this claim's own.
-- KEYS: guard. ARGV: token, ticket, milliseconds.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
  return 1
end
return 0
