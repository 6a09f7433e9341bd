package code

import "github.com/hearthhost/hearth/sandbox/lua/syntax"

func (c *compiler) statements(list []syntax.Stmt) {
	for _, s := range list {
		c.statement(s)
		c.free = len(c.active)
	}
}

// scope compiles statements in a new block.
func (c *compiler) scope(body []syntax.Stmt, line int) {
	c.enterBlock(false)
	c.statements(body)
	c.line = line
	c.leaveBlock()
}

func (c *compiler) statement(s syntax.Stmt) {
	switch s := s.(type) {
	case *syntax.LocalStmt:
		c.exprList(s.Exprs, len(s.Names))
		c.line = s.Line
		for _, name := range s.Names {
			c.declare(name)
		}
	case *syntax.LocalFunction:
		reg := c.reserve(1)
		c.declare(s.Name)
		c.to(s.Func, reg)
		c.p.Locals[c.active[reg]].Start = c.pc() // its name in messages during its construction does not matter
	case *syntax.AssignStmt:
		c.assign(s)
	case *syntax.CallStmt:
		c.call(s.Call, 0)
	case *syntax.DoStmt:
		c.scope(s.Body, s.Line)
	case *syntax.WhileStmt:
		c.whileLoop(s)
	case *syntax.RepeatStmt:
		c.repeatLoop(s)
	case *syntax.IfStmt:
		c.ifStatement(s)
	case *syntax.NumericFor:
		c.numericFor(s)
	case *syntax.GenericFor:
		c.genericFor(s)
	case *syntax.FunctionStmt:
		t := c.target1(s.Target)
		if t.place == local {
			c.to(s.Func, t.reg)
			return
		}
		reg := c.next(s.Func)
		c.line = s.Line
		c.storeRegister(t, reg)
	case *syntax.ReturnStmt:
		c.returnStatement(s)
	case *syntax.BreakStmt:
		c.line = s.Line
		c.breakLoop()
	}
}

func (c *compiler) whileLoop(s *syntax.WhileStmt) {
	start := c.pc()
	exit := c.jump(s.Cond, false)
	b := c.enterBlock(true)
	c.scope(s.Body, s.End)
	c.patch([]int{c.emit(Jump, 0, 0, 0, 0)}, start)
	b.breaks = append(b.breaks, exit...)
	c.leaveBlock()
}

// repeatLoop compiles a loop whose condition can use the variables of its body.
func (c *compiler) repeatLoop(s *syntax.RepeatStmt) {
	start := c.pc()
	c.enterBlock(true)
	inner := c.enterBlock(false)
	c.statements(s.Body)
	again := c.jump(s.Cond, false)
	c.line = s.Line
	if inner.captured { // both exits of the body close its variables
		c.breakLoop()
		c.patchHere(again)
		c.leaveBlock()
		c.patch([]int{c.emit(Jump, 0, 0, 0, 0)}, start)
	} else {
		c.leaveBlock()
		c.patch(again, start)
	}
	c.leaveBlock()
}

func (c *compiler) breakLoop() {
	captured := false
	b := c.block
	for !b.loop {
		captured = captured || b.captured
		b = b.outer
	}
	if captured {
		c.emit(Close, b.active, 0, 0, 0)
	}
	b.breaks = append(b.breaks, c.emit(Jump, 0, 0, 0, 0))
}

func (c *compiler) ifStatement(s *syntax.IfStmt) {
	var ends []int
	for i, cond := range s.Conds {
		next := c.jump(cond, false)
		c.scope(s.Blocks[i], s.Lines[i])
		if i+1 < len(s.Blocks) {
			ends = append(ends, c.emit(Jump, 0, 0, 0, 0))
		}
		c.patchHere(next)
	}
	if n := len(s.Conds); n < len(s.Blocks) {
		c.scope(s.Blocks[n], s.Lines[n])
	}
	c.patchHere(ends)
}

func (c *compiler) numericFor(s *syntax.NumericFor) {
	c.enterBlock(true)
	base := c.next(s.Start)
	c.next(s.Stop)
	if s.Step != nil {
		c.next(s.Step)
	} else {
		c.emit(LoadK, c.reserve(1), 0, 0, c.constant(Const{Kind: NumberConst, Number: 1}))
	}
	c.line = s.DoLine
	c.hidden("(for index)", "(for limit)", "(for step)")
	prep := c.emit(ForPrep, base, 0, 0, 0)
	c.loopBody([]string{s.Name}, s.Body, s.DoLine)
	c.patch([]int{prep}, c.pc())
	c.line = s.Line
	c.patch([]int{c.emit(ForLoop, base, 0, 0, 0)}, prep+1)
	c.leaveBlock()
}

func (c *compiler) genericFor(s *syntax.GenericFor) {
	c.enterBlock(true)
	base := c.free
	c.exprList(s.Exprs, 3)
	c.hidden("(for generator)", "(for state)", "(for control)")
	c.line = s.DoLine
	prep := c.emit(Jump, 0, 0, 0, 0)
	c.loopBody(s.Names, s.Body, s.DoLine)
	c.patch([]int{prep}, c.pc())
	c.line = s.Line
	// The iterator's call needs three registers above the state.
	free := c.free
	c.reserve(3 + max(len(s.Names)-3, 0))
	c.free = free
	c.patch([]int{c.emit(ForIn, base, 0, len(s.Names), 0)}, prep+1)
	c.leaveBlock()
}

