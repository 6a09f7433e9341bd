package syntax

import "fmt"

// maxLevels bounds the nesting of source, as in PUC. It bounds the recursion of the parser and of the compiler.
const maxLevels = 200

// Parse parses a chunk. chunk is its name in messages, for example "acme/counter.lua".
// The main function of the result is a vararg function. The error is an *Error.
func Parse(chunk, src string) (main *Function, err error) {
	p := &parser{scanner: scanner{src: src, chunk: chunk, line: 1, names: map[string]string{}}}
	defer func() {
		if e, ok := recover().(*Error); ok {
			main, err = nil, e
		}
	}()
	if len(src) > 0 && src[0] == '#' { // the first line of a script that names its interpreter
		for p.pos < len(src) && src[p.pos] != '\n' {
			p.pos++
		}
	}
	main = &Function{Vararg: true}
	p.fn = &function{vararg: true}
	p.next()
	main.Body = p.block()
	p.check(tkEOF)
	main.EndLine = p.line
	return main, nil
}

// function is the state of the parser in a function body.
type function struct {
	outer  *function
	vararg bool
	dots   bool // "..." was used
	loops  int  // loops around the current statement
	line   int
}

type parser struct {
	scanner
	fn    *function
	level int
}

func (p *parser) enter() {
	p.level++
	if p.level >= maxLevels {
		p.fail("chunk has too many syntax levels", 0, false)
	}
}

func (p *parser) leave() { p.level-- }

func (p *parser) errorHere(msg string) { p.fail(msg, p.kind, true) }

func (p *parser) accept(t token) bool {
	if p.kind != t {
		return false
	}
	p.next()
	return true
}

func (p *parser) check(t token) {
	if p.kind != t {
		p.errorHere(fmt.Sprintf("'%s' expected", t.text()))
	}
}

func (p *parser) expect(t token) {
	p.check(t)
	p.next()
}

// match expects the token that closes open, which is at a line.
func (p *parser) match(closing, open token, line int) {
	if p.accept(closing) {
		return
	}
	if line == p.line {
		p.errorHere(fmt.Sprintf("'%s' expected", closing.text()))
	}
	p.errorHere(fmt.Sprintf("'%s' expected (to close '%s' at line %d)", closing.text(), open.text(), line))
}

func (p *parser) name() string {
	p.check(tkName)
	n := p.text
	p.next()
	return n
}

// blockEnds reports whether the current token ends a block.
func (p *parser) blockEnds() bool {
	switch p.kind {
	case tkElse, tkElseif, tkEnd, tkEOF, tkUntil:
		return true
	}
	return false
}

func (p *parser) block() []Stmt {
	p.enter()
	defer p.leave()
	var body []Stmt
	for !p.blockEnds() {
		s, last := p.statement()
		body = append(body, s)
		p.accept(';')
		if last {
			break
		}
	}
	return body
}

// statement parses one statement; last is true if it ends its block.
func (p *parser) statement() (s Stmt, last bool) {
	line := p.line
	switch p.kind {
	case tkIf:
		return p.ifStmt(line), false
	case tkWhile:
		p.next()
		cond := p.readExpr()
		p.expect(tkDo)
		body := p.loopBody()
		p.match(tkEnd, tkWhile, line)
		return &WhileStmt{Cond: cond, Body: body, Line: line, End: p.last}, false
	case tkDo:
		p.next()
		body := p.block()
		p.match(tkEnd, tkDo, line)
		return &DoStmt{Body: body, Line: p.last}, false
	case tkFor:
		return p.forStmt(line), false
	case tkRepeat:
		p.next()
		body := p.loopBody()
		p.match(tkUntil, tkRepeat, line)
		cond := p.readExpr()
		return &RepeatStmt{Body: body, Cond: cond, Line: p.last}, false
	case tkFunction:
		return p.functionStmt(line), false
	case tkLocal:
		p.next()
		if p.accept(tkFunction) {
			name := p.name()
			return &LocalFunction{Name: name, Func: p.functionBody(false, p.line)}, false
		}
		return p.localStmt(), false
	case tkReturn:
		p.next()
		r := &ReturnStmt{}
		if !p.blockEnds() && p.kind != ';' {
			r.Exprs = p.exprList()
		}
		r.Line = p.last
		return r, true
	case tkBreak:
		p.next()
		if p.fn.loops == 0 {
			p.errorHere("no loop to break")
		}
		return &BreakStmt{Line: p.last}, true
	}
	return p.exprStmt(), false
}

func (p *parser) loopBody() []Stmt {
	p.fn.loops++
	body := p.block()
	p.fn.loops--
	return body
}

func (p *parser) ifStmt(line int) Stmt {
	s := &IfStmt{}
	for {
		p.next() // "if" or "elseif"
		s.Conds = append(s.Conds, p.readExpr())
		p.expect(tkThen)
		s.Blocks = append(s.Blocks, p.block())
		s.Lines = append(s.Lines, p.last)
		if p.kind != tkElseif {
			break
		}
	}
	if p.accept(tkElse) {
		s.Blocks = append(s.Blocks, p.block())
		s.Lines = append(s.Lines, p.last)
	}
	p.match(tkEnd, tkIf, line)
	return s
}

