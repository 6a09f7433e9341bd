package luafuzz

import (
	"slices"
	"strconv"
	"strings"
)

// inFunction returns text that is placed in a function without parameters.
func (g *generator) inFunction(text func() string) string {
	vararg, coroutine := g.fn.vararg, g.fn.coroutine
	g.fn.vararg, g.fn.coroutine = false, false
	defer func() { g.fn.vararg, g.fn.coroutine = vararg, coroutine }()
	return text()
}

func (g *generator) signature() *signature {
	s := &signature{vararg: g.chance(25)}
	for range g.n(4) {
		s.params = append(s.params, g.pickKind(aNumber, aNumber, aString, aBoolean, aList, aRecord, anything))
	}
	for range g.n(3) {
		s.results = append(s.results, g.pickKind(aNumber, aNumber, aString, aBoolean, anything))
	}
	return s
}

// enter starts a function's body: parameters are declared. The returned function leaves it.
func (g *generator) enter(sig *signature, fn function) (params string, leave func()) {
	saved := g.fn
	count, depth := len(g.vars), g.depth
	g.fn = fn
	g.fn.vararg, g.fn.results = sig.vararg, sig.results
	var names []string
	for i, kind := range sig.params {
		name := g.freshName(kind)
		for slices.Contains(names, name) {
			name += strconv.Itoa(i)
		}
		names = append(names, name)
		g.declare(variable{name: name, kind: kind})
	}
	if sig.vararg {
		names = append(names, "...")
	}
	return strings.Join(names, ", "), func() { g.fn, g.vars, g.depth = saved, g.vars[:count], depth }
}

// protected returns a pcall of a function with arguments, which are in parentheses.
func protected(function, args string) string {
	if args == "()" {
		return "pcall(" + function + ")"
	}
	return "pcall(" + function + ", " + args[1:]
}

// functionExpression returns a function with the signature. A leaf calls no function variables.
func (g *generator) functionExpression(sig *signature, leaf bool) string {
	params, leave := g.enter(sig, function{leaf: leaf || g.fn.leaf, coroutine: g.fn.coroutine})
	defer leave()
	if g.depth > 2 || g.budget < 5 || g.chance(60) {
		return "function(" + params + ") " + g.pick("", "", g.smallBody()) + "return " + g.results() + " end"
	}
	body := g.detached(func() {
		g.scoped(func() {
			g.statements(1 + g.n(3))
			g.line("return ", g.results())
		})
	})
	return "function(" + params + ")\n" + body + strings.Repeat("  ", g.indent) + "end"
}

// smallBody returns one short statement for a function on one line.
func (g *generator) smallBody() string {
	if x := g.variable(aNumber, true); x != nil {
		return x.name + " = " + g.pick(x.name+" + 1", g.number(1), "("+x.name+" or 0) + 1") + " "
	}
	return "G1 = (G1 or 0) + 1 "
}

// functionStatement declares a function in one of Lua's ways.
func (g *generator) functionStatement() {
	sig := g.signature()
	name := g.freshName(aFunction)
	switch g.n(4) {
	case 0:
		g.line("local ", name, " = ", g.functionExpression(sig, false))
	case 1:
		if o := g.variable(aRecord, false); o != nil {
			g.method(o.name)
			return
		}
		fallthrough
	default:
		g.namedFunction(name, sig, 1+g.n(4))
	}
	g.declare(variable{name: name, kind: aFunction, sig: sig})
}

// namedFunction writes a local function. It sees itself and may recurse to a bounded depth.
func (g *generator) namedFunction(name string, sig *signature, count int) {
	// In its body the name is the function itself, which recurses where the depth is bounded only.
	g.declare(variable{name: name, kind: unused})
	defer func() { g.vars = g.vars[:len(g.vars)-1] }()
	params, leave := g.enter(sig, function{coroutine: g.fn.coroutine})
	g.line("local function ", name, "(", params, ")")
	g.scoped(func() {
		if sig.vararg && g.chance(50) {
			g.varargs()
		}
		g.statements(count)
		if g.chance(20) {
			g.traceVisible()
		}
		if g.chance(12) && len(sig.params) > 0 && sig.params[0] == aNumber {
			first, _, _ := strings.Cut(params, ",")
			g.line("if type(", first, ") == 'number' and ", first, " > 0 and ", first, " < 9 then tick() return ",
				g.pick("", "1 + "), name, "(", first, " - 1) end")
		}
		g.line("return ", g.results())
	})
	leave()
	g.line("end")
}

