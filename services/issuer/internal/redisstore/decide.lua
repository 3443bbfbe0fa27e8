-- Decides one batch, if progress is what was expected: reads and checks everything first and writes last, since what a
-- script has written stays written when it fails.
--
-- KEYS  progress, coupons, retire, outbox; for each drop: granted, coupon; for each group: coupon, granted; for a
--       definition: coupon, granted
-- ARGV  expected ("" = missing), next, covered, number of drops, number of groups, definitions (0 or 1);
--       for each drop: member of retire, counter ("" = it stays);
--       for each group: claims, limit, counter, drop at ("" = never), member of retire, header, 1 if it has pieces,
--       the users, the pieces ("offset:" and what goes into the outbox before the user);
--       for a definition: 1 if frozen, 1 if full, id, drop at ("" = never), 1 if dropped at once, member of retire,
--       offset, limit, definitions, field, value, piece
-- Gives "!" and the progress found, or "=", what became of the definition (c, x, i or -), and for each group a line of
-- its count before, ":", and a letter for each claim: g, a or s.
local call, insert, find, sub = redis.call, table.insert, string.find, string.sub
local found = call('GET', KEYS[1]) or ''
if found ~= ARGV[1] then
  return '!' .. found
end
if found == '' and call('EXISTS', KEYS[2], KEYS[3], KEYS[4]) > 0 then
  return redis.error_reply('DAMAGED progress is missing, but not what belongs to it')
end
call('ZCARD', KEYS[2])
call('ZCARD', KEYS[3])
local drops, groups, defines = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6] == '1'
local at, k = 7, 5

local dropAt, dropKey = at, k
for _ = 1, drops do
  call('HLEN', KEYS[k])
  call('HLEN', KEYS[k + 1])
  at, k = at + 2, k + 2
end

local function count(value)
  if not value then
    return 0
  end
  local n = tonumber(value)
  if not n then
    error('a counter is no number')
  end
  return n
end

-- Neither unpack nor concat takes any number of values everywhere.
local function join(parts, between)
  local joined = {}
  for from = 1, #parts, 1000 do
    insert(joined, table.concat(parts, between, from, math.min(from + 999, #parts)))
  end
  return table.concat(joined, between)
end

-- The claims.
local totals, hashes, adds, lines, facts = {}, {}, {}, {}, {}
for _ = 1, groups do
  local n, limit, counter = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), ARGV[at + 2]
  local coupon, granted = KEYS[k], KEYS[k + 1]
  local held = call('HMGET', coupon, 'total', counter)
  local before, total = count(held[2]), totals[coupon] or count(held[1])
  local users, pieces = at + 7, at + 7 + n
  if ARGV[at + 6] == '0' then
    pieces = nil
    if before < limit then
      return redis.error_reply('DAMAGED a window that was sold out has coupons left')
    end
  end
  local now, seen, letters, entries, texts, w = before, {}, {}, {}, {}, 0
  for from = 0, n - 1, 1000 do
    local to = math.min(from + 999, n - 1)
    held = call('HMGET', granted, unpack(ARGV, users + from, users + to))
    for i = from, to do
      local user = ARGV[users + i]
      if held[i - from + 1] or seen[user] then
        letters[i + 1] = 'a'
      elseif now < limit then
        now = now + 1
        seen[user] = true
        letters[i + 1] = 'g'
        local piece = ARGV[pieces + i]
        local colon = find(piece, ':', 1, true)
        entries[w + 1], entries[w + 2] = user, now .. ':' .. sub(piece, 1, colon - 1)
        texts[w + 1], texts[w + 2] = piece, user
        w = w + 2
      else
        letters[i + 1] = 's'
      end
    end
  end
  insert(lines, before .. ':' .. join(letters, ''))
  if now > before then
    total = total + now - before
    insert(hashes, { granted, entries })
    insert(adds, { coupon, 'total', total, counter, now })
    insert(facts, ARGV[at + 5] .. before .. ':' .. (now - before) .. ':' .. join(texts, ''))
    if before == 0 and ARGV[at + 3] ~= '' then
      insert(adds, { KEYS[3], ARGV[at + 3], ARGV[at + 4] })
    end
  end
  totals[coupon] = total
  at, k = users + n, k + 2
  if pieces then
    at = at + n
  end
end

-- The definition, after them.
local defined = '-'
if defines then
  local total = totals[KEYS[k]] or count(call('HGET', KEYS[k], 'total'))
  call('HLEN', KEYS[k + 1])
  if ARGV[at] == '1' and total > 0 then
    defined = 'x'
  elseif ARGV[at + 1] == '1' then
    defined = 'i'
  else
    defined = 'c'
    insert(facts, ARGV[at + 11])
  end
end

-- What the outbox can give up.
local covered, trim = tonumber(ARGV[3]), 0
while true do
  local element = call('LINDEX', KEYS[4], trim)
  if not element or tonumber(string.match(element, '^(%d+):')) > covered then
    break
  end
  trim = trim + 1
end

-- Here the writing begins. A Redis without memory refuses the first write, or none.
if #facts > 0 then
  call('RPUSH', KEYS[4], ARGV[2] .. '\n' .. join(facts, ''))
end
for i = 1, drops do
  local member, counter = ARGV[dropAt + 2 * i - 2], ARGV[dropAt + 2 * i - 1]
  call('UNLINK', KEYS[dropKey + 2 * i - 2])
  call('ZREM', KEYS[3], member)
  if counter ~= '' then
    call('HDEL', KEYS[dropKey + 2 * i - 1], counter)
  end
end
for i = 1, #hashes do
  local key, values = hashes[i][1], hashes[i][2]
  for from = 1, #values, 1000 do
    call('HSET', key, unpack(values, from, math.min(from + 999, #values)))
  end
end
for i = 1, #adds do
  local add = adds[i]
  if #add == 5 then
    call('HSET', unpack(add))
  else
    call('ZADD', unpack(add))
  end
end
if defined == 'c' then
  call('HSET', KEYS[k], 'current', ARGV[at + 6], 'limit', ARGV[at + 7], 'definitions', ARGV[at + 8], ARGV[at + 9], ARGV[at + 10])
  call('ZADD', KEYS[2], 0, ARGV[at + 2])
  if ARGV[at + 4] == '1' then
    call('UNLINK', KEYS[k + 1])
  end
  if ARGV[at + 3] ~= '' and ARGV[at + 4] == '0' then
    call('ZADD', KEYS[3], ARGV[at + 3], ARGV[at + 5])
  else
    call('ZREM', KEYS[3], ARGV[at + 5])
  end
end
if trim > 0 then
  call('LTRIM', KEYS[4], trim, -1)
end
call('SET', KEYS[1], ARGV[2])
return '=' .. defined .. '\n' .. join(lines, '\n')