func (p *parser) forStmt(line int) Stmt {
	p.next()
	first := p.name()
	switch p.kind {
	case '=':
		p.next()
		f := &NumericFor{Name: first, Line: line}
		f.Start = p.readExpr()
		p.expect(',')
		f.Stop = p.readExpr()
		if p.accept(',') {
			f.Step = p.readExpr()
		}
		p.expect(tkDo)
		f.DoLine = p.last
		f.Body = p.loopBody()
		p.match(tkEnd, tkFor, line)
		return f
	case ',', tkIn:
		f := &GenericFor{Names: []string{first}, Line: line}
		for p.accept(',') {
			f.Names = append(f.Names, p.name())
		}
		p.expect(tkIn)
		f.Line = p.line
		f.Exprs = p.exprList()
		p.expect(tkDo)
		f.DoLine = p.last
		f.Body = p.loopBody()
		p.match(tkEnd, tkFor, line)
		return f
	}
	p.errorHere("'=' or 'in' expected")
	return nil
}

func (p *parser) functionStmt(line int) Stmt {
	p.next()
	var target Expr = &Name{Name: p.name(), Line: p.last}
	method := false
	for p.kind == '.' || p.kind == ':' {
		method = p.kind == ':'
		p.next()
		key := &String{p.name()}
		target = &Index{Object: target, Key: key, Line: p.last}
		if method {
			break
		}
	}
	return &FunctionStmt{Target: target, Func: p.functionBody(method, line), Line: line}
}

func (p *parser) localStmt() Stmt {
	s := &LocalStmt{Names: []string{p.name()}}
	for p.accept(',') {
		s.Names = append(s.Names, p.name())
	}
	if p.accept('=') {
		s.Exprs = p.exprList()
	}
	s.Line = p.last
	return s
}

// exprStmt parses an assignment or a call.
func (p *parser) exprStmt() Stmt {
	e := p.suffixed()
	if c, ok := e.(*Call); ok {
		return &CallStmt{c}
	}
	s := &AssignStmt{Targets: []Expr{e}}
	p.checkTarget(e)
	for p.accept(',') {
		if len(s.Targets) >= maxLevels-p.level {
			p.fail(fmt.Sprintf("function has more than %d variables in assignment", maxLevels-p.level), 0, false)
		}
		e = p.suffixed()
		p.checkTarget(e)
		s.Targets = append(s.Targets, e)
	}
	p.expect('=')
	s.Exprs = p.exprList()
	s.Line = p.last
	return s
}

func (p *parser) checkTarget(e Expr) {
	switch e.(type) {
	case *Name, *Index:
		return
	}
	p.errorHere("syntax error")
}

func (p *parser) exprList() []Expr {
	list := []Expr{p.expr()}
	for p.accept(',') {
		p.use(list[len(list)-1])
		list = append(list, p.expr())
	}
	p.use(list[len(list)-1])
	return list
}

// readExpr parses an expression and uses its value.
func (p *parser) readExpr() Expr {
	e := p.expr()
	p.use(e)
	return e
}

// use fixes the line in which the value of an expression is read. As in PUC, a variable and an element are read in the
// line of the last token before: error messages show it.
func (p *parser) use(e Expr) {
	switch e := e.(type) {
	case *Name:
		e.Line = p.last
	case *Index:
		e.Line = p.last
	}
}

// functionBody parses parameters and body. line is that of "function".
func (p *parser) functionBody(method bool, line int) *Function {
	f := &Function{Line: line}
	p.fn = &function{outer: p.fn, line: line}
	p.expect('(')
	if method {
		f.Params = append(f.Params, "self")
	}
	for more := p.kind != ')'; more; more = !f.Vararg && p.accept(',') {
		switch p.kind {
		case tkName:
			f.Params = append(f.Params, p.name())
		case tkDots:
			p.next()
			f.Vararg = true
		default:
			p.errorHere("<name> or '...' expected")
		}
	}
	p.fn.vararg = f.Vararg
	p.expect(')')
	f.Body = p.block()
	f.EndLine = p.line
	p.match(tkEnd, tkFunction, line)
	f.UsesArg = f.Vararg && !p.fn.dots
	p.fn = p.fn.outer
	return f
}

// primary parses a name or an expression in parentheses.
func (p *parser) primary() Expr {
	switch p.kind {
	case tkName:
		n := &Name{Name: p.text}
		p.next()
		n.Line = p.last
		return n
	case '(':
		line := p.line
		p.next()
		e := p.expr()
		p.match(')', '(', line)
		p.use(e)
		return &Paren{e}
	}
	p.errorHere("unexpected symbol")
	return nil
}

