-- Decides about every count of one call at once: all of them grow, or none does.
--
-- KEYS[1] are the lanes that are alive, with when each was seen last; then one key for each count.
-- ARGV[1] is the lane that asks; then five for each count: its kind (r: a rate, q: a quota, c: calls at once), the cost, the most that there may be, the least
-- that the asker knows of, and how many seconds the count is kept.
-- The answer is 1 or 0 (all let in, or not), and for each count whether it let the call in and what it is now. Rates are in microseconds ahead of now.
local time = redis.call('TIME')
local now = (time[1] - 1767225600) * 1000000 + time[2]
local ok, answer, counts = 1, { 1 }, {}

local function alive(key)
  local sum, fields = 0, redis.call('HGETALL', key)
  for at = 1, #fields, 2 do
    local seen = redis.call('ZSCORE', KEYS[1], fields[at])
    if seen and tonumber(seen) > now - 5000000 then
      sum = sum + fields[at + 1]
    else
      redis.call('HDEL', key, fields[at])
    end
  end
  return sum
end

local function keep(key, kind, value, life)
  if kind == 'r' then
    redis.call('SET', key, string.format('%.3f', now + value), 'PX', math.ceil(value / 1000) + 1)
  else
    redis.call('SET', key, string.format('%.0f', value), 'EX', life)
  end
end

for at = 2, #KEYS do
  local base = (at - 2) * 5 + 1
  local kind, cost, most, least = ARGV[base + 1], tonumber(ARGV[base + 2]), tonumber(ARGV[base + 3]), tonumber(ARGV[base + 4])
  local before
  if kind == 'c' then
    before = alive(KEYS[at])
  else
    local stored = tonumber(redis.call('GET', KEYS[at]) or 0)
    if kind == 'r' then stored = math.max(stored - now, 0) end
    before = math.max(stored, least)
    if kind == 'r' then before = math.min(before, most * 16) end
    -- What only the asker knew is known from here on, whatever becomes of the call.
    if before > stored then keep(KEYS[at], kind, before, ARGV[base + 5]) end
  end
  -- A microsecond more, for what a fraction was rounded by.
  local fits = before + cost <= most + (kind == 'r' and 1 or 0)
  if not fits then ok = 0 end
  counts[at] = before
  answer[at * 2 - 2], answer[at * 2 - 1] = fits and 1 or 0, math.ceil(before)
end
answer[1] = ok
if ok == 0 then return answer end

for at = 2, #KEYS do
  local base = (at - 2) * 5 + 1
  local kind, cost, life = ARGV[base + 1], tonumber(ARGV[base + 2]), ARGV[base + 5]
  local after = counts[at] + cost
  if kind == 'c' then
    redis.call('HINCRBY', KEYS[at], ARGV[1], cost)
    redis.call('EXPIRE', KEYS[at], life)
  else
    keep(KEYS[at], kind, after, life)
  end
  answer[at * 2 - 1] = math.ceil(after)
end
return answer
