package luafuzz

import (
	"strconv"
	"strings"
)

var statementTable, unitTable *choiceTable

// The tables refer to methods that use the tables: they are filled when the package starts.
func init() {
	statementTable = newTable(
		weighted{14, (*generator).localStatement},
		weighted{16, (*generator).assignment},
		weighted{14, (*generator).multipleAssignment},
		weighted{8, (*generator).logicalAssignment},
		weighted{6, (*generator).appendText},
		weighted{8, (*generator).ifStatement},
		weighted{3, (*generator).whileStatement},
		weighted{4, (*generator).repeatStatement},
		weighted{4, (*generator).numericFor},
		weighted{5, (*generator).genericFor},
		weighted{3, (*generator).doStatement},
		weighted{6, (*generator).callStatement},
		weighted{4, (*generator).mutator},
		weighted{4, (*generator).closuresInLoop},
		weighted{4, (*generator).functionStatement},
		weighted{5, (*generator).trace},
		weighted{4, (*generator).protectedBlock},
		weighted{6, (*generator).shape},
		weighted{2, (*generator).libraryProbe},
		weighted{2, (*generator).leaveEarly},
	)
	unitTable = newTable(
		weighted{34, (*generator).functionUnit},
		weighted{12, (*generator).blockUnit},
		weighted{16, (*generator).shapeUnit},
		weighted{16, (*generator).libraryUnit},
		weighted{5, (*generator).coroutineUnit},
		weighted{5, (*generator).objectUnit},
		weighted{4, (*generator).chunkUnit},
		weighted{2, (*generator).environmentUnit},
		weighted{4, (*generator).errorUnit},
		weighted{4, (*generator).forBoundsUnit},
		weighted{6, (*generator).operatorUnit},
		weighted{4, (*generator).chainUnit},
		weighted{4, (*generator).patternUnit},
		weighted{4, (*generator).valueUnit},
		weighted{1, (*generator).dateUnit},
		weighted{4, (*generator).tableUnit},
		weighted{2, (*generator).limitUnit},
		weighted{3, (*generator).levelUnit},
		weighted{1, (*generator).depthUnit},
		weighted{2, (*generator).traceUnit},
	)
}

// statements writes up to count statements of a block; nested blocks get fewer.
func (g *generator) statements(count int) {
	for range count {
		if g.budget <= 0 {
			return
		}
		g.budget--
		if g.depth > 5 {
			g.assignment()
			continue
		}
		statementTable.pick(g)(g)
	}
}

// body writes a nested block.
func (g *generator) body(count int) {
	g.scoped(func() { g.statements(count) })
}

// trace writes a trace line of a few values.
func (g *generator) trace() {
	g.line("T(", g.label(), ", ", g.expressions(1+g.n(3), 2), ")")
}

// traceVisible writes a trace line of the variables in scope.
func (g *generator) traceVisible() {
	found := g.visible(func(v *variable) bool { return v.kind != aFunction })
	if len(found) == 0 {
		return
	}
	names := make([]string, 0, len(found))
	for _, v := range found {
		names = append(names, v.name)
	}
	g.line("T(", g.label(), ", ", strings.Join(names, ", "), ")")
}

// localStatement declares one to three locals. A local is not visible in its own initializer.
func (g *generator) localStatement() {
	count := 1
	if g.chance(35) {
		count += 1 + g.n(2)
	}
	var names, values []string
	var declared []variable
	for range count {
		v := variable{kind: g.anyKind()}
		if g.chance(8) {
			v.kind, v.sig = aFunction, g.signature()
		}
		v.name = g.freshName(v.kind)
		names = append(names, v.name)
		if v.kind == aFunction {
			values = append(values, g.functionExpression(v.sig, false))
		} else {
			values = append(values, g.expression(v.kind, maxDepth))
		}
		declared = append(declared, v)
	}
	switch {
	case g.chance(4):
		values = nil
	case g.chance(5):
		values = values[:len(values)-1]
	case g.chance(6):
		values[len(values)-1] = g.open(2)
	case g.chance(4):
		values = append(values, g.anyValue(1))
	}
	if len(values) == 0 {
		g.line("local ", strings.Join(names, ", "))
	} else {
		g.line("local ", strings.Join(names, ", "), " = ", strings.Join(values, ", "))
	}
	g.vars = append(g.vars, declared...)
}

