-- Show a worker's card until its time to live (ms) is over, and how many asks it takes at once.
local id, ttl, card, slots, calls = arg(1), tonumber(arg(2)), arg(3), arg(4), arg(5)
redis.call('SET', ns .. 'worker:' .. id, card, 'PX', ttl)
redis.call('ZADD', ns .. 'workers', now + ttl, id)
redis.call('HSET', ns .. 'slots', id, slots)
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', ns .. 'workers', '-inf', now)) do
  redis.call('ZREM', ns .. 'workers', gone)
  redis.call('HDEL', ns .. 'slots', gone)
  -- What it was called to, should this Redis be the broker too: nobody reads it any more.
  redis.call('DEL', calls .. gone)
end
return 1
