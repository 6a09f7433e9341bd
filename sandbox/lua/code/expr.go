package code

import (
	"math"

	"github.com/hearthhost/hearth/sandbox/lua/syntax"
)

// Functions that compile an expression differ in the destination:
//	to    into a given register, written last: it may be a variable that the expression reads
//	next  into the next free register
//	any   into any register: for a local variable, its own
//	jump  as a condition
// Those that return a register leave it reserved if it is a temporary one.

// isMulti reports whether an expression can have any number of values.
func isMulti(e syntax.Expr) bool {
	switch e.(type) {
	case *syntax.Call, *syntax.Vararg:
		return true
	}
	return false
}

// constantOf returns the value of an expression that is a constant.
func constantOf(e syntax.Expr) (Const, bool) {
	switch e := syntax.Unparen(e).(type) {
	case *syntax.Nil:
		return Const{}, true
	case *syntax.True:
		return Const{Kind: TrueConst}, true
	case *syntax.False:
		return Const{Kind: FalseConst}, true
	case *syntax.String:
		return Const{Kind: StringConst, String: e.Value}, true
	case *syntax.Number:
		return Const{Kind: NumberConst, Number: e.Value}, true
	}
	return Const{}, false
}

// numeral returns the value of a number. The parser has folded arithmetic on numbers.
func numeral(e syntax.Expr) (float64, bool) {
	n, ok := syntax.Unparen(e).(*syntax.Number)
	if !ok {
		return 0, false
	}
	return n.Value, true
}

// temporary reports whether a register holds no variable.
func (c *compiler) temporary(reg int) bool { return reg >= len(c.active) }

func (c *compiler) any(e syntax.Expr) int {
	e = syntax.Unparen(e)
	if n, ok := e.(*syntax.Name); ok {
		if reg, ok := c.local(n.Name); ok {
			return reg
		}
	}
	return c.next(e)
}

func (c *compiler) next(e syntax.Expr) int {
	if call, ok := e.(*syntax.Call); ok {
		reg := c.call(call, 1)
		c.reserve(1)
		return reg
	}
	reg := c.reserve(1)
	c.to(e, reg)
	return reg
}

// operand is any, but computes in dst if dst is a temporary register.
func (c *compiler) operand(e syntax.Expr, dst int) int {
	e = syntax.Unparen(e)
	if n, ok := e.(*syntax.Name); ok {
		if reg, ok := c.local(n.Name); ok {
			return reg
		}
	}
	if c.temporary(dst) {
		c.to(e, dst)
		return dst
	}
	return c.next(e)
}

func (c *compiler) to(e syntax.Expr, dst int) {
	if k, ok := constantOf(e); ok {
		c.loadConst(k, dst)
		return
	}
	c.enter()
	defer c.leave()
	free := c.free
	if n, ok := foldedNumber(e); ok {
		c.effects(e, dst)
		c.loadConst(Const{Kind: NumberConst, Number: n}, dst)
		c.free = free
		return
	}
	switch e := e.(type) {
	case *syntax.Paren:
		c.to(e.X, dst)
	case *syntax.Name:
		c.line = e.Line
		switch p, i := c.resolve(e.Name); p {
		case local:
			if i != dst {
				c.emit(Move, dst, i, 0, 0)
			}
		case upvalue:
			c.emit(GetUpval, dst, i, 0, 0)
		case global:
			c.global(e.Name, dst)
		}
	case *syntax.Index, *syntax.Binary, *syntax.Call:
		c.chain(e, dst)
	case *syntax.Unary:
		c.unary(e, dst)
	case *syntax.Logical:
		c.logical(e, dst)
	case *syntax.Vararg:
		c.line = e.Line
		c.emit(Vararg, dst, 2, 0, 0)
	case *syntax.Table:
		c.table(e, dst)
	case *syntax.Function:
		c.closure(e, dst)
	}
	c.free = free
}

func (c *compiler) loadConst(k Const, dst int) {
	switch k.Kind {
	case NilConst:
		c.emit(LoadNil, dst, dst, 0, 0)
	case FalseConst:
		c.emit(LoadBool, dst, 0, 0, 0)
	case TrueConst:
		c.emit(LoadBool, dst, 1, 0, 0)
	default:
		c.emit(LoadK, dst, 0, 0, c.constant(k))
	}
}