// suffixed parses a primary expression with indexes and calls.
func (p *parser) suffixed() Expr {
	e := p.primary()
	for {
		switch p.kind {
		case '.':
			p.use(e)
			p.next()
			key := &String{p.name()}
			e = &Index{Object: e, Key: key, Line: p.last}
		case '[':
			p.use(e)
			p.next()
			key := p.readExpr()
			p.expect(']')
			e = &Index{Object: e, Key: key, Line: p.last}
		case ':':
			p.next()
			method := p.name()
			p.use(e)
			c := &Call{Func: e, Method: method, SelfLine: p.last}
			p.arguments(c)
			e = c
		case '(', tkString, '{':
			p.use(e)
			c := &Call{Func: e}
			p.arguments(c)
			e = c
		default:
			return e
		}
	}
}

func (p *parser) arguments(c *Call) {
	line := p.line
	c.Line = line
	switch p.kind {
	case '(':
		if line != p.last {
			p.errorHere("ambiguous syntax (function call x new statement)")
		}
		p.next()
		if p.kind != ')' {
			c.Args = p.exprList()
		}
		p.match(')', '(', line)
		if len(c.Args) > 0 {
			p.use(c.Args[len(c.Args)-1])
		}
	case '{':
		c.Args = []Expr{p.table()}
	case tkString:
		c.Args = []Expr{&String{p.text}}
		p.next()
	default:
		p.errorHere("function arguments expected")
	}
}

func (p *parser) table() Expr {
	line := p.line
	p.expect('{')
	t := &Table{Line: line}
	for p.kind != '}' {
		f := Field{}
		switch {
		case p.kind == tkName && p.peek() == '=':
			f.Key = &String{p.name()}
			p.expect('=')
		case p.kind == '[':
			p.next()
			f.Key = p.readExpr()
			p.expect(']')
			p.expect('=')
		}
		f.Value = p.readExpr()
		f.Line = p.last
		t.Fields = append(t.Fields, f)
		if !p.accept(',') && !p.accept(';') {
			break
		}
		if f.Key == nil && p.kind != '}' {
			p.use(f.Value)
		}
	}
	p.match('}', '{', line)
	if n := len(t.Fields); n > 0 && t.Fields[n-1].Key == nil {
		p.use(t.Fields[n-1].Value)
	}
	return t
}

func (p *parser) simple() Expr {
	var e Expr
	switch p.kind {
	case tkNumber:
		e = &Number{p.value}
	case tkString:
		e = &String{p.text}
	case tkNil:
		e = &Nil{}
	case tkTrue:
		e = &True{}
	case tkFalse:
		e = &False{}
	case tkDots:
		if !p.fn.vararg {
			p.errorHere("cannot use '...' outside a vararg function")
		}
		p.fn.dots = true
		e = &Vararg{Line: p.line}
	case '{':
		return p.table()
	case tkFunction:
		p.next()
		return p.functionBody(false, p.line)
	default:
		return p.suffixed()
	}
	p.next()
	return e
}

// binding holds the left and the right priority of a binary operator.
type binding struct {
	op          Op
	left, right int
}

const unaryBinding = 8

func binaryOperator(t token) (b binding, ok bool) {
	switch t {
	case '+':
		return binding{Add, 6, 6}, true
	case '-':
		return binding{Sub, 6, 6}, true
	case '*':
		return binding{Mul, 7, 7}, true
	case '/':
		return binding{Div, 7, 7}, true
	case '%':
		return binding{Mod, 7, 7}, true
	case '^':
		return binding{Pow, 10, 9}, true
	case tkConcat:
		return binding{Concat, 5, 4}, true
	case tkNe:
		return binding{Ne, 3, 3}, true
	case tkEq:
		return binding{Eq, 3, 3}, true
	case '<':
		return binding{Lt, 3, 3}, true
	case tkLe:
		return binding{Le, 3, 3}, true
	case '>':
		return binding{Gt, 3, 3}, true
	case tkGe:
		return binding{Ge, 3, 3}, true
	case tkAnd:
		return binding{0, 2, 2}, true
	case tkOr:
		return binding{0, 1, 1}, true
	}
	return binding{}, false
}

func (p *parser) expr() Expr { return p.subexpr(0) }

// subexpr parses an expression whose binary operators have a priority above limit.
func (p *parser) subexpr(limit int) Expr {
	p.enter()
	var e Expr
	if op, ok := unaryOperator(p.kind); ok {
		p.next()
		x := p.subexpr(unaryBinding)
		p.use(x)
		e = foldUnary(&Unary{Op: op, X: x, Line: p.last})
	} else {
		e = p.simple()
	}
	for {
		t := p.kind
		b, ok := binaryOperator(t)
		if !ok || b.left <= limit {
			break
		}
		p.next()
		p.use(e)
		right := p.subexpr(b.right)
		p.use(right)
		if t == tkAnd || t == tkOr {
			e = foldLogical(&Logical{And: t == tkAnd, Left: e, Right: right})
		} else {
			e = foldBinary(&Binary{Op: b.op, Left: e, Right: right, Line: p.last})
		}
	}
	p.leave()
	return e
}

func unaryOperator(t token) (Op, bool) {
	switch t {
	case tkNot:
		return Not, true
	case '-':
		return Neg, true
	case '#':
		return Len, true
	}
	return 0, false
}
