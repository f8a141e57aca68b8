-- An ask claimed as `alone` begins to run: from here on its worker's death is its own.
local id, attempt = arg(1), arg(2)
if not owns(id, attempt) then return 0 end
redis.call('HSET', ns .. 'ask:' .. id, 'started', 1)
return 1