// chain compiles an expression that nests to the left as deep as the source is long, such as a.b.c or a + b + c. It
// works from the innermost part outward, in a loop.
func (c *compiler) chain(e syntax.Expr, dst int) {
	var spine []syntax.Expr
	for inner := e; inner != nil; {
		spine = append(spine, inner)
		inner = c.innermost(inner)
	}
	// Only the last operation may write dst if dst is a variable.
	at := dst
	if len(spine) > 1 && !c.temporary(dst) {
		at = c.reserve(1)
	}
	for i := len(spine) - 1; i >= 0; i-- {
		to := at
		if i == 0 {
			to = dst
		}
		c.link(spine[i], i < len(spine)-1, at, to)
	}
}

// innermost returns the left part of a link of a chain, if that part is a link, too.
func (c *compiler) innermost(e syntax.Expr) syntax.Expr {
	var left syntax.Expr
	switch e := e.(type) {
	case *syntax.Index:
		left = e.Object
	case *syntax.Call:
		left = e.Func
	case *syntax.Binary:
		if e.Op > syntax.Pow {
			return nil
		}
		left = e.Left
	}
	left = syntax.Unparen(left)
	if _, ok := numeral(left); ok {
		return nil
	}
	switch l := left.(type) {
	case *syntax.Index, *syntax.Call:
		return l
	case *syntax.Binary:
		if l.Op <= syntax.Pow {
			return l
		}
	}
	return nil
}

// link compiles one link of a chain into dst. If done, its left part is in at.
func (c *compiler) link(e syntax.Expr, done bool, at, dst int) {
	free := c.free
	switch e := e.(type) {
	case *syntax.Index:
		if !done {
			at = c.operand(e.Object, at)
		}
		c.index(e, at, dst)
	case *syntax.Binary:
		c.binary(e, done, at, dst)
	case *syntax.Call:
		// A call needs the top of the registers: use at if it is the last register.
		if at == c.free-1 && c.temporary(at) && (dst == at || !c.temporary(dst)) {
			c.free = at
			base := c.callAt(e, done, at, 1)
			c.reserve(1)
			if base != dst {
				c.emit(Move, dst, base, 0, 0)
			}
		} else {
			base := c.callAt(e, done, at, 1)
			if base != dst {
				c.reserve(1)
				c.emit(Move, dst, base, 0, 0)
			}
		}
	default:
		c.to(e, dst)
	}
	c.free = free
}

func (c *compiler) index(e *syntax.Index, object, dst int) {
	k, reg, ok := c.key(e.Key)
	c.line = e.Line
	if !ok {
		c.emit(GetIndex, dst, object, reg, 0)
		return
	}
	op := GetConst
	if k.isName() {
		op = GetField
	}
	c.emit(op, dst, object, 0, c.constant(k))
}

// key returns the key of an index as a constant, or evaluates it into the register that it returns. As in PUC the key
// of t[x and nil or "name"] is a constant.
func (c *compiler) key(e syntax.Expr) (k Const, reg int, constant bool) {
	logical, ok := syntax.Unparen(e).(*syntax.Logical)
	if !ok {
		if k, ok := constantOf(e); ok && k.Kind != NilConst {
			return k, 0, true
		}
		return Const{}, c.any(e), false
	}
	reg = c.reserve(1)
	last, out := c.operands(logical, reg)
	if k, ok := constantOf(last); ok && k.Kind != NilConst && out[0].none() && out[1].none() {
		return k, 0, true
	}
	c.finish(last, out, reg)
	return Const{}, reg, false
}

// isName reports whether the fast operations on fields accept a constant.
func (k *Const) isName() bool { return k.Kind == StringConst && len(k.String) <= MaxName }

// global loads a global variable.
func (c *compiler) global(name string, dst int) {
	k := c.text(name)
	if len(name) <= MaxName {
		c.emit(GetGlobal, dst, 0, 0, k)
		return
	}
	env := c.reserve(1)
	c.emit(LoadEnv, env, 0, 0, 0)
	c.emit(GetConst, dst, env, 0, k)
	c.free--
}

