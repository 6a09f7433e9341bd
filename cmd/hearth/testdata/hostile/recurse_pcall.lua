-- expect: error ~"stack overflow"
local O = hearth.object {}
function O.expose:attack()
  do local function f() local ok,e=pcall(f) if not ok then error(e) end end f() end
end
return O