// target returns something of the kind that can be assigned to.
func (g *generator) target(kind valueKind) string {
	if g.chance(22) {
		if o := g.variable(aRecord, false); o != nil {
			switch kind {
			case aNumber:
				return o.name + g.pick(".n", ".n", `["n"]`, ".r.n")
			case aString:
				return o.name + ".s"
			case aList:
				return o.name + ".t"
			case aRecord:
				return o.name + ".r"
			case anything:
				return o.name + g.pick(".x", "[1]", "["+g.number(1)+"]", "["+g.str(1)+"]")
			}
		}
	}
	if kind == aNumber && g.chance(12) {
		if l := g.variable(aList, false); l != nil {
			return l.name + g.pick("[1]", "[#"+l.name+" + 1]")
		}
	}
	if v := g.variable(kind, true); v != nil {
		return v.name
	}
	return map[valueKind]string{aNumber: "G1", aString: "G2", anything: "G3"}[kind]
}

// kindAndTarget returns a target and its kind.
func (g *generator) kindAndTarget() (valueKind, string) {
	for range 4 {
		kind := g.anyKind()
		if t := g.target(kind); t != "" {
			return kind, t
		}
	}
	return aNumber, "G1"
}

// value returns a value for an assignment; an element of a list must not become nil.
func (g *generator) value(kind valueKind, target string) string {
	if strings.HasSuffix(target, "]") && kind == aNumber {
		return g.solid(2)
	}
	return g.expression(kind, maxDepth)
}

func (g *generator) assignment() {
	kind, t := g.kindAndTarget()
	g.line(t, " = ", g.value(kind, t))
}

// multipleAssignment writes swaps, rotations, and assignments with calls, conflicts, and too many or too few values.
func (g *generator) multipleAssignment() {
	kind := g.pickKind(aNumber, aNumber, aNumber, aString, anything)
	var targets []string
	for range 2 + g.n(3) {
		t := g.target(kind)
		if t == "" {
			t = "G3"
		}
		// An element of a list that becomes nil is a hole.
		if strings.Contains(t, "[") && kind == aNumber {
			t = "G1"
		}
		targets = append(targets, t)
	}
	values := make([]string, len(targets))
	switch g.n(4) {
	case 0: // a permutation
		for i, from := range g.rnd.Perm(len(targets)) {
			values[i] = targets[from]
		}
	case 1: // a permutation with operations
		for i, from := range g.rnd.Perm(len(targets)) {
			values[i] = targets[from]
			if kind == aNumber && g.chance(60) {
				values[i] += g.pick(" + ", " - ", " % ", " * ") + g.pick(targets[0], "2", "7")
			}
		}
	default:
		for i := range values {
			values[i] = g.expression(kind, 2)
		}
	}
	switch g.n(8) {
	case 0:
		values = values[:len(values)-1]
	case 1:
		values[len(values)-1] = g.open(1)
	case 2:
		values = append(values, g.anyValue(1))
	}
	g.line(strings.Join(targets, ", "), " = ", strings.Join(values, ", "))
}

