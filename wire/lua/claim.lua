-- Hand out the ask whose turn it is, and note that the message which asked for it has arrived.
local worker, look, nonce, lease, expired_event = arg(1), arg(2), arg(3), tonumber(arg(4)), arg(5)

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

local sent = redis.call('ZSCORE', ns .. 'looks', look)
if sent then
  redis.call('ZREM', ns .. 'looks', look)
  local newest = tonumber(redis.call('GET', ns .. 'watermark') or '0')
  if tonumber(sent) > newest then redis.call('SET', ns .. 'watermark', sent) end
end

-- Bounded, so that a pile of expired asks cannot hold the server; the reaper ends the others.
for _ = 1, 100 do
  local turn = redis.call('ZRANGE', ns .. 'turns', 0, 0, 'WITHSCORES')
  if #turn == 0 then return {} end
  local tenant, vtime = turn[1], tonumber(turn[2])
  local id = redis.call('ZRANGE', ns .. 'wait:' .. tenant, 0, 0)[1]
  if tonumber(field(id, 'deadline')) <= now then
    end_ask(id, 'expired', expired_event)
  else
    unwait(id, tenant)
    redis.call('SET', ns .. 'vtime', vtime)
    redis.call('HSET', ns .. 'tags', tenant, vtime + 1)
    redis.call('ZADD', ns .. 'turns', 'XX', vtime + 1, tenant)
    redis.call('ZADD', ns .. 'running', now + lease, id)
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