// hidden declares the internal variables of a loop.
func (c *compiler) hidden(names ...string) {
	for _, n := range names {
		c.declare(n)
	}
}

func (c *compiler) loopBody(names []string, body []syntax.Stmt, line int) {
	c.enterBlock(false)
	for _, n := range names {
		c.declare(n)
	}
	c.reserve(len(names))
	c.statements(body)
	c.leaveBlock()
	c.line = line
}

func (c *compiler) returnStatement(s *syntax.ReturnStmt) {
	n := len(s.Exprs)
	if n == 0 {
		c.line = s.Line
		c.emit(Return, 0, 1, 0, 0)
		return
	}
	if n == 1 {
		if call, ok := s.Exprs[0].(*syntax.Call); ok {
			base := c.call(call, -1)
			at := c.pc() - 1 // the Call becomes a TailCall
			c.p.Code[at] = Make(TailCall, base, c.p.Code[at].B(), 0, 0)
			c.line = s.Line
			c.emit(Return, base, 0, 0, 0)
			return
		}
		if !isMulti(s.Exprs[0]) {
			reg := c.any(s.Exprs[0])
			c.line = s.Line
			c.emit(Return, reg, 2, 0, 0)
			return
		}
	}
	base := c.free
	open := c.openList(s.Exprs)
	c.line = s.Line
	if open {
		c.emit(Return, base, 0, 0, 0)
	} else {
		c.emit(Return, base, n+1, 0, 0)
	}
}

// target is the destination of an assignment.
type target struct {
	place  place
	reg    int // of a local variable; of the table
	index  int // of the upvalue or the constant
	keyReg int // of the key, unless it is a constant
	byReg  bool
	line   int
}

// target1 evaluates the parts of a target before the values are known.
func (c *compiler) target1(e syntax.Expr) target {
	switch e := e.(type) {
	case *syntax.Name:
		switch p, i := c.resolve(e.Name); p {
		case local:
			return target{place: local, reg: i, line: e.Line}
		case upvalue:
			return target{place: upvalue, index: i, line: e.Line}
		}
		return target{place: global, index: c.text(e.Name), line: e.Line}
	case *syntax.Index:
		t := target{place: field, reg: c.any(e.Object), line: e.Line}
		if k, ok := constantOf(e.Key); ok && k.Kind != NilConst {
			t.index = c.constant(k)
		} else {
			t.byReg, t.keyReg = true, c.any(e.Key)
		}
		return t
	}
	panic("code: not a target")
}

// field is a table element as a destination.
const field place = 3

// assign compiles an assignment: targets from left to right, then values, then stores from right to left.
func (c *compiler) assign(s *syntax.AssignStmt) {
	targets := make([]target, 0, len(s.Targets))
	for _, e := range s.Targets {
		t := c.target1(e)
		if t.place == local {
			c.avoidConflict(targets, t.reg)
		}
		targets = append(targets, t)
	}
	n := len(targets)
	if len(s.Exprs) != n {
		base := c.free
		c.exprList(s.Exprs, n)
		c.line = s.Line
		for i := n - 1; i >= 0; i-- {
			c.storeRegister(targets[i], base+i)
		}
		return
	}
	base := c.free
	for _, e := range s.Exprs[:n-1] {
		c.next(e)
	}
	c.store(targets[n-1], s.Exprs[n-1], s.Line)
	c.line = s.Line
	for i := n - 2; i >= 0; i-- {
		c.storeRegister(targets[i], base+i)
	}
}

// avoidConflict copies a local variable that is assigned by the statement in which it is also the table or the key of
// an earlier target. That target uses the old value.
func (c *compiler) avoidConflict(targets []target, reg int) {
	extra := -1
	fresh := func() int {
		if extra < 0 {
			extra = c.reserve(1)
			c.emit(Move, extra, reg, 0, 0)
		}
		return extra
	}
	for i := range targets {
		t := &targets[i]
		if t.place != field {
			continue
		}
		if t.reg == reg {
			t.reg = fresh()
		}
		if t.byReg && t.keyReg == reg {
			t.keyReg = fresh()
		}
	}
}

// store assigns the value of an expression.
func (c *compiler) store(t target, e syntax.Expr, line int) {
	if t.place == local {
		c.to(e, t.reg)
		return
	}
	reg := c.any(e)
	c.line = line
	c.storeRegister(t, reg)
}

func (c *compiler) storeRegister(t target, reg int) {
	switch t.place {
	case local:
		c.emit(Move, t.reg, reg, 0, 0)
	case upvalue:
		c.emit(SetUpval, reg, t.index, 0, 0)
	case global:
		if c.p.Consts[t.index].isName() {
			c.emit(SetGlobal, reg, 0, 0, t.index)
			break
		}
		env := c.reserve(1)
		c.emit(LoadEnv, env, 0, 0, 0)
		c.emit(SetConst, env, 0, reg, t.index)
		c.free--
	case field:
		switch {
		case t.byReg:
			c.emit(SetIndex, t.reg, t.keyReg, reg, 0)
		case c.p.Consts[t.index].isName():
			c.emit(SetField, t.reg, 0, reg, t.index)
		default:
			c.emit(SetConst, t.reg, 0, reg, t.index)
		}
	}
}
