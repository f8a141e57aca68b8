-- Give an ask back; with blame it is one death nearer to `dead`.
local id, attempt, blame, dead_event, cancelled_event = arg(1), arg(2), arg(3), arg(4), arg(5)
if not owns(id, attempt) then return 'refused' end
if blame ~= '' then
  redis.call('HINCRBY', ns .. 'ask:' .. id, 'deaths', 1)
  redis.call('HSET', ns .. 'ask:' .. id, 'error', blame)
end
return requeue(id, dead_event, cancelled_event)
