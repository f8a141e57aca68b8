-- End an ask for the attempt that owns it; a late zombie is refused, a repeat told so.
local id, attempt, state, ending = arg(1), arg(2), arg(3), arg(4)
local start, upto, token = arg(5), arg(6), arg(7)
if not owns(id, attempt) then
  local row = redis.call('HMGET', ns .. 'ask:' .. id, 'state', 'attempt', 'finished')
  if row[1] == state and row[2] == attempt and row[3] == attempt then return 'already' end
  count('refused_finishes')
  return 'refused'
end
if start ~= '' then
  local told = told_of(id, attempt)
  if told ~= tonumber(start) then return told end
  if upto ~= start then
    tell_up_to(id, attempt, upto)
    note_event(id, token)
  end
end
if state == 'done' then
  local took = now - tonumber(field(id, 'claimed'))
  local mean = tonumber(redis.call('HGET', ns .. 'count', 'service_ms') or took)
  redis.call('HSET', ns .. 'count', 'service_ms', tostring(mean + 0.1 * (took - mean)))
end
redis.call('HSET', ns .. 'ask:' .. id, 'finished', attempt)
end_ask(id, state, ending)
return 'ended'
