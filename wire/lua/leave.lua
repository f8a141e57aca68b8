-- Take a worker's card away, and what it was called to.
local id, calls = arg(1), arg(2)
redis.call('DEL', ns .. 'worker:' .. id, calls .. id)
redis.call('HDEL', ns .. 'slots', id)
return redis.call('ZREM', ns .. 'workers', id)
