-- A dead ask gets all its attempts again, and a fresh stream: it must end exactly once more.
local id, deadline = arg(1), tonumber(arg(2))
local ask = ns .. 'ask:' .. id
local row = redis.call('HMGET', ask, 'state', 'tenant', 'order')
if row[1] ~= 'dead' or deadline <= now then return 0 end
redis.call('HINCRBY', ns .. 'count', 'dead', -1)
redis.call('HINCRBY', ns .. 'tenants', row[2], 1)
redis.call('ZREM', ns .. 'dead', id)
redis.call('ZREM', ns .. 'ended', id)
redis.call('DEL', ns .. 'events:' .. id)
redis.call('PERSIST', ask)
redis.call('HDEL', ask, 'ended', 'owner', 'cancel')
redis.call('HSET', ask, 'deaths', 0, 'deadline', deadline, 'askers', 1)
enqueue(id, row[2], row[3], deadline)
return 1
