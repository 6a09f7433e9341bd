package luafuzz

import (
	"strconv"
	"strings"
)

// maxDepth bounds the nesting of a generated expression.
const maxDepth = 3

// expression returns an expression of the kind, rarely of another. depth counts down to leaves.
func (g *generator) expression(kind valueKind, depth int) string {
	if g.chance(2) {
		kind = g.anyKind()
	}
	switch kind {
	case aNumber:
		return g.number(depth)
	case aString:
		return g.str(depth)
	case aBoolean:
		return g.boolean(depth)
	case aList:
		return g.list(depth)
	case aRecord:
		return g.record(depth)
	case aFunction:
		return g.functionExpression(g.signature(), true)
	default:
		return g.anyValue(depth)
	}
}

// operand returns an expression that keeps together as an operand, most of the time.
func (g *generator) operand(kind valueKind, depth int) string {
	e := g.expression(kind, depth)
	if strings.ContainsAny(e, " ") && !strings.HasPrefix(e, "{") && g.chance(75) {
		return "(" + e + ")"
	}
	return e
}

// negatable returns an operand for unary minus: "--" would start a comment.
func (g *generator) negatable(depth int) string {
	e := g.operand(aNumber, depth)
	if strings.HasPrefix(e, "-") {
		return "(" + e + ")"
	}
	return e
}

// gap is white space inside an expression, rarely a line break.
func (g *generator) gap() string {
	if g.n(60) == 0 {
		return "\n" + strings.Repeat("  ", g.indent+1)
	}
	return " "
}

func (g *generator) numeral() string {
	switch g.n(12) {
	case 0:
		return g.pick("0x10", "0xFF", "1e3", ".5", "5.", "3.0", "1e-2", "0.1", "2.5", "1E2", "007", "123456789012",
			"0x1p4", "1e300", "0xfffffffff")
	case 1:
		return "-" + strconv.Itoa(g.n(10))
	case 2:
		return strconv.Itoa(g.n(1000))
	default:
		return strconv.Itoa(g.n(11))
	}
}

var words = []string{
	"", "a", "b", "abc", "x", "hello", "aXbXc", "10", "3", "0x1F", " 7 ", "1e1", "key", "n", "a,b,,c", "foo bar",
	"A1b2",
	`\n`, `a\0b`, `\65\066`, `tab\t`, `\"q\"`, `caf\195\169`, `%d`, "a.b", "--", "]]", "end",
}

func (g *generator) quoted() string {
	switch g.n(14) {
	case 0:
		return "'" + oneOf(g, words) + "'"
	case 1:
		return g.pick("[[long]]", "[==[a]]b]==]", "[[\nfirst]]", "''", "'a\\\nb'")
	default:
		return `"` + oneOf(g, words) + `"`
	}
}

// number returns an expression whose value is a number unless variables are nil.
func (g *generator) number(depth int) string {
	if depth <= 0 || g.chance(25) {
		return g.numberLeaf()
	}
	d := depth - 1
	switch g.n(20) {
	case 0, 1, 2, 3:
		return g.operand(aNumber, d) + " " + g.pick("+", "-", "+", "-", "*") + g.gap() + g.operand(aNumber, d)
	case 4:
		return g.operand(aNumber, d) + " " + g.pick("/", "%", "%") + " " + g.divisor(d)
	case 5:
		return g.power(d)
	case 6:
		return "-" + g.negatable(d)
	case 7:
		return g.logical(aNumber, d)
	case 8:
		return "#" + g.operand(g.pickKind(aString, aList), d)
	case 9:
		return "(" + g.number(d) + ")"
	case 10, 11, 12:
		if call := g.callReturning(aNumber, d); call != "" {
			return call
		}
		return g.numberLeaf()
	case 13:
		return g.pick("math.floor", "math.ceil", "math.abs") + "(" + g.number(d) + ")"
	case 14:
		return "math." + g.pick("max", "min") + "(" + g.number(d) + ", " + g.number(d) + ")"
	case 15:
		return g.pick("tonumber(", "0 + (") + g.pick(`"10"`, `"0x1F"`, `" 3 "`, g.operand(aNumber, d),
			g.operand(aNumber,
				d)) + ")"
	case 16:
		return "(function(a, ...) " + g.pick("return a", "return ...", "a = a + 1 return a",
			"return select('#', ...)") +
			" end)(" + g.number(d) + ", " + g.number(d) + ")"
	case 17:
		return "({" + g.number(d) + ", " + g.number(d) + "})[" + g.pick("1", "2", "1 + 0") + "]"
	case 18:
		if g.fn.vararg {
			return g.pick("select('#', ...)", "(select(1, ...))", "(...)", "(... or 1)", "#{n = 1, ...}")
		}
		return "select('#'" + g.pick("", ", nil", ", 1, nil", ", "+g.number(d)) + ")"
	default:
		if g.fn.coroutine {
			return "(coroutine.yield(" + g.anyValue(d) + ") or 1)"
		}
		return "#(" + g.str(d) + ")"
	}
}

