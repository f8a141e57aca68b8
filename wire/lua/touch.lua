-- Pictures (or the marks of those in a bucket) live on from now; answers which are not there.
local prefix, ttl = arg(1), tonumber(arg(2))
local missing = {}
for i = 3, #ARGV - 4 do
  if not prolong(prefix .. arg(i), ttl) then missing[#missing + 1] = arg(i) end
end
return missing
