-- Totals and open asks, at one moment.
local reply = {}
local function put(name, value)
  reply[#reply + 1] = name
  reply[#reply + 1] = tostring(value)
end
for _, name in ipairs({'accepted', 'done', 'failed', 'cancelled', 'expired', 'dead',
  'lost_leases', 'lost_messages', 'refused_finishes', 'service_ms'}) do
  put(name, redis.call('HGET', ns .. 'count', name) or 0)
end
put('queued', redis.call('ZCARD', ns .. 'queued'))
put('running', redis.call('ZCARD', ns .. 'running'))
local oldest = 0
for _, tenant in ipairs(redis.call('ZRANGE', ns .. 'turns', 0, 999)) do
  local id = redis.call('ZRANGE', ns .. 'wait:' .. tenant, 0, 0)[1]
  oldest = math.max(oldest, now - tonumber(field(id, 'accepted')))
end
put('oldest_ms', oldest)
return reply
