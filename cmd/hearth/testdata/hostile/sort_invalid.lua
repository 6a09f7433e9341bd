-- expect: error ~"attempt to compare (string|table|number) with (string|table|number)"
local O = hearth.object {}
function O.expose:attack()
  do local t={3,"x",{}} table.sort(t) return true end
end
return O
