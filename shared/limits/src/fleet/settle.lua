-- Corrects counts by what was really used.
--
-- KEYS are the counts. ARGV[1] is the lane that had asked; then four for each count: its kind (see admit.lua), what to add (less than nothing gives back), the
-- most that there may be, and how many seconds the count is kept.
local time = redis.call('TIME')
local now = (time[1] - 1767225600) * 1000000 + time[2]
for at = 1, #KEYS do
  local base = (at - 1) * 4 + 1
  local kind, more, most, life = ARGV[base + 1], tonumber(ARGV[base + 2]), tonumber(ARGV[base + 3]), tonumber(ARGV[base + 4])
  if kind == 'r' then
    local ahead = math.max((tonumber(redis.call('GET', KEYS[at]) or 0)) - now, 0)
    ahead = math.min(ahead + more, most * 16)
    if ahead > 0 then
      redis.call('SET', KEYS[at], string.format('%.3f', now + ahead), 'PX', math.ceil(ahead / 1000) + 1)
    else
      redis.call('DEL', KEYS[at])
    end
  elseif kind == 'q' then
    local used = math.max((tonumber(redis.call('GET', KEYS[at]) or 0)) + more, 0)
    redis.call('SET', KEYS[at], string.format('%.0f', used), 'EX', life)
  elseif redis.call('HINCRBY', KEYS[at], ARGV[1], more) <= 0 then
    redis.call('HDEL', KEYS[at], ARGV[1])
  end
end
return 1