func (g *generator) pickKind(kinds ...valueKind) valueKind { return kinds[g.n(len(kinds))] }

func (g *generator) numberLeaf() string {
	switch g.n(10) {
	case 0, 1:
		return g.numeral()
	case 2:
		if o := g.variable(aRecord, false); o != nil {
			return o.name + g.pick(".n", ".n", `["n"]`)
		}
	case 3:
		if l := g.variable(aList, false); l != nil {
			return l.name + "[" + g.pick("1", "1", "2", "#"+l.name) + "]"
		}
	}
	if v := g.variable(aNumber, false); v != nil {
		return v.name
	}
	return g.numeral()
}

// divisor is rarely zero.
func (g *generator) divisor(depth int) string {
	if g.chance(85) {
		return g.pick("2", "3", "4", "-3", "0.5", "7", "10")
	}
	return g.operand(aNumber, depth)
}

// power has operands whose result equals that of C except in one of millions.
func (g *generator) power(depth int) string {
	if !g.avoid[Libm] && g.chance(30) {
		return g.operand(aNumber, depth) + " ^ " + g.operand(aNumber, depth)
	}
	switch base := g.operand(aNumber, depth); g.n(3) {
	case 0:
		return base + " ^ " + g.pick("0.5", "0", "1", "-1")
	case 1:
		return "(" + base + " % 1000) ^ " + g.pick("2", "2", "3", "-2") // few digits: exact, or rounded beyond sight
	default:
		return strconv.Itoa(g.n(11)) + " ^ " + g.pick("0", "1", "2", "2", "3", "5", "-1", "-2")
	}
}

// logical returns and/or expressions whose value has the kind.
func (g *generator) logical(kind valueKind, depth int) string {
	switch g.n(6) {
	case 0:
		return g.operand(aBoolean, depth) + " and " + g.operand(kind, depth) + " or" + g.gap() + g.operand(kind, depth)
	case 1:
		return g.operand(kind, depth) + " or " + g.operand(kind, depth)
	case 2:
		return g.operand(kind, depth) + " and " + g.operand(kind, depth)
	case 3:
		return "(" + g.maybe(depth) + ") or " + g.operand(kind, depth)
	case 4:
		return g.pick("false", "nil", "true", "1", `""`) + g.pick(" and ", " or ") + g.operand(kind,
			depth) + " or " + g.operand(kind, depth)
	default:
		return "not " + g.operand(aBoolean, depth) + " and " + g.operand(kind, depth) + " or " + g.operand(kind, depth)
	}
}

