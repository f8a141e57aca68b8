-- Find what died, and say which messages must be sent again. Any process, at any time, several.
local lease, delay, idle, most = tonumber(arg(1)), tonumber(arg(2)), arg(3) == '1', tonumber(arg(4))
local expired_event, dead_event, cancelled_event = arg(5), arg(6), arg(7)
local resend, expired, dead, leases, messages = {}, 0, 0, 0, 0

-- Nobody reaped for a while: the server was down, or everybody was. Workers may be alive that
-- could not renew, so each lease gets one more term before anything is taken away. Not twice in a
-- row: where reapers are merely slow, leases must end all the same.
local last = tonumber(redis.call('GET', ns .. 'reaped') or '0')
local graced = tonumber(redis.call('GET', ns .. 'graced') or '0')
redis.call('SET', ns .. 'reaped', now)
if now - last > lease * 2 / 3 and now - graced > 2 * lease then
  redis.call('SET', ns .. 'graced', now)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', ns .. 'running', '-inf', now + lease)) do
    redis.call('ZADD', ns .. 'running', 'XX', now + lease, id)
  end
end

local function due(set) return redis.call('ZRANGEBYSCORE', ns .. set, '-inf', now, 'LIMIT', 0, most) end

for _, id in ipairs(due('queued')) do
  end_ask(id, 'expired', expired_event)
  expired = expired + 1
end

for _, id in ipairs(due('running')) do
  local row = redis.call('HMGET', ns .. 'ask:' .. id, 'deadline', 'started', 'owner')
  leases = leases + 1
  count('lost_leases')
  if row[2] == '1' then
    redis.call('HINCRBY', ns .. 'ask:' .. id, 'deaths', 1)
    redis.call('HSET', ns .. 'ask:' .. id, 'error', 'worker ' .. row[3] .. ' stopped renewing')
  end
  if tonumber(row[1]) <= now then
    end_ask(id, 'expired', expired_event)
    expired = expired + 1
  else
    local became = requeue(id, dead_event, cancelled_event)
    if became == 'queued' then resend[#resend + 1] = id end
    if became == 'dead' then dead = dead + 1 end
  end
end

-- A message is lost when a younger one arrived before it, or when somebody idles beside it.
local newest = tonumber(redis.call('GET', ns .. 'watermark') or '0')
local overdue = redis.call('ZRANGEBYSCORE', ns .. 'looks', '-inf', now - delay, 'WITHSCORES',
  'LIMIT', 0, most)
for i = 1, #overdue, 2 do
  local id, sent = overdue[i], tonumber(overdue[i + 1])
  if sent < newest or idle then
    -- One message for each waiting ask is enough, whichever id it carries.
    if redis.call('ZCARD', ns .. 'looks') > redis.call('ZCARD', ns .. 'queued') then
      redis.call('ZREM', ns .. 'looks', id)
    else
      redis.call('ZADD', ns .. 'looks', now, id)
      resend[#resend + 1] = id
      messages = messages + 1
      count('lost_messages')
    end
  end
end

-- An ask that is queued again while its old message is still on its way shares that entry. Where
-- that left fewer messages than waiting asks, send more: one too many finds nothing to do.
local short = redis.call('ZCARD', ns .. 'queued') - redis.call('ZCARD', ns .. 'looks')
if short > 0 then
  for _, id in ipairs(redis.call('ZRANGE', ns .. 'queued', 0, 10 * most)) do
    if short > 0 and not redis.call('ZSCORE', ns .. 'looks', id) then
      redis.call('ZADD', ns .. 'looks', now, id)
      resend[#resend + 1] = id
      short = short - 1
    end
  end
end

for _, id in ipairs(due('ended')) do
  redis.call('ZREM', ns .. 'ended', id)
  redis.call('ZREM', ns .. 'all', id)
  redis.call('ZREM', ns .. 'dead', id)
end
return {resend, expired, dead, leases, messages}
