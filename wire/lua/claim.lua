-- Hand out the ask whose turn it is, and note that the message which asked for it has arrived. An
-- ask whose pictures another worker has read is left to that one: for `wait` ms where it has a
-- free slot, and within its tenant for `most_passed` turns of asks behind it.
local worker, look, nonce, lease, expired_event = arg(1), arg(2), arg(3), tonumber(arg(4)), arg(5)
local wait, most_passed = tonumber(arg(6)), tonumber(arg(7))

local function claimed(id)
  local row = redis.call('HMGET', ns .. 'ask:' .. id,
    'asked', 'attempt', 'deadline', 'accepted', 'alone', 'claimed')
  local sent = {}
  if tonumber(row[2]) > 1 then
    for _, entry in ipairs(redis.call('XRANGE', ns .. 'events:' .. id, '-', '+')) do
      sent[#sent + 1] = entry[2][2]
    end
  end
  return {id, row[1], row[2], row[3], tostring(tonumber(row[6]) - tonumber(row[4])), row[5], sent}
end

local prior = redis.call('GET', ns .. 'claim:' .. nonce)
if prior and field(prior, 'state') == 'running' and field(prior, 'nonce') == nonce then
  return claimed(prior)
end

-- Whose an album is: the live worker with the highest hash of album and worker together, so that
-- of all albums only those of a worker that goes, or comes, change hands.
local live
local function owner_of(album)
  if album == '' then return nil end
  if not live then
    live = {}
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', ns .. 'workers', now, '+inf')) do
      local slots = tonumber(redis.call('HGET', ns .. 'slots', id) or '0')
      if slots > 0 then live[id] = slots end
    end
  end
  local owner, highest
  for id in pairs(live) do
    local weight = redis.sha1hex(album .. id)
    if not highest or weight > highest then owner, highest = id, weight end
  end
  return owner
end

local function has_room(id)
  return tonumber(redis.call('HGET', ns .. 'busy', id) or '0') < live[id]
end

-- Which of a tenant's asks this worker takes now; else the first that is left to another, and to
-- whom. Oldest first, but for those that are its own.
local function choose(tenant)
  local ids = redis.call('ZRANGE', ns .. 'wait:' .. tenant, 0, most_passed)
  local free, left, to
  for place, id in ipairs(ids) do
    local row = redis.call('HMGET', ns .. 'ask:' .. id, 'album', 'passed', 'left_until')
    local owner = owner_of(row[1] or '')
    if not owner or owner == worker or tonumber(row[2] or '0') >= most_passed then
      for before = 1, place - 1 do
        redis.call('HINCRBY', ns .. 'ask:' .. ids[before], 'passed', 1)
      end
      return id
    end
    if wait > 0 and tonumber(row[3] or now + wait) > now and has_room(owner) then
      if not left then left, to = id, owner end
    elseif not free then
      free = id
    end
  end
  return free, left, to
end

local sent = redis.call('ZSCORE', ns .. 'looks', look)

-- Bounded, so that a pile of expired asks cannot hold the server; the reaper ends the others.
for _ = 1, 100 do
  local id, tenant, vtime, left, to
  local turns = redis.call('ZRANGE', ns .. 'turns', 0, 7, 'WITHSCORES')
  for i = 1, #turns, 2 do
    local other, whose
    tenant, vtime = turns[i], tonumber(turns[i + 1])
    id, other, whose = choose(tenant)
    if id then break end
    if not left then left, to = other, whose end
  end
  if not id and left then
    local first = redis.call('HSETNX', ns .. 'ask:' .. left, 'left_until', now + wait)
    return {'later', left, to, tostring(tonumber(field(left, 'left_until')) - now), first}
  end
  if sent then
    redis.call('ZREM', ns .. 'looks', look)
    local newest = tonumber(redis.call('GET', ns .. 'watermark') or '0')
    if tonumber(sent) > newest then redis.call('SET', ns .. 'watermark', sent) end
    sent = nil
  end
  if not id then return {} end
  if tonumber(field(id, 'deadline')) <= now then
    end_ask(id, 'expired', expired_event)
  else
    unwait(id, tenant)
    local latest = tonumber(redis.call('GET', ns .. 'vtime') or '0')
    redis.call('SET', ns .. 'vtime', math.max(latest, vtime))
    redis.call('HSET', ns .. 'tags', tenant, vtime + 1)
    redis.call('ZADD', ns .. 'turns', 'XX', vtime + 1, tenant)
    redis.call('ZADD', ns .. 'running', now + lease, id)
    redis.call('HINCRBY', ns .. 'busy', worker, 1)
    local attempt = redis.call('HINCRBY', ns .. 'ask:' .. id, 'attempt', 1)
    -- The last chance of an ask that may kill its worker: alone, and a death only from `start` on.
    local deaths = tonumber(field(id, 'deaths'))
    local alone = (deaths > 0 and deaths >= max_deaths - 1) and 1 or 0
    redis.call('HSET', ns .. 'ask:' .. id, 'state', 'running', 'owner', worker, 'claimed', now,
      'nonce', nonce, 'alone', alone, 'started', 1 - alone, 'attempt', attempt)
    redis.call('SET', ns .. 'claim:' .. nonce, id, 'EX', 60)
    return claimed(id)
  end
end
return {}
