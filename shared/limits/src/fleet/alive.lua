-- Says that a lane of a gateway is alive, forgets those that have not said so for five seconds, and tells how many gateways there are.
--
-- KEYS are the lanes and the gateways; ARGV the lane and the gateway.
local time = redis.call('TIME')
local now = (time[1] - 1767225600) * 1000000 + time[2]
for at = 1, 2 do
  redis.call('ZADD', KEYS[at], now, ARGV[at])
  redis.call('ZREMRANGEBYSCORE', KEYS[at], '-inf', now - 5000000)
  redis.call('EXPIRE', KEYS[at], 60)
end
return redis.call('ZCARD', KEYS[2])
