package luafuzz

import "strings"

// chainUses are failing uses of the value of a chain, which is written as $e. Their errors name a variable if PUC finds
// the operand that it came from.
var chainUses = []string{
	"return #($e)", "return -($e)", "return 5 * ($e)", "return ($e) - t", `return "" .. ($e)`, `return ($e) .. ""`,
	"return ($e).x", "return ($e)[c]", "($e).x = 1", "return ($e)()", "return ($e):m()", "return t[($e)].x",
	"return ($e) < t", "local v = $e return v.x", "c = $e return #c", "c = #($e)", "return {1, ($e).x}",
	"return f(1, ($e).x)", "if #($e) then return 1 end",
}

// chainOperands are the operands of chains: constants, variables of all kinds, and conditions.
var chainOperands = []string{
	"nil", "false", "true", "7", `"s"`, "nil", "false", "7", "noglobal", "nothing", "a", "b", "c", "t.x", "t.y", "t[b]",
	"t[1]", "f()", "f", "not noglobal", "not a", "not 7", "a == 7", "b ~= 2", "1 < 2", "not (a == 7)", "b + 1",
}

// chainUnit uses chains of "and" and "or" with constants, whose errors name a variable or not.
func (g *generator) chainUnit() {
	g.line("do")
	g.indent++
	g.line("local t, a, f = {}, nil, function() end")
	for range 3 + g.n(6) {
		use := strings.ReplaceAll(oneOf(g, chainUses), "$e", g.chain(1+g.n(4)))
		g.line("T(", g.label(), ", pcall(function() local b, c = 2 ", use, " end))")
	}
	g.indent--
	g.line("end")
}

// chain returns operands joined with "and" and "or", negated and nested.
func (g *generator) chain(depth int) string {
	if depth == 0 || g.chance(15) {
		return oneOf(g, chainOperands)
	}
	switch g.n(8) {
	case 0:
		return "not (" + g.chain(depth-1) + ")"
	case 1, 2:
		return "(" + g.chain(depth-1) + ")"
	}
	return g.chain(depth-1) + g.pick(" and ", " or ") + g.chain(depth-1)
}
