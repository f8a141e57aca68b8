-- End an ask for the attempt that owns it; a late zombie is refused, a repeat told so.
local id, attempt, state, token, ending = arg(1), arg(2), arg(3), arg(4), arg(5)
if not owns(id, attempt) then
  local row = redis.call('HMGET', ns .. 'ask:' .. id, 'state', 'attempt', 'finished')
  if row[1] == state and row[2] == attempt and row[3] == attempt then return 'already' end
  count('refused_finishes')
  return 'refused'
end
if token ~= '' then note_event(id, token) end
if state == 'done' then
  local took = now - tonumber(field(id, 'claimed'))
  local mean = tonumber(redis.call('HGET', ns .. 'count', 'service_ms') or took)
  redis.call('HSET', ns .. 'count', 'service_ms', tostring(mean + 0.1 * (took - mean)))
end
redis.call('HSET', ns .. 'ask:' .. id, 'finished', attempt)
end_ask(id, state, ending)
return 'ended'
