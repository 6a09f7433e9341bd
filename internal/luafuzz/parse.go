package luafuzz

import "fmt"

// parse returns the tree of a Lua 5.1 program, a block.
func parse(source string) (tree *node, err error) {
	tokens, err := tokenize(source)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens}
	defer func() {
		if e, ok := recover().(syntaxError); ok {
			tree, err = nil, e
		}
	}()
	tree = p.block()
	if p.tokens[p.at].kind != tokenEnd {
		p.fail("end of program")
	}
	return tree, nil
}

type parser struct {
	tokens []token
	at     int
}

// A syntaxError is the panic of a parser at an error; parse recovers it.
type syntaxError struct{ text string }

func (e syntaxError) Error() string { return e.text }

func (p *parser) fail(expected string) {
	panic(syntaxError{fmt.Sprintf("token %d: %s expected near %q", p.at, expected, p.tokens[p.at].text)})
}

func (p *parser) is(symbol string) bool {
	t := p.tokens[p.at]
	return t.kind == tokenSymbol && t.text == symbol
}

func (p *parser) accept(symbol string) bool {
	if p.is(symbol) {
		p.at++
		return true
	}
	return false
}

func (p *parser) expect(symbol string) {
	if !p.accept(symbol) {
		p.fail(symbol)
	}
}

func (p *parser) name() *node {
	t := p.tokens[p.at]
	if t.kind != tokenName {
		p.fail("name")
	}
	p.at++
	return &node{kind: kindName, text: t.text}
}

func (p *parser) block() *node {
	b := &node{kind: kindBlock}
	for {
		t := p.tokens[p.at]
		if t.kind == tokenEnd || p.is("end") || p.is("else") || p.is("elseif") || p.is("until") {
			return b
		}
		b.kids = append(b.kids, p.statement())
		p.accept(";")
	}
}

func (p *parser) statement() *node {
	switch {
	case p.accept("do"):
		b := p.block()
		p.expect("end")
		return &node{kind: kindDo, kids: []*node{b}}
	case p.accept("while"):
		cond := p.expression(0)
		p.expect("do")
		b := p.block()
		p.expect("end")
		return &node{kind: kindWhile, kids: []*node{cond, b}}
	case p.accept("repeat"):
		b := p.block()
		p.expect("until")
		return &node{kind: kindRepeat, kids: []*node{b, p.expression(0)}}
	case p.accept("if"):
		return p.ifStatement()
	case p.accept("for"):
		return p.forStatement()
	case p.accept("function"):
		return p.functionStatement()
	case p.accept("local"):
		if p.accept("function") {
			name := p.name()
			return &node{kind: kindLocalFunction, kids: []*node{name, p.functionBody()}}
		}
		names, values := p.names(), &node{kind: kindExprs}
		if p.accept("=") {
			values = p.expressions()
		}
		return &node{kind: kindLocal, kids: []*node{names, values}}
	case p.accept("return"):
		values := &node{kind: kindExprs}
		if t := p.tokens[p.at]; t.kind != tokenEnd && !p.is("end") && !p.is("else") && !p.is("elseif") &&
			!p.is("until") && !p.is(";") {
			values = p.expressions()
		}
		return &node{kind: kindReturn, kids: []*node{values}}
	case p.accept("break"):
		return &node{kind: kindBreak}
	}
	first := p.suffixed()
	if first.kind == kindCall || first.kind == kindMethod {
		return &node{kind: kindCallStat, kids: []*node{first}}
	}
	targets := &node{kind: kindExprs, kids: []*node{first}}
	for p.accept(",") {
		targets.kids = append(targets.kids, p.suffixed())
	}
	p.expect("=")
	return &node{kind: kindAssign, kids: []*node{targets, p.expressions()}}
}

func (p *parser) ifStatement() *node {
	s := &node{kind: kindIf}
	for {
		cond := p.expression(0)
		p.expect("then")
		s.kids = append(s.kids, cond, p.block())
		if !p.accept("elseif") {
			break
		}
	}
	if p.accept("else") {
		s.kids = append(s.kids, p.block())
	}
	p.expect("end")
	return s
}

func (p *parser) forStatement() *node {
	names := p.names()
	s := &node{kind: kindForIn}
	if p.accept("=") {
		s.kind = kindFor
	} else {
		p.expect("in")
	}
	values := p.expressions()
	p.expect("do")
	b := p.block()
	p.expect("end")
	s.kids = []*node{names, values, b}
	return s
}

func (p *parser) functionStatement() *node {
	target := p.name()
	for p.accept(".") {
		target = field(target, p.name().text)
	}
	method := p.accept(":")
	if method {
		target = field(target, p.name().text)
		target.text = ":"
	}
	return &node{kind: kindFunctionStat, kids: []*node{target, p.functionBody()}}
}

func field(object *node, name string) *node {
	return &node{kind: kindIndex, text: ".", kids: []*node{object, {kind: kindName, text: name}}}
}

