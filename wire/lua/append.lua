-- Add one token event, unless another attempt owns the ask.
local id, attempt, event = arg(1), arg(2), arg(3)
if not owns(id, attempt) then return 'lost' end
add_event(id, event)
return field(id, 'cancel') == '1' and 'cancel' or 'kept'
