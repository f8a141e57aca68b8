-- The mean service time (ms), then the card of each live worker.
local reply = {tostring(redis.call('HGET', ns .. 'count', 'service_ms') or 0)}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', ns .. 'workers', now, '+inf')) do
  local card = redis.call('GET', ns .. 'worker:' .. id)
  if card then reply[#reply + 1] = card end
end
return reply
