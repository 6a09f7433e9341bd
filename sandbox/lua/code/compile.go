package code

import (
	"fmt"
	"math"

	"github.com/hearthhost/hearth/sandbox/lua/syntax"
)

// Compile compiles a chunk. The error is a *syntax.Error.
func Compile(chunk string, main *syntax.Function) (p *Proto, err error) {
	defer func() {
		if e, ok := recover().(*syntax.Error); ok {
			p, err = nil, e
		}
	}()
	c := newCompiler(nil, chunk, main)
	c.function(main)
	return c.p, nil
}

// compiler compiles one function.
type compiler struct {
	outer  *compiler
	p      *Proto
	block  *block
	active []int // indexes into p.Locals of the variables in scope, in order of their registers
	free   int   // first free register
	line   int   // of the next instruction
	consts map[Const]int
	depth  int // nesting depth of expressions, enclosing functions included

	scopes map[string][]*variable // variables in scope by name, the innermost last; shared by all functions
	upvals map[*variable]int      // indexes of the upvalues of this function
}

// variable is a local variable in scope.
type variable struct {
	owner *compiler
	reg   int
}

// block is a block of statements.
type block struct {
	outer    *block
	active   int   // number of variables in scope at its beginning
	loop     bool  // target of "break"
	captured bool  // a variable in it is an upvalue of another function
	breaks   []int // jumps that leave the loop
}

func newCompiler(outer *compiler, chunk string, f *syntax.Function) *compiler {
	depth, scopes := 0, map[string][]*variable{}
	if outer != nil {
		depth, scopes = outer.depth, outer.scopes
	}
	return &compiler{
		depth: depth, outer: outer, scopes: scopes, consts: map[Const]int{}, line: f.Line,
		p: &Proto{Chunk: chunk, Line: f.Line, EndLine: f.EndLine, Params: len(f.Params), Vararg: f.Vararg},
	}
}

func (c *compiler) fail(format string, args ...any) {
	text := fmt.Sprintf("%s:%d: %s", c.p.Chunk, c.line, fmt.Sprintf(format, args...))
	panic(&syntax.Error{Line: c.line, Text: text})
}

// enter bounds the recursion of the compiler. The parser bounds the nesting of the source; this bounds chains of
// comparisons, which nest to the left.
func (c *compiler) enter() {
	c.depth++
	if c.depth > maxDepth {
		c.fail("function or expression too complex")
	}
}

func (c *compiler) leave() { c.depth-- }

// limit fails if n exceeds most. what is the noun of the message.
func (c *compiler) limit(n, most int, what string) {
	if n <= most {
		return
	}
	if c.p.Line == 0 {
		c.fail("main function has more than %d %s", most, what)
	}
	c.fail("function at line %d has more than %d %s", c.p.Line, most, what)
}

func (c *compiler) function(f *syntax.Function) {
	c.enterBlock(false)
	for _, name := range f.Params {
		c.declare(name)
	}
	if f.Vararg && f.Line > 0 { // a chunk has no table of arguments
		c.declare("arg")
		c.p.UsesArg = f.UsesArg
	}
	c.reserve(len(c.active))
	c.statements(f.Body)
	c.line = f.EndLine
	c.emit(Return, 0, 1, 0, 0)
	c.leaveBlock()
	c.p.Registers = max(c.p.Registers, 2)
}

// emit appends an instruction and returns its position.
func (c *compiler) emit(op Op, a, b, cc, d int) int {
	c.p.Code = append(c.p.Code, Make(op, a, b, cc, d))
	c.p.Lines = append(c.p.Lines, int32(c.line))
	return len(c.p.Code) - 1
}

func (c *compiler) pc() int { return len(c.p.Code) }

// patch sets the destination of jumps.
func (c *compiler) patch(jumps []int, to int) {
	for _, at := range jumps {
		c.p.Code[at] = c.p.Code[at].withD(to - at - 1)
	}
}