// logicalAssignment assigns and/or chains that read the target itself.
func (g *generator) logicalAssignment() {
	kind, t := g.kindAndTarget()
	if strings.Contains(t, "[") && kind == aNumber {
		t = "G1"
	}
	a, b := g.operand(kind, 1), g.operand(aBoolean, 1)
	switch g.n(8) {
	case 0:
		g.line(t, " = ", t, " and ", a)
	case 1:
		g.line(t, " = ", t, " or ", a)
	case 2:
		g.line(t, " = ", b, " and ", t, " or ", a)
	case 3:
		g.line(t, " = ", g.maybe(1), " or ", t)
	case 4:
		g.line(t, " = ", b, " and ", a)
	case 5:
		g.line(t, " = not (", b, " and ", t, ") and ", a, " or ", t)
	case 6:
		g.line(t, " = (", t, " and ", b, ") or ", a)
	default:
		g.line(t, " = ", g.maybe(1), g.pick(" and ", " or "), g.maybe(1), " or ", a)
	}
}

// appendText writes s = s .. x, on parameters too.
func (g *generator) appendText() {
	t := g.target(aString)
	if t == "" {
		t = "G2"
	}
	part := g.pick(`"x"`, g.numberLeaf(), "("+g.numeral()+")", `", " .. `+g.numberLeaf())
	if part[0] == '.' || isDigit(part[0]) {
		part = "(" + part + ")"
	}
	if g.chance(70) {
		g.line(t, " = ", t, " .. ", part)
	} else {
		g.line(t, " = ", part, " .. ", t, " .. ", part)
	}
}

func (g *generator) ifStatement() {
	g.line("if ", g.boolean(maxDepth), " then")
	g.body(1 + g.n(3))
	for g.chance(25) {
		g.line("elseif ", g.boolean(2), " then")
		g.body(1 + g.n(2))
	}
	if g.chance(45) {
		g.line("else")
		g.body(1 + g.n(2))
	}
	g.line("end")
}

// inLoop writes a loop's body, which counts against the program's ticks.
func (g *generator) inLoop(count int, before func()) {
	g.fn.loops++
	g.scoped(func() {
		g.line("tick()")
		if before != nil {
			before()
		}
		g.statements(count)
		if g.chance(15) {
			g.line("if ", g.boolean(2), " then break end")
		}
	})
	g.fn.loops--
}

// counter declares a local that bounds a loop.
func (g *generator) counter() string {
	name := "k" + strconv.Itoa(g.n(3))
	g.line("local ", name, " = 0")
	g.declare(variable{name: name, kind: aNumber, fixed: true})
	return name
}

func (g *generator) whileStatement() {
	c := g.counter()
	g.line("while ", c, " < ", strconv.Itoa(1+g.n(4)), g.pick("", "", " and "+g.operand(aBoolean, 2)), " do")
	g.inLoop(1+g.n(3), func() { g.line(c, " = ", c, " + 1") })
	g.line("end")
}

// repeatStatement has locals of the body, closures included, in the condition.
func (g *generator) repeatStatement() {
	c := g.counter()
	g.line("repeat")
	g.fn.loops++
	g.indent++
	count := len(g.vars)
	g.line("tick()")
	g.line(c, " = ", c, " + 1")
	if g.chance(40) {
		g.line("local last = ", g.number(1))
		g.declare(variable{name: "last", kind: aNumber})
	}
	if g.chance(30) {
		g.line("local function f() ", g.pick("return "+c, c+" = "+c+" + 1 return true"), " end")
		g.declare(variable{name: "f", kind: aFunction, sig: &signature{}})
	}
	g.depth++
	g.statements(1 + g.n(2))
	g.depth--
	g.indent--
	g.fn.loops--
	g.line("until ", c, " >= ", strconv.Itoa(1+g.n(4)), g.pick("", "", " or "+g.operand(aBoolean, 2)))
	g.vars = g.vars[:count]
}

func (g *generator) numericFor() {
	name := g.freshName(aNumber)
	bounds := g.pick("1, 3", "1, 4", "3, 1, -1", "0, 1, 0.5", "5, 1, -2", "1, 0", "-1, 1", "1, "+g.operand(aNumber,
		1)+" % 5", "#"+`"abc"`+", 1, -1")
	g.line("for ", name, " = ", bounds, " do")
	g.inLoop(1+g.n(3), func() { g.declare(variable{name: name, kind: aNumber}) })
	g.line("end")
}

