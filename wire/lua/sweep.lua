-- Objects that no mark keeps any more: taken on by one sweeper, which nobody may put meanwhile.
local prefix, token, takes, most = arg(1), arg(2), tonumber(arg(3)), tonumber(arg(4))
local due = {}
for _, digest in ipairs(redis.call('ZRANGEBYSCORE', ns .. 'shelf', '-inf', now, 'LIMIT', 0, most)) do
  local left = redis.call('PTTL', ns .. prefix .. digest)
  if left > 0 then
    redis.call('ZADD', ns .. 'shelf', now + left, digest)
  else
    -- Should this sweeper die, the next one comes to it after that.
    redis.call('ZADD', ns .. 'shelf', now + takes, digest)
    redis.call('SET', ns .. 'sweeping:' .. digest, token, 'PX', takes)
    due[#due + 1] = digest
  end
end
return due
