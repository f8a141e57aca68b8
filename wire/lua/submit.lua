-- Let an ask in: known already, same in flight, pictures there, room left? Then write it down.
local id, asked, tenant, deadline, flight = arg(1), arg(2), arg(3), tonumber(arg(4)), arg(5)
local max_open, max_of_tenant, max_wait = tonumber(arg(6)), tonumber(arg(7)), tonumber(arg(8))
local slots, service, picture_ttl = tonumber(arg(9)), tonumber(arg(10)), tonumber(arg(11))
local pictures, album = arg(12), arg(13)

if redis.call('EXISTS', ns .. 'ask:' .. id) == 1 then return {'accepted', id, '0'} end

-- What an open ask names must outlive it, however short the life of pictures is otherwise.
local lives = math.max(picture_ttl, deadline - now + 60000)
local missing = {'missing'}
for i = 14, #ARGV - 4 do
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

local queued, running = redis.call('ZCARD', ns .. 'queued'), redis.call('ZCARD', ns .. 'running')
local pace = slots > 0 and service / slots or 0
if queued + running >= max_open then
  return {'refused', 'too_many_open', tostring(math.max(1, pace))}
end
if tonumber(redis.call('HGET', ns .. 'tenants', tenant) or '0') >= max_of_tenant then
  return {'refused', 'too_many_of_tenant', tostring(math.max(1, pace))}
end

local wait = 0
if pace > 0 then
  wait = wait_after(ahead_of(tenant, redis.call('ZCARD', ns .. 'wait:' .. tenant)), slots, service)
  -- Whoever would be claimed too late to finish must not be let in: under steady overload every
  -- ask would be (goodput fell to a tenth of capacity). The mean varies, hence the margins.
  local most = math.min(max_wait, deadline - now - 1.5 * service)
  if wait > 0 and 1.2 * wait > most then
    return {'refused', 'wait_too_long', tostring(math.max(pace, 1.2 * wait - most))}
  end
end

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
return {'accepted', id, tostring(wait)}