// maybe returns an expression that is often nil or false.
func (g *generator) maybe(depth int) string {
	switch g.n(6) {
	case 0:
		return "nil"
	case 1:
		if o := g.variable(aRecord, false); o != nil {
			return o.name + ".r and " + o.name + ".r.n"
		}
		return "false"
	case 2:
		if o := g.variable(aRecord, false); o != nil {
			return o.name + ".missing"
		}
		return "nil"
	case 3:
		return "(function() end)()"
	case 4:
		return g.anyValue(depth) + " and nil"
	default:
		return g.boolean(depth) + " and " + g.operand(aNumber, depth)
	}
}

// str returns an expression whose value is a string of bounded length.
func (g *generator) str(depth int) string {
	if depth <= 0 || g.chance(25) {
		return g.stringLeaf()
	}
	d := depth - 1
	switch g.n(14) {
	case 0, 1, 2:
		return g.joined(d)
	case 3:
		return g.receiver(d) + ":sub(" + g.pick("1", "2", "-2", "0", g.number(0)) + ", " + g.pick("3", "-1", "2",
			"-2") + ")"
	case 4:
		return g.receiver(d) + ":" + g.pick("upper", "lower", "reverse") + "()"
	case 5:
		// Not of a table or function: the text of its address has a length.
		return "tostring(" + g.pick("nil", "not "+g.operand(aNumber, d), g.operand(aNumber, d)+g.pick(" + ",
			" * ")+g.operand(aNumber, d), g.quoted()) + ")"
	case 6:
		return "(" + g.receiver(d) + ":gsub(" + g.pick(`"a", "b"`, `"%w", "x"`, `".", ""`, `"(%a)(.)", "%2%1"`) + "))"
	case 7:
		return "type(" + g.anyValue(d) + ")"
	case 8:
		return `("` + g.pick("%d", "%s", "%5.1f", "%q", "%x", "%-4s|", "%03d") + `"):format(` + g.number(0) + ")"
	case 9:
		return g.logical(aString, d)
	case 10:
		return "(" + g.str(d) + ")"
	case 11:
		if call := g.callReturning(aString, d); call != "" {
			return "clip(" + call + ")"
		}
		return g.stringLeaf()
	case 12:
		return `table.concat({` + g.number(d) + ", " + g.str(d) + "}, " + g.pick(`","`, `""`, `", "`) + ")"
	default:
		return "clip((" + g.str(d) + "):rep(" + g.pick("2", "3", "0", "-1") + "))"
	}
}

func (g *generator) stringLeaf() string {
	if g.chance(15) {
		if o := g.variable(aRecord, false); o != nil {
			return o.name + ".s"
		}
	}
	if g.chance(55) {
		if v := g.variable(aString, false); v != nil {
			return v.name
		}
	}
	return g.quoted()
}

// receiver returns a string that a method can be called on.
func (g *generator) receiver(depth int) string {
	s := g.str(depth)
	if isName(s) {
		return s
	}
	return "(" + s + ")"
}

func isName(s string) bool {
	for i := range len(s) {
		if !isNameByte(s[i]) {
			return false
		}
	}
	return s != "" && !isDigit(s[0]) && !keywords[s]
}

// joined returns a concatenation of two to four operands, at most one of them long.
func (g *generator) joined(depth int) string {
	e := g.operand(aString, depth)
	for range 1 + g.n(3) {
		part := g.quoted()
		switch g.n(3) {
		case 0:
			part = "(" + g.number(depth) + ")"
		case 1:
			part = "(" + g.stringLeaf() + "):sub(1, 3)"
		}
		if strings.HasPrefix(part, ".") || isDigit(part[0]) {
			part = "(" + part + ")"
		}
		e += " .. " + part
	}
	return e
}