// genericFor iterates by pairs, ipairs, next, closures and odd things. Bodies do not see the order of a table's keys.
func (g *generator) genericFor() {
	key, value := g.freshName(aNumber), g.freshName(anything)
	over, keyKind := "", aNumber
	switch g.n(8) {
	case 0, 1:
		over = "ipairs(" + g.list(1) + ")"
	case 2:
		over = g.pick("pairs", "next,") + " {" + g.solid(1) + "}"
		if strings.HasPrefix(over, "pairs") {
			over = "pairs({" + g.solid(1) + "})"
		}
	case 3:
		over = "pairs({k = " + g.solid(1) + "})"
		keyKind = aString
	case 4:
		over = "function(_, i) i = (i or 0) + 1 if i <= " + g.pick("3",
			g.expand("$n")+" % 4") + " then return i, i * 2 end end"
	case 5:
		over = `("` + g.pick("a b c", "k=v, x=y", "1,2,3") + `"):gmatch("` + g.pick("%w+", "(%w)=(%w)", "%d", "()") +
			`")`
		keyKind = anything
	case 6:
		over = "(function(n) return function(s, c) if c < s then return c + 1, n end end, " + g.pick("2",
			"3") + ", 0 end)(" + g.number(1) + ")"
	default:
		g.pairsLoop()
		return
	}
	g.line("for ", key, g.pick("", ", "+value, ", "+value), " in ", over, " do")
	g.inLoop(1+g.n(2), func() {
		g.declare(variable{name: key, kind: keyKind})
		if value != key {
			g.declare(variable{name: value, kind: anything})
		}
	})
	g.line("end")
}

// pairsLoop iterates over many keys. Its result does not depend on their order.
func (g *generator) pairsLoop() {
	over := g.loose(1)
	if o := g.variable(aRecord, false); o != nil && g.chance(50) {
		over = o.name
	}
	iterator := g.pick("pairs("+over+")", "next, "+over, "next, "+over+", nil")
	switch g.n(3) {
	case 0:
		g.line("do local copy = {} for k, v in ", iterator, " do copy[k] = v end T(", g.label(), ", copy) end")
	case 1:
		g.line("do local count = 0 for k in ", iterator, " do count = count + 1 end T(", g.label(), ", count) end")
	default:
		g.line("do local found for k, v in ", iterator, " do if k == ", g.pick("1", `"n"`, "2"),
			" then found = v break end end T(", g.label(), ", found) end")
	}
}

func (g *generator) doStatement() {
	g.line("do")
	g.body(1 + g.n(3))
	g.line("end")
}

func (g *generator) callStatement() {
	found := g.visible(func(v *variable) bool { return v.kind == aFunction })
	if len(found) == 0 || g.fn.leaf {
		g.trace()
		return
	}
	v := oneOf(g, found)
	call := v.name + g.callArguments(v.sig, 2)
	switch g.n(4) {
	case 0:
		g.line(call)
	case 1:
		g.line("T(", g.label(), ", ", call, ")")
	case 2:
		g.line("T(", g.label(), ", (", call, "))")
	default:
		g.line("T(", g.label(), ", ", protected(v.name, call[len(v.name):]), ")")
	}
}

