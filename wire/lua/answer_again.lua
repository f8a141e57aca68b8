-- An ask whose answer was there already: a record like any other's, ended as soon as it is written.
-- Its events are shared by all who get the same answer, so that each costs a few hundred bytes.
local id, tenant, deadline, told, token, ending = arg(1), arg(2), arg(3), arg(4), arg(5), arg(6)
local ask, events = ns .. 'ask:' .. id, ns .. 'events:' .. told
if redis.call('EXISTS', ask) == 1 then return 0 end
if redis.call('EXISTS', events) == 0 then
  redis.call('XADD', events, '1-1', 'e', token)
  redis.call('XADD', events, '1-2', 'e', ending)
end
local order = redis.call('INCR', ns .. 'order')
redis.call('HSET', ask, 'id', id, 'tenant', tenant, 'state', 'done', 'accepted', now, 'ended', now,
  'deadline', deadline, 'order', order, 'attempt', 0, 'deaths', 0, 'told', told)
redis.call('EXPIRE', ask, record_ttl)
redis.call('EXPIRE', events, record_ttl)
redis.call('ZADD', ns .. 'all', order, id)
redis.call('ZADD', ns .. 'ended', now + record_ttl * 1000, id)
count('accepted')
count('done')
return 1
