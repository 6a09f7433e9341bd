package luafuzz

// tableUnit changes a table by random operations and looks at it after each.
func (g *generator) tableUnit() {
	g.line("do")
	g.indent++
	g.line("local t = ", g.pick("{}", "{1, 2, 3}", "{'a', 'b', 'c', 'd', 'e'}", "{n = 1, 10, 20}",
		"{[1] = 1, [2] = 2}"))
	for range 4 + g.n(8) {
		i := g.pick("1", "2", "3", "#t", "#t + 1", "#t", "1.5", "-1", "0", `"k"`, `"2"`, "2^53", "2^53 + 1", "1e300",
			"true", "t", "'x' .. #t")
		v := g.pick("1", "'v'", "#t", "{}", "t", "false", "2.5")
		switch g.n(14) {
		case 0, 1:
			g.line("t[#t + 1] = ", v)
		case 2:
			g.line("if #t > 1 then table.insert(t, ", g.pick("", "1, ", "#t, ", "#t + 1, ", "2, "), v, ") end")
		case 3:
			g.line("T(", g.label(), ", #t > 1 and table.remove(t", g.pick("", ", 1", ", #t", ", 2"), "))")
		case 4:
			g.line("if #t > 0 then t[#t] = nil end")
		case 5:
			key := g.pick("1.5", "-1", "0", `"k"`, `"2"`, "2^53", "1e300", "true", "'x' .. #t")
			g.line("t[", key, "] = ", g.pick(v, "nil"))
		case 6:
			g.line("T(", g.label(), `, pcall(table.concat, t, ",", `, g.pick("1", "2", "#t", "0"), ", ",
				g.pick("#t", "1",
					"0", "2"), "))")
		case 7:
			g.line("T(", g.label(), ", table.maxn(t), table.getn(t), t[", i, "], rawget(t, ", i, "), #t)")
		case 8:
			g.line("T(", g.label(), ", pcall(function() return unpack(t, ", g.pick("1", "2", "#t", "-1", "0"), ", ",
				g.pick("#t", "1", "0", "4"), ") end))")
		case 9:
			g.line("do local sum, seen = 0, 0 for k, v in pairs(t) do seen = seen + 1 ", g.pick("", "t[k] = nil ",
				"t[k] = v ", "if type(k) ~= 'number' then t[k] = nil end "), "end T(", g.label(), ", seen, t) end")
		case 10:
			g.line("T(", g.label(), ", pcall(table.sort, t, ", g.pick("nil",
				"function(x, y) return (tonumber(x) or 0) < (tonumber(y) or 0) end",
				"function(x, y) return type(x) < type(y) end",
				"function(x, y) return true end", "function(x, y) error('cmp') end", "function() end"), ") ",
				g.pick("", "and #t"), ")")
		case 11:
			g.line("T(", g.label(), ", pcall(table.foreach", g.pick("i", "i", ""), ", t, function(k, v) if ",
				g.pick("k == 2", "v == 'b'", "false"), " then return k, v end end))")
		case 12:
			g.line("for k, v in ", g.pick("ipairs(t)", "ipairs(t), t, 1"), " do T(", g.label(), ", k, v) ",
				g.pick("", "t[k] = v ", "if k == 1 and #t < 8 then t[#t + 1] = 'new' end "), "end")
		default:
			g.line("T(", g.label(), ", next(t) ~= nil, #t, t)")
		}
	}
	g.line("T(", g.label(), ", t)")
	g.indent--
	g.line("end")
}
