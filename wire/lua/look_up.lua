-- One record, without what was asked; with `slots` also a waiting ask's place in line.
local id, slots, service = arg(1), arg(2), tonumber(arg(3))
local flat = redis.call('HGETALL', ns .. 'ask:' .. id)
local reply, row = {}, {}
for i = 1, #flat, 2 do
  row[flat[i]] = flat[i + 1]
  if flat[i] ~= 'asked' then
    reply[#reply + 1] = flat[i]
    reply[#reply + 1] = flat[i + 1]
  end
end
if slots ~= '' and row.state == 'queued' then
  local ahead = ahead_of(row.tenant, redis.call('ZRANK', ns .. 'wait:' .. row.tenant, id))
  reply[#reply + 1] = 'position'
  reply[#reply + 1] = tostring(ahead + 1)
  reply[#reply + 1] = 'wait'
  reply[#reply + 1] = tostring(wait_after(ahead, tonumber(slots), service))
end
return reply