// functionBody parses parameters and body; the keyword function is read.
func (p *parser) functionBody() *node {
	params := &node{kind: kindNames}
	p.expect("(")
	for !p.is(")") {
		if p.accept("...") {
			params.kids = append(params.kids, &node{kind: kindLiteral, text: "..."})
		} else {
			params.kids = append(params.kids, p.name())
		}
		if !p.accept(",") {
			break
		}
	}
	p.expect(")")
	b := p.block()
	p.expect("end")
	return &node{kind: kindFunction, kids: []*node{params, b}}
}

func (p *parser) names() *node {
	list := &node{kind: kindNames, kids: []*node{p.name()}}
	for p.accept(",") {
		list.kids = append(list.kids, p.name())
	}
	return list
}

func (p *parser) expressions() *node {
	list := &node{kind: kindExprs, kids: []*node{p.expression(0)}}
	for p.accept(",") {
		list.kids = append(list.kids, p.expression(0))
	}
	return list
}

// priority holds the left and right binding power of a binary operator.
type priority struct{ left, right int }

var priorities = map[string]priority{
	"or": {1, 1}, "and": {2, 2},
	"<": {3, 3}, ">": {3, 3}, "<=": {3, 3}, ">=": {3, 3}, "~=": {3, 3}, "==": {3, 3},
	"..": {5, 4}, "+": {6, 6}, "-": {6, 6}, "*": {7, 7}, "/": {7, 7}, "%": {7, 7}, "^": {10, 9},
}

const unaryPriority = 8

func (p *parser) expression(limit int) *node {
	var left *node
	if p.is("not") || p.is("-") || p.is("#") {
		op := p.tokens[p.at].text
		p.at++
		left = &node{kind: kindUnary, text: op, kids: []*node{p.expression(unaryPriority)}}
	} else {
		left = p.simple()
	}
	for {
		t := p.tokens[p.at]
		power, ok := priorities[t.text]
		if t.kind != tokenSymbol || !ok || power.left <= limit {
			return left
		}
		p.at++
		left = &node{kind: kindBinary, text: t.text, kids: []*node{left, p.expression(power.right)}}
	}
}

func (p *parser) simple() *node {
	t := p.tokens[p.at]
	switch {
	case t.kind == tokenNumber, t.kind == tokenString,
		t.kind == tokenSymbol && (t.text == "nil" || t.text == "true" || t.text == "false" || t.text == "..."):
		p.at++
		return &node{kind: kindLiteral, text: t.text}
	case p.is("{"):
		return p.table()
	case p.accept("function"):
		return p.functionBody()
	}
	return p.suffixed()
}

// suffixed parses a name or a parenthesis with the indexes and calls after it.
func (p *parser) suffixed() *node {
	var e *node
	if p.accept("(") {
		e = &node{kind: kindParen, kids: []*node{p.expression(0)}}
		p.expect(")")
	} else {
		e = p.name()
	}
	for {
		switch {
		case p.accept("."):
			e = field(e, p.name().text)
		case p.accept("["):
			e = &node{kind: kindIndex, text: "[", kids: []*node{e, p.expression(0)}}
			p.expect("]")
		case p.accept(":"):
			method := p.name().text
			e = &node{kind: kindMethod, text: method, kids: []*node{e, p.arguments()}}
		case p.is("("), p.is("{"), p.tokens[p.at].kind == tokenString:
			e = &node{kind: kindCall, kids: []*node{e, p.arguments()}}
		default:
			return e
		}
	}
}

func (p *parser) arguments() *node {
	switch {
	case p.is("{"):
		return &node{kind: kindExprs, kids: []*node{p.table()}}
	case p.tokens[p.at].kind == tokenString:
		return &node{kind: kindExprs, kids: []*node{p.simple()}}
	case p.accept("("):
		if p.accept(")") {
			return &node{kind: kindExprs}
		}
		list := p.expressions()
		p.expect(")")
		return list
	}
	p.fail("arguments")
	return nil
}

func (p *parser) table() *node {
	t := &node{kind: kindTable}
	p.expect("{")
	for !p.is("}") {
		switch {
		case p.accept("["):
			key := p.expression(0)
			p.expect("]")
			p.expect("=")
			t.kids = append(t.kids, &node{kind: kindPair, text: "[", kids: []*node{key, p.expression(0)}})
		case p.tokens[p.at].kind == tokenName && p.tokens[p.at+1].text == "=" && p.tokens[p.at+1].kind == tokenSymbol:
			key := p.name()
			p.at++
			t.kids = append(t.kids, &node{kind: kindPair, text: ".", kids: []*node{key, p.expression(0)}})
		default:
			t.kids = append(t.kids, p.expression(0))
		}
		if !p.accept(",") && !p.accept(";") {
			break
		}
	}
	p.expect("}")
	return t
}
