-- Everything that a gateway asks of one partition, many calls at once, in their order. Each call looks and writes in one
-- atomic step of its own; that they share a script call only saves time.
-- KEYS: progress, then those of each call. ARGV: the prefix of a definition's field, how many calls, then of each its name
-- and arguments.
local last = {key = 1, arg = 2} -- a table, since the Lua of local mode's Redis loses sight of plain locals after an error
local changed = {} -- by a coupon's key: the answer to a claim that came with definitions of before

local function keys(n)
  local from = last.key + 1
  last.key = last.key + n
  return KEYS[from], KEYS[from + 1], KEYS[from + 2], KEYS[from + 3]
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

-- Is this claim let through? The idempotency key if there is one (request ~= ''), the guard, the rules in their order; then
-- key and guard are taken.
function call.admit()
  local request = next_arg()
  local coupon, granted, guard, idem = keys(request == '' and 3 or 4)
  local heard, known, refused, near = tonumber(next_arg()), next_arg(), next_arg(), next_arg()
  local user, token, guard_ms, counter = next_arg(), next_arg(), next_arg(), next_arg()

  local progress = redis.call('GET', KEYS[1]) or ''
  local remembered = request ~= '' and redis.call('GET', idem)
  if remembered and remembered ~= request .. ':' .. token then
    return {'remembered', progress, remembered}
  end
  local held = redis.call('GET', guard)
  if held and held ~= token then
    return {'held', '', held}
  end
  if changed[coupon] then -- someone earlier has to ask again, and stays the earlier one
    return changed[coupon]
  end

  local offset = tonumber(string.match(progress, '^(%-?%d+):') or -1)
  if offset >= heard then
    local c = redis.call('HMGET', coupon, 'current', 'definitions', 'limit', counter)
    local now = version(coupon, c[1], c[2])
    if now ~= known then
      changed[coupon] = {'changed', progress, now, redis.call('HGETALL', coupon)}
      return changed[coupon]
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
  if request ~= '' then
    redis.call('SET', idem, request .. ':' .. token, 'PX', guard_ms)
  end
  return {'admitted', progress}
end

-- Guard and idempotency key become the claim's place in the log, each if it is still this claim's own.
function call.settle()
  local request = next_arg()
  local guard, idem = keys(request == '' and 1 or 2)
  local token, ticket, guard_ms, idem_ms = next_arg(), next_arg(), next_arg(), next_arg()
  if request ~= '' and redis.call('GET', idem) == request .. ':' .. token then
    redis.call('SET', idem, request .. ':' .. ticket, 'PX', idem_ms)
  end
  if redis.call('GET', guard) == token then
    redis.call('SET', guard, ticket, 'PX', guard_ms)
    return {'1'}
  end
  return {'0'}
end

-- Guard and idempotency key go, each if it is still this claim's own.
function call.release()
  local request = next_arg()
  local guard, idem = keys(request == '' and 1 or 2)
  local token = next_arg()
  if request ~= '' and redis.call('GET', idem) == request .. ':' .. token then
    redis.call('DEL', idem)
  end
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
