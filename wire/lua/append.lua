-- Add a piece of text, unless another attempt owns the ask, or it does not begin where they end.
local id, attempt, start, upto, event = arg(1), arg(2), arg(3), arg(4), arg(5)
if not owns(id, attempt) then return 'lost' end
local told = told_of(id, attempt)
if told ~= tonumber(start) then return told end
tell_up_to(id, attempt, upto)
add_event(id, event)
return field(id, 'cancel') == '1' and 'cancel' or 'kept'