// mutator declares a closure that changes a variable and uses both in one expression: the order of evaluation shows.
func (g *generator) mutator() {
	x := g.variable(aNumber, true)
	if x == nil {
		g.localStatement()
		return
	}
	f := g.freshName(aFunction)
	if f == x.name {
		return
	}
	g.line("local function ", f, "(...) ", x.name, " = ", g.pick(x.name+" + 1", x.name+" * 2", "7", "nil",
		x.name+" and "+x.name+" + 1"),
		" return ", g.pick(x.name, "..., "+x.name, x.name+", 2"), " end")
	name := x.name
	g.declare(variable{name: f, kind: aFunction, sig: &signature{results: []valueKind{aNumber}}})
	call := f + "(" + g.pick("", "1", name) + ")"
	T := "T(" + g.label() + ", "
	switch g.n(12) {
	case 0:
		g.line(T, name, " + ", call, ")")
	case 1:
		g.line(T, call, " + ", name, ", ", name, ")")
	case 2:
		g.line(T, name, ", ", call, ", ", name, ")")
	case 3:
		g.line(T, "{", name, ", ", call, ", [", name, "] = ", call, ", ", name, "})")
	case 4:
		g.line("local _t = {} _t[", name, "], ", name, " = ", call, ", ", call, " ", T, "_t, ", name, ")")
	case 5:
		g.line("local _t = {} ", name, ", _t[", name, "] = ", call, ", ", name, " ", T, "_t, ", name, ")")
	case 6:
		g.line(T, name, " .. ", call, " .. ", name, ")")
	case 7:
		g.line(T, name, g.pick(" < ", " == ", " <= ", " > "), call, ", ", name, ")")
	case 8:
		g.line(T, "-", name, " - ", call, " * ", name, " ^ 2)")
	case 9:
		g.line("local _a, _b = ", name, ", ", call, " ", T, "_a, _b, ", name, ")")
	case 10:
		g.line(T, name, " and ", call, " or ", name, ", not ", name, ")")
	default:
		g.line(name, " = ", name, " + ", call, " ", T, name, ")")
	}
}

// closuresInLoop collects closures of a loop's variables and calls them afterwards.
func (g *generator) closuresInLoop() {
	g.line("do")
	g.indent++
	g.line("local fs = {}")
	set := "fs[#fs + 1] = function(d) v = v + (d or 0) " +
		g.pick("", "outer = (outer or 0) + v ") + "return v" + g.pick("", ", outer") + " end"
	leave := g.pick("", "", " if v > 2 then break end", " if v == 2 then x = v end")
	g.line("local outer ", g.pick("", "= 1"))
	switch g.n(5) {
	case 0:
		g.line("for v = 1, ", g.pick("3", "4"), " do ", set, leave, " end")
	case 1:
		g.line("for _, v in ipairs({1, 2, 3}) do ", set, leave, " end")
	case 2:
		g.line("local i = 0 while i < 3 do i = i + 1 local v = i ", set, leave, " end")
	case 3:
		g.line("local i = 0 repeat i = i + 1 local v = i ", set, " until ", g.pick("v >= 3", "fs[i]() >= 3",
			"(function() return v end)() > 2"))
	default:
		g.line("for i = 1, 3 do local v, w = i, i * 2 ", set, " fs[#fs + 1] = function() v, w = w, v return v, w end",
			leave, " end")
	}
	g.line("T(", g.label(), ", ", "fs[1](), fs[1](10), fs[2] and fs[2](), fs[1](1), outer)")
	g.line("for _, f in ipairs(fs) do T(", g.label(), ", f(), ", g.pick("f(1)", "pcall(f, {})"), ") end")
	g.indent--
	g.line("end")
}

// leaveEarly writes a conditional return or break.
func (g *generator) leaveEarly() {
	if g.fn.loops > 0 && g.chance(50) {
		g.line("if ", g.boolean(2), " then ", g.pick("break", "T("+g.label()+", 1) break"), " end")
		return
	}
	g.line("if ", g.boolean(2), " then return ", g.results(), " end")
}

// results returns the current function's results.
func (g *generator) results() string {
	var list []string
	for _, kind := range g.fn.results {
		list = append(list, g.expression(kind, 2))
	}
	if len(list) > 0 && g.chance(12) {
		list[len(list)-1] = g.open(2)
	}
	return strings.Join(list, ", ")
}
