-- How long an ask of this tenant would wait that came now.
local tenant, slots, service = arg(1), tonumber(arg(2)), tonumber(arg(3))
return tostring(wait_after(ahead_of(tenant, redis.call('ZCARD', ns .. 'wait:' .. tenant)), slots,
  service))
