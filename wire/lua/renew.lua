-- Extend leases: `lease, id, attempt, id, attempt, …`; one word for each pair.
local lease = tonumber(arg(1))
local words = {}
for i = 2, #ARGV - 4, 2 do
  local id, attempt = arg(i), arg(i + 1)
  if owns(id, attempt) then
    redis.call('ZADD', ns .. 'running', 'XX', now + lease, id)
    words[#words + 1] = field(id, 'cancel') == '1' and 'cancel' or 'kept'
  else
    words[#words + 1] = 'lost'
  end
end
return words
