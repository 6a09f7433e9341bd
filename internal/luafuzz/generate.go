package luafuzz

import (
	"math/rand/v2"
	"strconv"
	"strings"
)

// Program returns the random program of a seed. It ends after a bounded number of steps, its
// trace is deterministic, and it does not show the deviations.
func Program(seed uint64, avoid Deviations) string {
	g := &generator{rnd: rand.New(rand.NewPCG(seed, 0x6c7561)), avoid: avoid} //nolint:gosec // reproducible, not secret
	g.program()
	if g.chance(6) {
		return g.scattered(g.out.String())
	}
	return g.out.String()
}

// scattered returns source with line breaks between some tokens: the lines in messages depend on them.
func (g *generator) scattered(source string) string {
	return layOut(source, func() bool { return g.n(4) == 0 })
}

// layOut returns source with a line break before each token for which broken returns true. A call's parenthesis
// may not be on another line.
func layOut(source string, broken func() bool) string {
	tokens, err := tokenize(source)
	if err != nil {
		return source
	}
	var b strings.Builder
	for _, t := range tokens {
		if t.text != "(" && broken() {
			b.WriteByte('\n')
		} else {
			b.WriteByte(' ')
		}
		b.WriteString(t.text)
	}
	return b.String()
}

// A valueKind is the kind of value that a variable usually holds. Some assignments break the rule on purpose.
type valueKind uint8

const (
	aNumber valueKind = iota
	aString
	aBoolean
	aList     // table with keys 1..n, whose length may be taken
	aRecord   // table with the fields n (number), s (string), t (list), r (record or nil), m (method)
	aFunction // with a signature
	anything  // any value; its length is not taken
	unused    // hides a variable of an outer scope
)

// A variable is a name in scope.
type variable struct {
	name  string
	kind  valueKind
	sig   *signature // of aFunction
	fixed bool       // not assigned: a loop counter
}

// A signature is how a function variable is called. A variable's function always has the variable's signature.
type signature struct {
	params  []valueKind
	results []valueKind
	vararg  bool
}

// function is the state of the function whose body is being generated.
type function struct {
	vararg    bool
	loops     int  // loops around the current statement
	coroutine bool // the function runs inside a coroutine and may yield
	leaf      bool // may not call function variables, so that no two call each other
	results   []valueKind
}

type generator struct {
	rnd    *rand.Rand
	avoid  Deviations
	out    strings.Builder
	indent int
	vars   []variable // in scope, innermost last
	fn     function
	depth  int // blocks around the current statement
	labels int // trace labels so far
	budget int // statements that may still be generated
}

// n returns a number from 0 to limit-1.
func (g *generator) n(limit int) int { return g.rnd.IntN(limit) }

// chance returns true in percent of 100 cases.
func (g *generator) chance(percent int) bool { return g.rnd.IntN(100) < percent }

func (g *generator) pick(choices ...string) string { return choices[g.rnd.IntN(len(choices))] }

// oneOf returns an element of a list of choices.
func oneOf[T any](g *generator, choices []T) T { return choices[g.rnd.IntN(len(choices))] }

// line writes one line of the program.
func (g *generator) line(parts ...string) {
	for range g.indent {
		g.out.WriteString("  ")
	}
	for _, part := range parts {
		g.out.WriteString(part)
	}
	g.out.WriteByte('\n')
}

// detached returns the lines that write produces, without adding them to the program.
func (g *generator) detached(write func()) string {
	saved := g.out
	g.out = strings.Builder{}
	write()
	text := g.out.String()
	g.out = saved
	return text
}

// scoped runs write in a nested scope: variables declared in it are gone afterwards.
func (g *generator) scoped(write func()) {
	count := len(g.vars)
	g.indent++
	g.depth++
	write()
	g.depth--
	g.indent--
	g.vars = g.vars[:count]
}

func (g *generator) label() string {
	g.labels++
	return `"` + strconv.Itoa(g.labels) + `"`
}

func (g *generator) declare(v variable) { g.vars = append(g.vars, v) }

// visible returns the variables in scope that no later one hides and that match accepts.
func (g *generator) visible(accept func(v *variable) bool) []*variable {
	var found []*variable
	for i := len(g.vars) - 1; i >= 0; i-- {
		if v := &g.vars[i]; accept(v) && !g.hidden(i) {
			found = append(found, v)
			if len(found) == 12 {
				break
			}
		}
	}
	return found
}

func (g *generator) hidden(i int) bool {
	for j := i + 1; j < len(g.vars); j++ {
		if g.vars[j].name == g.vars[i].name {
			return true
		}
	}
	return false
}

// variable returns a visible variable of the kind, an inner one more often, or nil.
func (g *generator) variable(kind valueKind, assignable bool) *variable {
	found := g.visible(func(v *variable) bool { return v.kind == kind && !(assignable && v.fixed) })
	if len(found) == 0 {
		return nil
	}
	return found[min(g.n(len(found)), g.n(len(found)))]
}

var namePools = map[valueKind][]string{
	aNumber:   {"a", "b", "c", "i", "j", "n", "x", "y", "z"},
	aString:   {"s", "u", "v", "w", "str"},
	aBoolean:  {"ok", "p", "q", "flag"},
	aList:     {"t", "l", "list", "arr"},
	aRecord:   {"o", "r", "obj", "self"},
	aFunction: {"f", "g", "h", "fn", "cb"},
	anything:  {"any", "e", "val", "goto"},
}

func (g *generator) freshName(kind valueKind) string { return oneOf(g, namePools[kind]) }

var plainKinds = []valueKind{aNumber, aNumber, aNumber, aString, aString, aBoolean, aList, aRecord, anything}

func (g *generator) anyKind() valueKind { return oneOf(g, plainKinds) }

// program writes the whole program: globals, shared locals, then units that each survive their errors.
func (g *generator) program() {
	g.budget = 20 + g.n(40)
	g.line("G1, G2, G3 = ", g.numeral(), ", ", g.quoted(), ", nil")
	for _, name := range []string{"G1", "G2"} {
		g.declare(variable{name: name, kind: map[string]valueKind{"G1": aNumber, "G2": aString}[name]})
	}
	g.declare(variable{name: "G3", kind: anything})
	for _, kind := range []valueKind{aNumber, aString, g.anyKind(), g.anyKind()} {
		v := variable{name: g.freshName(kind), kind: kind}
		g.line("local ", v.name, " = ", g.expression(kind, 1))
		g.declare(v)
	}
	for g.budget > 0 {
		g.budget -= 2
		unitTable.pick(g)(g)
	}
	g.traceVisible()
}

// A weighted is one choice of a table.
type weighted struct {
	weight int
	write  func(g *generator)
}

// A choiceTable is a list of choices with the sum of its weights.
type choiceTable struct {
	choices []weighted
	total   int
}

func newTable(choices ...weighted) *choiceTable {
	t := &choiceTable{choices: choices}
	for _, c := range choices {
		t.total += c.weight
	}
	return t
}

func (t *choiceTable) pick(g *generator) func(*generator) {
	at := g.n(t.total)
	for _, c := range t.choices {
		at -= c.weight
		if at < 0 {
			return c.write
		}
	}
	return t.choices[0].write
}