func (c *compiler) patchHere(jumps []int) {
	c.patch(jumps, c.pc())
}

// reserve takes n registers and returns the first.
func (c *compiler) reserve(n int) int {
	first := c.free
	c.free += n
	if c.free > MaxRegisters {
		c.fail("function or expression too complex")
	}
	c.p.Registers = max(c.p.Registers, c.free)
	return first
}

// declare brings a variable into scope. Its register follows those of the variables before it.
func (c *compiler) declare(name string) {
	reg := len(c.active)
	c.limit(reg+1, maxLocals, "local variables")
	c.p.Locals = append(c.p.Locals, Local{Name: name, Register: reg, Start: c.pc(), End: math.MaxInt})
	c.active = append(c.active, len(c.p.Locals)-1)
	c.scopes[name] = append(c.scopes[name], &variable{c, reg})
}

func (c *compiler) enterBlock(loop bool) *block {
	c.block = &block{outer: c.block, active: len(c.active), loop: loop}
	return c.block
}

// leaveBlock ends the scope of the block's variables and closes the captured ones.
func (c *compiler) leaveBlock() {
	b := c.block
	c.block = b.outer
	c.endScope(b.active)
	if b.captured && b.outer != nil { // a return closes the variables of the whole function
		c.emit(Close, b.active, 0, 0, 0)
	}
	c.free = len(c.active)
	c.patchHere(b.breaks)
}

// endScope ends the scope of all variables after the first active ones.
func (c *compiler) endScope(active int) {
	for _, at := range c.active[active:] {
		l := &c.p.Locals[at]
		l.End = c.pc()
		list := c.scopes[l.Name]
		c.scopes[l.Name] = list[:len(list)-1]
	}
	c.active = c.active[:active]
}

// constant returns the index of a constant. As in PUC, 0 and -0 share one, whose value is the first of them.
func (c *compiler) constant(k Const) int {
	key := k
	if k.Number == 0 {
		key.Number = 0 // not -0
	}
	i, ok := c.consts[key]
	if !ok {
		i = len(c.p.Consts)
		c.p.Consts = append(c.p.Consts, k)
		c.consts[key] = i
	}
	return i
}

func (c *compiler) text(s string) int { return c.constant(Const{Kind: StringConst, String: s}) }

// place is the kind of variable that a name refers to.
type place uint8

const (
	global place = iota
	local
	upvalue
)

// resolve returns the kind of a variable, and its register or the index of its upvalue.
func (c *compiler) resolve(name string) (place, int) {
	list := c.scopes[name]
	if len(list) == 0 {
		return global, 0
	}
	v := list[len(list)-1]
	if v.owner == c {
		return local, v.reg
	}
	return upvalue, c.upvalue(name, v)
}

func (c *compiler) local(name string) (reg int, ok bool) {
	if list := c.scopes[name]; len(list) > 0 && list[len(list)-1].owner == c {
		return list[len(list)-1].reg, true
	}
	return 0, false
}

// upvalue returns the index of the upvalue for a variable of an enclosing function. It adds the upvalue at the first
// use.
func (c *compiler) upvalue(name string, v *variable) int {
	if i, known := c.upvals[v]; known {
		return i
	}
	from := Capture{Register: true, Index: v.reg}
	if o := c.outer; v.owner == o {
		o.capture(v.reg)
	} else {
		from = Capture{Index: o.upvalue(name, v)}
	}
	i := len(c.p.Captures)
	c.limit(i+1, maxUpvalues, "upvalues")
	c.p.Captures = append(c.p.Captures, from)
	c.p.Upvals = append(c.p.Upvals, name)
	if c.upvals == nil {
		c.upvals = map[*variable]int{}
	}
	c.upvals[v] = i
	return i
}

// capture marks the block that declares a variable: it must close the variable.
func (c *compiler) capture(reg int) {
	b := c.block
	for b.active > reg {
		b = b.outer
	}
	b.captured = true
}
