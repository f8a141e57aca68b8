-- One asker leaves (or all): the last one ends a queued ask, and flags a running one.
local id, everyone, event = arg(1), arg(2) == '1', arg(3)
local state = field(id, 'state')
if not state then return 'missing' end
if state ~= 'queued' and state ~= 'running' then return 'ended' end
if not everyone and redis.call('HINCRBY', ns .. 'ask:' .. id, 'askers', -1) > 0 then
  return 'left'
end
if state == 'queued' then
  end_ask(id, 'cancelled', event)
  return 'cancelled'
end
redis.call('HSET', ns .. 'ask:' .. id, 'cancel', 1)
redis.call('PUBLISH', ns .. 'cancel', id)
return 'asked'
