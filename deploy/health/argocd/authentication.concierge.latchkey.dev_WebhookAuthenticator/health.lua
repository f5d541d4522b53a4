-- The status follows kstatus: observedGeneration, Reconciling, Stalled, Ready. It is born with observedGeneration -1.
local status = obj.status or {}
if status.observedGeneration == nil or status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "The concierge has not looked at this generation yet" }
end
local found = {}
for _, condition in ipairs(status.conditions or {}) do
  found[condition.type] = condition
end
local stalled, reconciling, ready = found.Stalled, found.Reconciling, found.Ready
if stalled ~= nil and stalled.status == "True" then
  return { status = "Degraded", message = stalled.reason .. ": " .. stalled.message }
end
if ready ~= nil and ready.status == "True" then
  local fresh = found.KeysFresh
  if fresh ~= nil and fresh.status == "False" then
    return { status = "Healthy", message = "Logins work, but " .. fresh.message }
  end
  return { status = "Healthy", message = ready.message }
end
if reconciling ~= nil and reconciling.status == "True" then
  -- What comes by itself in an ordinary sync; anything else is an outage, and a sync fails by it.
  local soon = { Discovering = true, CertificateAuthorityMissing = true }
  local health = soon[reconciling.reason] and "Progressing" or "Degraded"
  return { status = health, message = reconciling.reason .. ": " .. reconciling.message }
end
if ready ~= nil then
  return { status = "Degraded", message = ready.message }
end
return { status = "Progressing", message = "The concierge has not said yet whether logins work" }
