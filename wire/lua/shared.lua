-- Put before every script: standing arguments, the server's clock, and what several scripts do.
--
-- Keys, all under `<namespace>:`
--   ask:<id>        hash    the record: state, tenant, attempt, deaths, asked (the wire's Ask), …
--   events:<id>     stream  its events, field `e`; the last one is its only ending. A stored answer
--                           that is given again has them under the record's `told` instead
--   queued          zset    ids that wait            -> deadline (ms)
--   running         zset    ids that are claimed     -> end of the lease (ms)
--   wait:<tenant>   zset    ids of a tenant that wait -> order of acceptance
--   turns           zset    tenants with waiting asks -> virtual time of their next turn
--   tags            hash    tenant -> virtual time after its last turn, while it has open asks
--   vtime           string  virtual time of the last turn handed out
--   tenants         hash    tenant -> open asks
--   looks           zset    messages that should be on their way -> when they were sent (ms)
--   watermark       string  newest `looks` score that arrived
--   all / ended     zset    every id -> order; every ended id -> when its record goes (ms)
--   dead            zset    dead ids -> when they died (ms)
--   count           hash    totals
--   workers         zset    live workers            -> until when (ms)
--   slots / busy    hash    worker -> asks it takes at once (0: none now); -> asks it has
--   flight:<key>    string  id of the ask that answers this key now
--   claim:<nonce>   string  id handed out to this nonce
--   picture:<sha>   string  bytes
--   kept:<sha>      string  nothing: the mark of a picture whose bytes are in a bucket
--   shelf           zset    hashes of what is in the bucket -> when to look whether it goes (ms)
--   sweeping:<sha>  string  token of the sweeper that removes it right now
local ns = ARGV[1] .. ':'
local record_ttl, dead_ttl, max_deaths = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local function arg(i) return ARGV[4 + i] end
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)

local function count(name) redis.call('HINCRBY', ns .. 'count', name, 1) end
local function field(id, name) return redis.call('HGET', ns .. 'ask:' .. id, name) end

-- Let a key live for at least so long from now (ms); false when there is none.
local function prolong(name, ms)
  local left = redis.call('PTTL', ns .. name)
  if left == -2 then return false end
  if left < ms then redis.call('PEXPIRE', ns .. name, ms) end
  return true
end

-- Events whose bell has not rung: the ask, the id of the event before them, then ids and texts.
local untold = {}
local MOST_TOLD = 4096

