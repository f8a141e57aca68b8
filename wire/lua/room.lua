-- Why an ask of this tenant with so much patience (ms) would be refused now; empty: it would not.
local tenant, patience = arg(1), tonumber(arg(2))
local max_open, max_of_tenant, max_wait = tonumber(arg(3)), tonumber(arg(4)), tonumber(arg(5))
local reason, later = refusal(tenant, now + patience, max_open, max_of_tenant, max_wait,
  tonumber(arg(6)), tonumber(arg(7)))
return reason and {reason, tostring(later)} or {}
