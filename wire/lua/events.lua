-- An ask's state, then the ids and texts of its events after an id, in one look: state before events
-- would miss an ending between the two. Empty: no such ask, and no events of one.
local id, after, most = arg(1), arg(2), tonumber(arg(3))
local row = redis.call('HMGET', ns .. 'ask:' .. id, 'state', 'told')
local found = {row[1] or ''}
local rows = redis.call('XRANGE', ns .. 'events:' .. (row[2] or id), '(' .. after, '+', 'COUNT', most)
for _, event in ipairs(rows) do
  found[#found + 1] = event[1]
  found[#found + 1] = event[2][2]
end
return found