-- Add an event of which the next one's bell tells.
local function note_event(id, event)
  local events = ns .. 'events:' .. id
  if #untold == 0 then
    local last = redis.call('XREVRANGE', events, '+', '-', 'COUNT', 1)
    untold = {id, last[1] and last[1][1] or '0-0'}
  end
  untold[#untold + 1] = redis.call('XADD', events, '*', 'e', event)
  untold[#untold + 1] = event
end

-- Add an event and ring: the bell itself tells short ones, so that nobody has to look.
local function add_event(id, event)
  note_event(id, event)
  local told = table.concat(untold, '\n')
  untold = {}
  redis.call('PUBLISH', ns .. 'doorbell', #told > MOST_TOLD and id or told)
end

-- Whether this attempt still owns the ask: the fence that a zombie does not pass.
local function owns(id, attempt)
  local row = redis.call('HMGET', ns .. 'ask:' .. id, 'state', 'attempt')
  return row[1] == 'running' and row[2] == attempt
end

-- How many characters of its text an attempt has among the events. A reply can be lost after its
-- script ran, and a server's latest writes with it: the text must not be told twice, nor with a gap.
local function told_of(id, attempt)
  local whose, upto = string.match(field(id, 'streamed') or '', '^(%d+):(%d+)$')
  return whose == attempt and tonumber(upto) or 0
end

local function tell_up_to(id, attempt, upto)
  redis.call('HSET', ns .. 'ask:' .. id, 'streamed', attempt .. ':' .. upto)
end

-- Virtual time of a tenant's next turn: where it waits already, or where it would begin to.
local function next_turn(tenant)
  local waits = redis.call('ZSCORE', ns .. 'turns', tenant)
  if waits then return tonumber(waits) end
  local vtime = tonumber(redis.call('GET', ns .. 'vtime') or '0')
  return math.max(vtime, tonumber(redis.call('HGET', ns .. 'tags', tenant) or '0'))
end

-- Byte order, in which Redis breaks ties of a set; Lua's own `<` follows the machine's locale.
local function precedes(one, other)
  for i = 1, math.min(#one, #other) do
    local a, b = string.byte(one, i), string.byte(other, i)
    if a ~= b then return a < b end
  end
  return #one < #other
end

-- How many waiting asks would be claimed before one that has `mine` of its tenant's before it.
-- A tenant's turns are one apart in virtual time, so the others' earlier turns are counted without
-- playing the claims through: O(log N + T), T the tenants whose turn comes before, 1000 at most.
local function ahead_of(tenant, mine)
  local turn = next_turn(tenant) + mine
  local ahead = mine
  local others = redis.call('ZRANGEBYSCORE', ns .. 'turns', '-inf', turn, 'WITHSCORES',
    'LIMIT', 0, 1000)
  for i = 1, #others, 2 do
    local other = others[i]
    if other ~= tenant then
      local earlier = turn - tonumber(others[i + 1]) + (precedes(other, tenant) and 1 or 0)
      ahead = ahead + math.min(redis.call('ZCARD', ns .. 'wait:' .. other), earlier)
    end
  end
  return ahead
end

-- Milliseconds until so many asks were claimed and one more is: free slots take asks at once, then
-- one is free each `service / slots`. Negative: nobody can say.
local function wait_after(ahead, slots, service)
  if slots <= 0 or service < 0 then return -1 end
  local free = math.max(0, slots - redis.call('ZCARD', ns .. 'running'))
  return math.max(0, ahead + 1 - free) * service / slots
end

-- Put an ask among the waiting of its tenant; the tenant's turn comes no earlier than now.
local function enqueue(id, tenant, order, deadline)
  redis.call('HSET', ns .. 'ask:' .. id, 'state', 'queued')
  redis.call('ZADD', ns .. 'queued', deadline, id)
  redis.call('ZADD', ns .. 'wait:' .. tenant, order, id)
  redis.call('ZADD', ns .. 'looks', now, id)
  redis.call('ZADD', ns .. 'turns', 'NX', next_turn(tenant), tenant)
end

local function unwait(id, tenant)
  redis.call('ZREM', ns .. 'queued', id)
  redis.call('ZREM', ns .. 'wait:' .. tenant, id)
  if redis.call('EXISTS', ns .. 'wait:' .. tenant) == 0 then
    redis.call('ZREM', ns .. 'turns', tenant)
  end
end

local function stop_running(id)
  redis.call('ZREM', ns .. 'running', id)
  local owner = field(id, 'owner')
  if owner and redis.call('HINCRBY', ns .. 'busy', owner, -1) <= 0 then
    redis.call('HDEL', ns .. 'busy', owner)
  end
end

-- The only way into a final state: sets, counters, the one ending, and times to live, at once.
local function end_ask(id, state, event)
  local ask = ns .. 'ask:' .. id
  local row = redis.call('HMGET', ask, 'state', 'tenant', 'flight')
  local tenant, flight = row[2], row[3]
  if row[1] == 'queued' then unwait(id, tenant) else stop_running(id) end
  redis.call('HSET', ask, 'state', state, 'ended', now)
  count(state)
  if redis.call('HINCRBY', ns .. 'tenants', tenant, -1) <= 0 then
    redis.call('HDEL', ns .. 'tenants', tenant)
    redis.call('HDEL', ns .. 'tags', tenant)
  end
  local ttl = record_ttl
  if state == 'dead' then
    ttl = dead_ttl
    redis.call('ZADD', ns .. 'dead', now, id)
  else
    redis.call('HDEL', ask, 'asked')
  end
  redis.call('ZADD', ns .. 'ended', now + ttl * 1000, id)
  add_event(id, event)
  redis.call('EXPIRE', ask, ttl)
  redis.call('EXPIRE', ns .. 'events:' .. id, ttl)
  if flight and flight ~= '' and redis.call('GET', ns .. 'flight:' .. flight) == id then
    -- A good ending stays joinable until the gateway has put the answer into its cache.
    if state == 'done' then
      redis.call('EXPIRE', ns .. 'flight:' .. flight, 10)
    else
      redis.call('DEL', ns .. 'flight:' .. flight)
    end
  end
end

-- Back among the waiting, in the old place; or to the end that its record already calls for.
local function requeue(id, dead_event, cancelled_event)
  local ask = ns .. 'ask:' .. id
  local row = redis.call('HMGET', ask, 'tenant', 'order', 'deadline', 'cancel', 'deaths')
  if row[4] == '1' then
    end_ask(id, 'cancelled', cancelled_event)
    return 'cancelled'
  end
  if tonumber(row[5]) >= max_deaths then
    end_ask(id, 'dead', dead_event)
    return 'dead'
  end
  stop_running(id)
  redis.call('HDEL', ask, 'owner')
  enqueue(id, row[1], row[2], row[3])
  return 'queued'
end

-- Why there is no room for an ask and in how many ms there might be (nil: there is), and its wait.
local function refusal(tenant, deadline, max_open, max_of_tenant, max_wait, slots, service)
  local queued, running = redis.call('ZCARD', ns .. 'queued'), redis.call('ZCARD', ns .. 'running')
  local pace = slots > 0 and service / slots or 0
  if queued + running >= max_open then return 'too_many_open', math.max(1, pace), 0 end
  if tonumber(redis.call('HGET', ns .. 'tenants', tenant) or '0') >= max_of_tenant then
    return 'too_many_of_tenant', math.max(1, pace), 0
  end
  if pace == 0 then return nil, 0, 0 end
  local mine = redis.call('ZCARD', ns .. 'wait:' .. tenant)
  local wait = wait_after(ahead_of(tenant, mine), slots, service)
  -- Whoever would be claimed too late to finish must not be let in: under steady overload every
  -- ask would be (goodput fell to a tenth of capacity). The mean varies, and other tenants come in
  -- between, hence the margins (with 1.2 on a busy machine one in six expired).
  local most = math.min(max_wait, deadline - now - 1.5 * service)
  if wait > 0 and 1.5 * wait > most then
    return 'wait_too_long', math.max(pace, 1.5 * wait - most), wait
  end
  return nil, 0, wait
end
