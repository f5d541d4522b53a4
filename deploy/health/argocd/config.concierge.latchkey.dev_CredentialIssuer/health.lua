-- Healthy when somebody who logs in can get a credential in at least one way.
local strategies = (obj.status or {}).strategies or {}
local why = "The concierge has not tried any strategy yet"
local tried = false
for _, strategy in ipairs(strategies) do
  if strategy.status == "Success" then
    return { status = "Healthy", message = strategy.type .. ": " .. strategy.message }
  end
  if strategy.reason ~= "Disabled" and not tried then
    why = strategy.type .. ": " .. strategy.message
    tried = true
  end
end
return { status = #strategies > 0 and "Degraded" or "Progressing", message = why }
