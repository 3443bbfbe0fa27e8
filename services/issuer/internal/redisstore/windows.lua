-- KEYS  progress, retire
-- ARGV  expected ("" = missing), first rank, last rank
-- Gives the progress found, and if it is the expected one a page of the windows to be dropped, with their log times.
local found = redis.call('GET', KEYS[1]) or ''
if found ~= ARGV[1] then
  return { found, {} }
end
return { found, redis.call('ZRANGE', KEYS[2], ARGV[2], ARGV[3], 'WITHSCORES') }
