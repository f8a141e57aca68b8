-- Records newest first, from a cursor downwards; filters may leave a page short.
local cursor, limit, state, tenant = arg(1), tonumber(arg(2)), arg(3), arg(4)
local upper = cursor == '' and '+inf' or '(' .. cursor
local ids = redis.call('ZREVRANGEBYSCORE', ns .. 'all', upper, '-inf', 'WITHSCORES',
  'LIMIT', 0, limit)
local rows, following = {}, ''
for i = 1, #ids, 2 do
  local names = {'id', 'state', 'tenant', 'attempt', 'deaths', 'accepted', 'deadline', 'claimed',
    'ended', 'owner', 'cancel', 'error'}
  local values = redis.call('HMGET', ns .. 'ask:' .. ids[i], unpack(names))
  following = ids[i + 1]
  local fits = values[1] and (state == '' or values[2] == state)
    and (tenant == '' or '=' .. values[3] == tenant)
  if fits then
    local row = {}
    for k, name in ipairs(names) do
      if values[k] then
        row[#row + 1] = name
        row[#row + 1] = values[k]
      end
    end
    rows[#rows + 1] = row
  end
end
if #ids < 2 * limit then following = '' end
return {following, rows}