func (c *compiler) binary(e *syntax.Binary, done bool, at, dst int) {
	switch e.Op {
	case syntax.Concat:
		c.concat(e, dst)
		return
	case syntax.Eq, syntax.Ne, syntax.Lt, syntax.Le, syntax.Gt, syntax.Ge:
		c.boolean(e, dst)
		return
	}
	op := Op(e.Op) + AddV
	if k, ok := arithConst(e.Left); ok && !done {
		right := c.operand(e.Right, at)
		c.line = e.Line
		c.emit(op-AddV+KAdd, dst, 0, right, c.constant(k))
		return
	}
	left := at
	if !done {
		left = c.operand(e.Left, at)
	}
	if k, ok := arithConst(e.Right); ok {
		c.line = e.Line
		c.emit(op-AddV+AddK, dst, left, 0, c.constant(k))
		return
	}
	right := c.any(e.Right)
	c.line = e.Line
	c.emit(op, dst, left, right, 0)
}

// arithConst returns a constant operand of arithmetic. An error about any constant names no variable.
func arithConst(e syntax.Expr) (Const, bool) {
	k, ok := constantOf(e)
	return k, ok
}

// concat compiles a chain of "..": all operands into consecutive registers, then one instruction. As in PUC, a
// parenthesized chain on the right belongs to it.
func (c *compiler) concat(e *syntax.Binary, dst int) {
	first := c.next(e.Left)
	for {
		b, ok := syntax.Unparen(e.Right).(*syntax.Binary)
		if !ok || b.Op != syntax.Concat {
			break
		}
		c.next(b.Left)
		e = b
	}
	last := c.next(e.Right)
	c.line = e.Line
	c.emit(Concat, dst, first, last, 0)
}

func (c *compiler) unary(e *syntax.Unary, dst int) {
	if e.Op == syntax.Not {
		if comparison(e.X) {
			c.boolean(e, dst)
			return
		}
	}
	x := c.operand(e.X, dst)
	c.line = e.Line
	switch e.Op {
	case syntax.Neg:
		c.emit(Unm, dst, x, 0, 0)
	case syntax.Not:
		c.emit(Not, dst, x, 0, 0)
	case syntax.Len:
		c.emit(Len, dst, x, 0, 0)
	}
}

// comparison reports whether an expression compiles to jumps.
func comparison(e syntax.Expr) bool {
	switch e := e.(type) {
	case *syntax.Paren:
		return comparison(e.X)
	case *syntax.Binary:
		return e.Op >= syntax.Eq && e.Op <= syntax.Ge
	case *syntax.Unary:
		return e.Op == syntax.Not && comparison(e.X)
	}
	return false
}

// boolean converts a condition to a value.
func (c *compiler) boolean(e syntax.Expr, dst int) {
	yes := c.jump(e, true)
	c.emit(LoadBool, dst, 0, 1, 0)
	c.patchHere(yes)
	c.emit(LoadBool, dst, 1, 0, 0)
}

// logical compiles "and" and "or" as a value.
func (c *compiler) logical(e *syntax.Logical, dst int) {
	if !c.temporary(dst) { // an operand may read dst after another was stored there
		reg := c.reserve(1)
		c.logical(e, reg)
		c.emit(Move, dst, reg, 0, 0)
		return
	}
	last, out := c.operands(e, dst)
	c.finish(last, out, dst)
}

// finish evaluates the last operand of "and" and "or". The jumps end after it.
func (c *compiler) finish(last syntax.Expr, out [2]exits, dst int) {
	c.to(last, dst)
	if len(out[0].bare)+len(out[1].bare) > 0 { // "true" and "false" for jumps without a value
		out[0].valued = append(out[0].valued, c.emit(Jump, 0, 0, 0, 0))
		c.patchHere(out[0].bare)
		c.emit(LoadBool, dst, 0, 1, 0)
		c.patchHere(out[1].bare)
		c.emit(LoadBool, dst, 1, 0, 0)
	}
	c.patchHere(out[0].valued)
	c.patchHere(out[1].valued)
}

// exits are jumps out of an expression.
type exits struct {
	valued []int // with the value of the expression in its register
	bare   []int // without
}

func (e *exits) none() bool { return len(e.valued)+len(e.bare) == 0 }