// varargs uses the extra arguments of the current function.
func (g *generator) varargs() {
	switch g.n(5) {
	case 0:
		g.line("local a, b = ...")
		g.declare(variable{name: "a", kind: anything})
		g.declare(variable{name: "b", kind: anything})
	case 1:
		g.line("T(", g.label(), ", select('#', ...), ...)")
	case 2:
		g.line("for i, v in ipairs({...}) do T(", g.label(), ", i, v, (select(i, ...))) end")
	case 3:
		g.line("local rest = {", g.pick("", "1, ", "n = select('#', ...), "), "..., ",
			g.pick("", "n = select('#', ...)"),
			"}")
		g.declare(variable{name: "rest", kind: anything})
	default:
		g.line("T(", g.label(), ", (...), ", g.pick("select(2, ...)", "select(-1, ...)", "pcall(select, 0, ...)",
			"unpack({...}, 1, 2)"), ")")
	}
}

// method writes a function in a record's field.
func (g *generator) method(object string) {
	sig := &signature{params: []valueKind{aNumber}, results: []valueKind{aNumber}}
	dot := g.pick(".m(self, ", ":m(")
	g.declare(variable{name: "self", kind: aRecord})
	params, leave := g.enter(sig, function{leaf: true})
	g.line("function ", object, dot, params, ")")
	g.scoped(func() {
		g.statements(1 + g.n(2))
		g.line("return ", g.pick("self.n", g.results()))
	})
	leave()
	g.vars = g.vars[:len(g.vars)-1]
	g.line("end")
}

// functionUnit writes a function and calls it with several lists of arguments.
func (g *generator) functionUnit() {
	sig := g.signature()
	name := g.freshName(aFunction)
	g.namedFunction(name, sig, 3+g.n(6))
	g.declare(variable{name: name, kind: aFunction, sig: sig})
	for range 1 + g.n(3) {
		args := g.inFunction(func() string { return g.callArguments(sig, 2) })
		if g.chance(40) {
			g.line("T(", g.label(), ", ", protected(name, g.callArguments(sig, 1)), ")")
		} else {
			g.line("T(", g.label(), ", pcall(function() return ", name, args, " end))")
		}
	}
}

// blockUnit writes a block whose error is caught.
func (g *generator) blockUnit() {
	g.line("T(", g.label(), ", pcall(function(...)")
	saved := g.fn
	g.fn = function{vararg: true, results: []valueKind{anything}}
	g.scoped(func() {
		g.statements(3 + g.n(5))
		g.traceVisible()
		g.line("return ", g.results())
	})
	g.fn = saved
	g.line("end, ", g.expressions(1+g.n(2), 1), "))")
}

// protectedBlock catches an error in the middle of a function; upvalues are shared before and after.
func (g *generator) protectedBlock() {
	saved := g.fn
	x := g.variable(aNumber, true)
	call, handler := "pcall", ""
	if g.chance(35) {
		call = "xpcall"
		handler = ", " + g.pick("function(m) return m, 'handled' end", "tostring", "function(m) error(m) end", "nil",
			"type", "function(m) return {m} end")
	}
	g.line("T(", g.label(), ", ", call, "(function()")
	g.fn = function{leaf: saved.leaf, coroutine: saved.coroutine}
	g.scoped(func() {
		g.statements(1 + g.n(3))
		switch g.n(4) {
		case 0:
			g.line("error(", g.errorValue(), ")")
		case 1:
			g.line("local e = nil + 1")
		case 2:
			g.line("return ", g.anyValue(2))
		}
	})
	g.fn = saved
	g.line("end", handler, "))")
	if x != nil {
		g.line("T(", g.label(), ", ", x.name, ")")
	}
}

func (g *generator) errorValue() string {
	return g.pick(`"boom"`, `"boom", 2`, `"boom", 0`, `"boom", 1`, `"boom", 3`, "nil", "{code = 1}", "42", "42.5, 2",
		"true", "", "print",
		`setmetatable({}, {__tostring = function() return "E" end})`, g.anyValue(1))
}
