-- One record, without what was asked.
local flat = redis.call('HGETALL', ns .. 'ask:' .. arg(1))
local reply = {}
for i = 1, #flat, 2 do
  if flat[i] ~= 'asked' then
    reply[#reply + 1] = flat[i]
    reply[#reply + 1] = flat[i + 1]
  end
end
return reply
