-- Take a worker's card away.
redis.call('DEL', ns .. 'worker:' .. arg(1))
return redis.call('ZREM', ns .. 'workers', arg(1))