// operands compiles "and" and "or", also negated, except for the last operand, which it returns. The operands that
// decide the result jump: out has the jumps with a false and with a true result.
//
// As in PUC, the operands of nested chains are those of one chain, so that RegisterName finds the same names.
func (c *compiler) operands(e syntax.Expr, dst int) (last syntax.Expr, out [2]exits) {
	c.enter()
	defer c.leave()
	e = syntax.Unparen(e)
	if not, ok := e.(*syntax.Unary); ok && not.Op == syntax.Not {
		last, out = c.operands(not.X, dst)
		out[0], out[1] = c.withoutValues(out[1]), c.withoutValues(out[0])
		return syntax.Negate(not, last), out
	}
	logical, ok := e.(*syntax.Logical)
	if !ok {
		if n, ok := foldedNumber(e); ok {
			c.effects(e, dst)
			return &syntax.Number{Value: n}, out
		}
		return e, out
	}
	spine, first := spineOf(logical)
	last, out = c.operands(first, dst)
	for i := len(spine) - 1; i >= 0; i-- {
		decides := bit(!spine[i].And) // "and" is decided by a false value
		free := c.free
		c.decide(last, dst, decides, &out[decides])
		c.free = free
		// The results of the operators before that do not decide this one continue with its right operand.
		c.patchHere(c.withoutValues(out[1-decides]).bare)
		out[1-decides] = exits{}
		var right [2]exits
		last, right = c.operands(spine[i].Right, dst)
		for truth := range out {
			out[truth].valued = append(out[truth].valued, right[truth].valued...)
			out[truth].bare = append(out[truth].bare, right[truth].bare...)
		}
	}
	return last, out
}

// decide evaluates an operand without nested operands and jumps if its truth is as given. As in PUC, "nil and" and
// "1 or" test the constant.
func (c *compiler) decide(e syntax.Expr, dst, truth int, out *exits) {
	if passes(e, truth) {
		return
	}
	if k, ok := constantOf(e); ok && (k.Kind == FalseConst || k.Kind == TrueConst) {
		out.bare = append(out.bare, c.emit(Jump, 0, 0, 0, 0))
		return
	}
	if comparison(e) {
		out.bare = append(out.bare, c.jump(e, truth == 1)...)
		return
	}
	if not, ok := syntax.Unparen(e).(*syntax.Unary); ok && not.Op == syntax.Not {
		reg := c.operand(not.X, dst)
		out.bare = append(out.bare, c.emit(Test, reg, 0, 1-truth, 0))
		return
	}
	reg := c.operand(e, dst)
	if reg == dst {
		out.valued = append(out.valued, c.emit(Test, dst, 0, truth, 0))
		return
	}
	out.valued = append(out.valued, c.emit(TestSet, dst, reg, truth, 0))
}

// withoutValues returns exits whose jumps need not store a value.
func (c *compiler) withoutValues(e exits) exits {
	for _, at := range e.valued {
		if i := c.p.Code[at]; i.Op() == TestSet {
			c.p.Code[at] = Make(Test, i.B(), 0, i.C(), i.D())
		}
	}
	return exits{bare: append(e.bare, e.valued...)}
}

// spineOf returns a chain of "and" and "or" that nests to the left, outermost first, and its first operand.
func spineOf(e *syntax.Logical) (spine []*syntax.Logical, first syntax.Expr) {
	for {
		spine = append(spine, e)
		inner, ok := syntax.Unparen(e.Left).(*syntax.Logical)
		if !ok {
			return spine, e.Left
		}
		e = inner
	}
}

