-- call: me attack "hostile0.objects_call_each_other_twin" -> result false
-- call: me attack "foreign.objects_call_each_other" -> result false
-- call: me attack "demo.echo" -> result false
-- call: me attack "Pyro.Daemon" -> result false
-- call: me attack "Pyro.Enroll" -> result false
local O = hearth.object { instance = "single" }
-- An object acts as itself, whom no rule permits anything, whoever calls it.
function O.expose:attack(id)
  local ok = pcall(function() return hearth.proxy(id):echo("x") end)
  return ok or (pcall(function() return hearth.proxy(id):get_attribute("total") end))
end
function O.expose:echo(v) return v end
return O
