-- Let an ask in: known already, same in flight, pictures there, room left? Then write it down.
local id, asked, tenant, deadline, flight = arg(1), arg(2), arg(3), tonumber(arg(4)), arg(5)
local max_open, max_of_tenant, max_wait = tonumber(arg(6)), tonumber(arg(7)), tonumber(arg(8))
local slots, service, picture_ttl = tonumber(arg(9)), tonumber(arg(10)), tonumber(arg(11))
local pictures, album, queue, message = arg(12), arg(13), arg(14), arg(15)

if redis.call('EXISTS', ns .. 'ask:' .. id) == 1 then return {'accepted', id, '0'} end

-- What an open ask names must outlive it, however short the life of pictures is otherwise.
local lives = math.max(picture_ttl, deadline - now + 60000)
local missing = {'missing'}
for i = 16, #ARGV - 4 do
  if not prolong(pictures .. arg(i), lives) then missing[#missing + 1] = arg(i) end
end
if #missing > 1 then return missing end

if flight ~= '' then
  local leader = redis.call('GET', ns .. 'flight:' .. flight)
  if leader then
    local state = field(leader, 'state')
    if state == 'queued' or state == 'running' then
      if field(leader, 'cancel') ~= '1' then
        redis.call('HINCRBY', ns .. 'ask:' .. leader, 'askers', 1)
        return {'joined', leader}
      end
    elseif state == 'done' then
      return {'joined', leader}
    end
  end
end

if deadline <= now then return {'refused', 'deadline_passed', '0'} end

local reason, later, wait =
  refusal(tenant, deadline, max_open, max_of_tenant, max_wait, slots, service)
if reason then return {'refused', reason, tostring(later)} end

local order = redis.call('INCR', ns .. 'order')
redis.call('HSET', ns .. 'ask:' .. id, 'id', id, 'tenant', tenant, 'accepted', now,
  'deadline', deadline, 'asked', asked, 'order', order, 'attempt', 0, 'deaths', 0,
  'askers', 1, 'flight', flight, 'album', album)
redis.call('HINCRBY', ns .. 'tenants', tenant, 1)
redis.call('ZADD', ns .. 'all', order, id)
enqueue(id, tenant, order, deadline)
count('accepted')
if flight ~= '' then
  redis.call('SET', ns .. 'flight:' .. flight, id, 'PX', deadline - now + 60000)
end
if message ~= '' then redis.call('LPUSH', queue, message) end
return {'accepted', id, tostring(wait)}
