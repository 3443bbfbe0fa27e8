-- Everything that a gateway asks of one partition, many calls at once, in their order. Each call looks and writes in one
-- atomic step of its own; that they share a script call only saves time.
-- KEYS: progress, then those of each call. ARGV: the prefix of a definition's field, how many calls, then of each its name
-- and arguments.
local last = {key = 1, arg = 2} -- a table, since the Lua of local mode's Redis loses sight of plain locals after an error

local function keys(n)
  local from = last.key + 1
  last.key = last.key + n
  return KEYS[from], KEYS[from + 1], KEYS[from + 2]
end

local function next_arg()
  last.arg = last.arg + 1
  return ARGV[last.arg]
end

-- The version of a coupon's definitions: how many, the offset of the one in force, and that one; '' for an unknown coupon.
local function version(coupon, current, definitions)
  if not current then
    return ''
  end
  return definitions .. '/' .. current .. '/' .. redis.call('HGET', coupon, ARGV[1] .. current)
end

local call = {}

-- Is this claim let through? The guard, the rules in their order, and the guard is taken.
function call.admit()
  local coupon, granted, guard = keys(3)
  local heard, known, refused, near = tonumber(next_arg()), next_arg(), next_arg(), next_arg()
  local user, token, guard_ms, counter = next_arg(), next_arg(), next_arg(), next_arg()

  local held = redis.call('GET', guard)
  if held and held ~= token then
    return {'held', '', held}
  end

  local progress = redis.call('GET', KEYS[1]) or ''
  local offset = tonumber(string.match(progress, '^(%-?%d+):') or -1)
  if offset >= heard then
    local c = redis.call('HMGET', coupon, 'current', 'definitions', 'limit', counter)
    local now = version(coupon, c[1], c[2])
    if now ~= known then
      return {'changed', progress, now, redis.call('HGETALL', coupon)}
    end
    if not c[1] then
      return {'unknown_coupon', progress}
    end
    if near ~= '1' then
      if refused ~= '' then
        return {refused, progress}
      end
      local entry = redis.call('HGET', granted, user)
      if entry then
        return {'already_issued', progress, entry}
      end
      if tonumber(c[4] or '0') >= tonumber(c[3]) then
        return {'sold_out', progress}
      end
    end
  end

  redis.call('SET', guard, token, 'PX', guard_ms)
  return {'admitted', progress}
end

-- The guard becomes the claim's place in the log, if it is still this claim's own.
function call.settle()
  local guard, token, ticket, ms = keys(1), next_arg(), next_arg(), next_arg()
  if redis.call('GET', guard) == token then
    redis.call('SET', guard, ticket, 'PX', ms)
    return {'1'}
  end
  return {'0'}
end

-- The guard goes, if it is still this claim's own.
function call.release()
  local guard, token = keys(1), next_arg()
  if redis.call('GET', guard) == token then
    redis.call('DEL', guard)
  end
  return {}
end

-- Progress, the definitions where they are others than known, the counters and one person's entry.
function call.read()
  local coupon, granted = keys(2)
  local known, counter, user = next_arg(), next_arg(), next_arg()
  local c = redis.call('HMGET', coupon, 'current', 'definitions', 'total', counter)
  local now = version(coupon, c[1], c[2])
  local answer = {redis.call('GET', KEYS[1]) or '', now, c[3] or '0', c[4] or '0', ''}
  if user ~= '' then
    answer[5] = redis.call('HGET', granted, user) or ''
  end
  if now ~= known then
    answer[6] = redis.call('HGETALL', coupon)
  end
  return answer
end

local answers = {}
for i = 1, tonumber(ARGV[2]) do
  local ok, answer = pcall(call[next_arg()])
  if not ok then -- nobody else suffers for a coupon whose state is damaged
    answer = {'damaged', tostring(type(answer) == 'table' and answer.err or answer)}
  end
  answers[i] = answer
end
return answers