// boolean returns a condition.
func (g *generator) boolean(depth int) string {
	if depth <= 0 || g.chance(20) {
		if v := g.variable(aBoolean, false); v != nil && g.chance(60) {
			return v.name
		}
		return g.pick("true", "false", "nil", "1", g.numberLeaf()+" > 3")
	}
	d := depth - 1
	switch g.n(12) {
	case 0, 1, 2:
		return g.operand(aNumber, d) + " " + g.pick("<", "<=", ">", ">=", "==", "~=") + " " + g.operand(aNumber, d)
	case 3:
		return g.operand(aString, d) + " " + g.pick("<", "<=", ">", ">=", "==", "~=") + " " + g.operand(aString, d)
	case 4:
		return "not " + g.operand(g.anyKind(), d)
	case 5, 6:
		return g.operand(aBoolean, d) + g.pick(" and ", " or ") + g.operand(aBoolean, d)
	case 7:
		return g.operand(g.anyKind(), d) + g.pick(" == ", " ~= ") + g.operand(g.anyKind(), d)
	case 8:
		return "not (" + g.boolean(d) + ")"
	case 9:
		if call := g.callReturning(aBoolean, d); call != "" {
			return call
		}
		return "type(" + g.anyValue(d) + ") == " + g.pick(`"number"`, `"string"`, `"table"`)
	case 10:
		return g.operand(aNumber, d) + " " + g.pick("%", "*") + " 2 == " + g.pick("0", "1")
	default:
		return g.logical(aBoolean, d)
	}
}

// list returns a table with keys 1..n, without holes, and never nil at its end.
func (g *generator) list(depth int) string {
	if v := g.variable(aList, false); v != nil && g.chance(45) {
		return v.name
	}
	if depth <= 0 || g.chance(15) {
		return g.pick("{}", "{1, 2, 3}", `{"a", "b"}`, "{5}", "{3, 1, 2}")
	}
	var items []string
	for range g.n(4) {
		items = append(items, g.solid(depth-1))
	}
	if g.chance(30) {
		items = append(items, g.pick("x", "id", "n")+" = "+g.expression(g.anyKind(), depth-1))
	}
	if g.chance(25) {
		items = append(items, g.solid(depth-1))
	}
	if g.chance(10) {
		items = append(items, `("a,b"):byte(1, -1)`)
	}
	if len(items) > 0 && g.chance(30) {
		items[len(items)-1] += g.pick(",", ";")
	}
	return "{" + strings.Join(items, g.pick(", ", ", ", "; ")) + "}"
}

// solid returns an expression that is not nil: a list's length is defined.
func (g *generator) solid(depth int) string {
	switch g.n(5) {
	case 0:
		return g.numeral()
	case 1:
		return g.quoted()
	case 2:
		return "(" + g.expression(g.pickKind(aNumber, aString), depth) + " or 0)"
	case 3:
		return "not " + g.operand(g.anyKind(), depth)
	default:
		return g.operand(aNumber, depth) + g.pick(" + ", " - ", " * ") + g.numeral()
	}
}

// record returns a table with the fields of aRecord.
func (g *generator) record(depth int) string {
	if v := g.variable(aRecord, false); v != nil && g.chance(40) {
		return v.name
	}
	if depth <= 0 {
		return g.pick("{n = 1, s = 'r', t = {}}", "{n = 2, s = '', t = {1}}")
	}
	d := depth - 1
	items := []string{"n = " + g.number(d), "s = " + g.stringLeaf(), "t = " + g.list(d)}
	if g.chance(70) {
		items = append(items, "m = function(self"+g.pick("", ", a", ", ...")+") "+
			g.pick("return self.n", "self.n = self.n + 1 return self.n", "return self.s, self.n", "return self")+" end")
	}
	if g.chance(25) {
		items = append(items, "r = "+g.record(d))
	}
	if g.chance(20) {
		items = append(items, "["+g.gap()+g.expression(g.pickKind(aNumber, aString, aBoolean), d)+"] = "+g.anyValue(d))
	}
	return "{" + strings.Join(items, ", ") + "}"
}

