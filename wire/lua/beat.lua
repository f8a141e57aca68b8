-- Show a worker's card until its time to live (ms) is over.
local id, ttl, card = arg(1), tonumber(arg(2)), arg(3)
redis.call('SET', ns .. 'worker:' .. id, card, 'PX', ttl)
redis.call('ZADD', ns .. 'workers', now + ttl, id)
redis.call('ZREMRANGEBYSCORE', ns .. 'workers', '-inf', now)
return 1
