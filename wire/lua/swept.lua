-- The object is gone: forget it, unless the time for removing it was up and somebody put it anew.
local token, digest = arg(1), arg(2)
if redis.call('GET', ns .. 'sweeping:' .. digest) ~= token then return 0 end
redis.call('DEL', ns .. 'sweeping:' .. digest)
redis.call('ZREM', ns .. 'shelf', digest)
return 1
