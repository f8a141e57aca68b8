-- An object is about to be put: note when it goes. 0: it is being removed right now, wait.
local digest, ttl = arg(1), tonumber(arg(2))
if redis.call('EXISTS', ns .. 'sweeping:' .. digest) == 1 then return 0 end
redis.call('ZADD', ns .. 'shelf', now + ttl, digest)
return 1