// jump compiles a condition and returns the jumps that are taken if its truth is as given.
func (c *compiler) jump(e syntax.Expr, truth bool) []int {
	c.enter()
	free := c.free
	defer func() {
		c.free = free
		c.leave()
	}()
	if k, ok := constantOf(e); ok {
		if (k.Kind > FalseConst) == truth {
			return []int{c.emit(Jump, 0, 0, 0, 0)}
		}
		return nil
	}
	switch e := e.(type) {
	case *syntax.Paren:
		return c.jump(e.X, truth)
	case *syntax.Unary:
		if e.Op == syntax.Not {
			return c.jump(e.X, !truth)
		}
	case *syntax.Logical:
		return c.jumpLogical(e, truth)
	case *syntax.Binary:
		if e.Op >= syntax.Eq {
			return []int{c.compare(e, truth)}
		}
	}
	reg := c.any(e)
	return []int{c.emit(Test, reg, 0, bit(truth), 0)}
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// jumpLogical compiles a chain of the same operator in a loop.
func (c *compiler) jumpLogical(e *syntax.Logical, truth bool) []int {
	operands := []syntax.Expr{e.Right}
	left := e.Left
	for {
		l, ok := left.(*syntax.Logical)
		if !ok || l.And != e.And {
			break
		}
		operands = append(operands, l.Right)
		left = l.Left
	}
	operands = append(operands, left)
	var taken, passed []int
	for i := len(operands) - 1; i > 0; i-- {
		// a false operand decides "and", a true one "or"
		if decides := !e.And; decides == truth {
			taken = append(taken, c.jump(operands[i], truth)...)
		} else {
			passed = append(passed, c.jump(operands[i], !truth)...)
		}
	}
	taken = append(taken, c.jump(operands[0], truth)...)
	c.patchHere(passed)
	return taken
}

// compare compiles a comparison that jumps if its result is as given.
func (c *compiler) compare(e *syntax.Binary, truth bool) int {
	// Constants get their index in the order of the source, as in PUC: the first of 0 and -0 counts.
	switch e.Op {
	case syntax.Eq, syntax.Ne:
		expected := bit(truth == (e.Op == syntax.Eq))
		if k, ok := c.smallConst(e.Left); ok {
			right := c.any(e.Right)
			c.line = e.Line
			return c.emit(EqK, expected, right, k, 0)
		}
		left := c.any(e.Left)
		if k, ok := c.smallConst(e.Right); ok {
			c.line = e.Line
			return c.emit(EqK, expected, left, k, 0)
		}
		right := c.any(e.Right)
		c.line = e.Line
		return c.emit(Eq, expected, left, right, 0)
	}
	expected := bit(truth)
	if k, ok := c.smallNumber(e.Left); ok { // 1 < x, 1 > x
		right := c.any(e.Right)
		c.line = e.Line
		return c.emit([...]Op{KLt, KLe, LtK, LeK}[e.Op-syntax.Lt], expected, right, k, 0)
	}
	left := c.any(e.Left)
	if k, ok := c.smallNumber(e.Right); ok { // x < 1, x > 1
		c.line = e.Line
		return c.emit([...]Op{LtK, LeK, KLt, KLe}[e.Op-syntax.Lt], expected, left, k, 0)
	}
	right := c.any(e.Right)
	c.line = e.Line
	switch e.Op {
	case syntax.Lt:
		return c.emit(Lt, expected, left, right, 0)
	case syntax.Le:
		return c.emit(Le, expected, left, right, 0)
	case syntax.Gt:
		return c.emit(Lt, expected, right, left, 0)
	}
	return c.emit(Le, expected, right, left, 0)
}

// smallConst returns the index of a constant if it fits an operand.
func (c *compiler) smallConst(e syntax.Expr) (int, bool) {
	k, ok := constantOf(e)
	if !ok {
		return 0, false
	}
	i := c.constant(k)
	return i, i <= math.MaxUint8
}

func (c *compiler) smallNumber(e syntax.Expr) (int, bool) {
	v, ok := numeral(e)
	if !ok {
		return 0, false
	}
	i := c.constant(Const{Kind: NumberConst, Number: v})
	return i, i <= math.MaxUint8
}

// call compiles a call at the top of the registers and returns its first register. nresults is the number of results,
// which are not reserved; -1 for all.
func (c *compiler) call(e *syntax.Call, nresults int) int {
	inner := c.innermost(e)
	if inner == nil {
		return c.callAt(e, false, 0, nresults)
	}
	at := c.reserve(1)
	c.chain(inner, at)
	c.free = at
	return c.callAt(e, true, at, nresults)
}

// callAt compiles a call. If done, its function or object is in register at.
func (c *compiler) callAt(e *syntax.Call, done bool, at, nresults int) int {
	base := c.free
	if e.Method != "" {
		object := at
		if !done {
			object = c.any(e.Func)
		}
		c.free = base // Self may overwrite a temporary object: it reads the object first
		c.reserve(2)
		c.line = e.SelfLine
		if k := c.text(e.Method); len(e.Method) <= MaxName {
			c.emit(Self, base, object, 0, k)
		} else { // Self takes short names only
			c.emit(Move, base+1, object, 0, 0)
			c.emit(GetConst, base, base+1, 0, k)
		}
	} else if !done {
		c.next(e.Func)
	} else {
		c.reserve(1)
		if at != base {
			c.emit(Move, base, at, 0, 0)
		}
	}
	b := 0 // arguments up to the top
	if !c.openList(e.Args) {
		b = c.free - base
	}
	c.line = e.Line
	c.emit(Call, base, b, nresults+1, 0)
	c.free = base
	return base
}

// openList evaluates expressions into consecutive registers. It returns true if the last one has an open number of
// values, which reach up to the top.
func (c *compiler) openList(list []syntax.Expr) bool {
	for i, e := range list {
		if i == len(list)-1 && isMulti(e) {
			c.multi(e, -1)
			return true
		}
		c.next(e)
	}
	return false
}

// multi evaluates a call or "..." into registers from the next free one on. nresults is the number of values, which are
// not reserved; -1 for all.
func (c *compiler) multi(e syntax.Expr, nresults int) {
	switch e := e.(type) {
	case *syntax.Call:
		c.call(e, nresults)
	case *syntax.Vararg:
		c.line = e.Line
		c.reserve(1) // it exists even for zero values
		c.free--
		c.emit(Vararg, c.free, nresults+1, 0, 0)
	}
}

// exprList evaluates expressions for exactly n values in consecutive registers, which it reserves.
func (c *compiler) exprList(list []syntax.Expr, n int) {
	base := c.free
	for i, e := range list {
		if i < len(list)-1 || !isMulti(e) {
			c.next(e)
			continue
		}
		nresults := max(n-i, 0)
		c.multi(e, nresults)
		c.reserve(nresults)
		c.free = base + n
		return
	}
	if missing := n - len(list); missing > 0 {
		first := c.reserve(missing)
		c.emit(LoadNil, first, first+missing-1, 0, 0)
	}
	c.free = base + n
}

func (c *compiler) table(e *syntax.Table, dst int) {
	reg := dst
	if !c.temporary(dst) || dst != c.free-1 {
		reg = c.reserve(1)
	}
	c.line = e.Line
	at := c.emit(NewTable, reg, 0, 0, 0)
	positional := 0
	named := 0
	pending := 0
	for i, f := range e.Fields {
		if f.Key != nil {
			named++
			c.namedField(f, reg)
			continue
		}
		positional++
		if i == len(e.Fields)-1 && isMulti(f.Value) {
			positional-- // the number of values is open
			c.multi(f.Value, -1)
			c.line = f.Line
			c.emit(SetList, reg, 0, 0, positional-pending)
			pending = 0
			break
		}
		c.next(f.Value)
		pending++
		if pending == fieldsPerList {
			c.line = f.Line
			c.emit(SetList, reg, pending, 0, positional-pending)
			pending, c.free = 0, reg+1
		}
	}
	if pending > 0 {
		c.emit(SetList, reg, pending, 0, positional-pending)
	}
	c.p.Code[at] = Make(NewTable, reg, floatByte(positional), floatByte(named), 0)
	c.free = reg + 1
	if reg != dst {
		c.emit(Move, dst, reg, 0, 0)
	}
}

func (c *compiler) namedField(f syntax.Field, table int) {
	free := c.free
	t := target{place: field, reg: table}
	if k, ok := constantOf(f.Key); ok && k.Kind != NilConst {
		t.index = c.constant(k)
	} else {
		t.byReg, t.keyReg = true, c.any(f.Key)
	}
	value := c.any(f.Value)
	c.line = f.Line
	c.storeRegister(t, value)
	c.free = free
}

func (c *compiler) closure(e *syntax.Function, dst int) {
	inner := newCompiler(c, c.p.Chunk, e)
	inner.function(e)
	c.p.Protos = append(c.p.Protos, inner.p)
	c.line = e.EndLine
	c.emit(Closure, dst, 0, 0, len(c.p.Protos)-1)
}