// anyValue returns a value of any kind, tables with holes included.
func (g *generator) anyValue(depth int) string {
	if depth <= 0 {
		if v := g.variable(anything, false); v != nil && g.chance(50) {
			return v.name
		}
		return g.pick("nil", "true", "false", "{}", g.numberLeaf(), g.stringLeaf(), "print", "undefined")
	}
	d := depth - 1
	switch g.n(12) {
	case 0:
		return "nil"
	case 1:
		return g.loose(d)
	case 2:
		if g.fn.vararg {
			return g.pick("...", "{...}", "(...)")
		}
		return "nil"
	case 3:
		if call := g.callReturning(anything, d); call != "" {
			return call
		}
		return g.str(d)
	case 4:
		return g.logical(anything, d)
	case 5:
		return "setmetatable(" + g.record(d) + ", {__index = " + g.pick("function(t, k) return k end", "string",
			"{z = 1}") + "})"
	case 6:
		return g.functionExpression(g.signature(), true)
	default:
		return g.expression(g.pickKind(aNumber, aString, aBoolean, aList, aRecord), d)
	}
}

// loose returns a table constructor of mixed items, the last one possibly open.
func (g *generator) loose(depth int) string {
	var items []string
	for range g.n(5) {
		switch g.n(4) {
		case 0:
			items = append(items, g.pick("a", "b", "n", "id")+" = "+g.expression(g.anyKind(), depth))
		case 1:
			items = append(items, "["+g.pick("1", "2", `"k"`, "true", "1.5", "-1", "0",
				g.number(depth))+"] = "+g.expression(g.anyKind(), depth))
		default:
			items = append(items, g.expression(g.anyKind(), depth))
		}
	}
	if g.chance(40) {
		items = append(items, g.open(depth))
	}
	return "{" + strings.Join(items, ", ") + "}"
}

// open returns an expression with any number of values, for the end of a list.
func (g *generator) open(depth int) string {
	if g.fn.vararg && g.chance(50) {
		return "..."
	}
	if call := g.callReturning(anything, depth); call != "" && g.chance(60) {
		return call
	}
	return g.pick(`("abc"):byte(1, 3)`, "(function() return 1, nil, 3 end)()", "unpack({1, 2, 3})",
		"(function() end)()",
		`("k=v"):match("(%w)=(%w)")`, "pcall(error, 1)", "(unpack({1, 2}))", "unpack({1, 2}, 2)",
		"select(2, 1, nil, 3)")
}

// expressions returns a list of count expressions; the last may be open.
func (g *generator) expressions(count, depth int) string {
	list := make([]string, count)
	for i := range list {
		list[i] = g.expression(g.anyKind(), depth)
	}
	if count > 0 && g.chance(20) {
		list[count-1] = g.open(depth)
	}
	return strings.Join(list, ","+g.gap())
}

// callReturning returns a call of a variable whose first result has the kind, or "".
func (g *generator) callReturning(kind valueKind, depth int) string {
	if g.fn.leaf {
		return ""
	}
	if kind == aNumber && g.chance(25) {
		if o := g.variable(aRecord, false); o != nil {
			return o.name + ":m(" + g.pick("", g.number(depth-1)) + ")"
		}
	}
	found := g.visible(func(v *variable) bool {
		return v.kind == aFunction && (kind == anything || len(v.sig.results) > 0 && v.sig.results[0] == kind)
	})
	if len(found) == 0 {
		return ""
	}
	v := oneOf(g, found)
	return v.name + g.callArguments(v.sig, depth-1)
}

// callArguments returns arguments for a signature in parentheses, rarely too few or too many.
func (g *generator) callArguments(sig *signature, depth int) string {
	var args []string
	for _, kind := range sig.params {
		args = append(args, g.expression(kind, depth))
	}
	if sig.vararg {
		for range g.n(3) {
			args = append(args, g.expression(g.anyKind(), depth))
		}
	}
	switch {
	case g.chance(4) && len(args) > 0:
		args = args[:len(args)-1]
	case g.chance(4):
		args = append(args, g.anyValue(depth))
	case g.chance(6) && len(args) > 0:
		args[len(args)-1] = g.open(depth)
	}
	return "(" + strings.Join(args, ","+g.gap()) + ")"
}
