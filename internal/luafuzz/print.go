package luafuzz

import "strings"

// source returns the tree as Lua source, one statement a line.
func (n *node) source() string {
	p := &printer{}
	p.block(n)
	return p.out.String()
}

type printer struct {
	out    strings.Builder
	indent int
}

func (p *printer) block(b *node) {
	for i, s := range b.kids {
		if i > 0 && opensWithParen(s) {
			// A parenthesis at the start of a line could continue the statement before.
			text := strings.TrimSuffix(p.out.String(), "\n")
			p.out.Reset()
			p.write(text, ";\n")
		}
		for range p.indent {
			p.out.WriteString("  ")
		}
		p.statement(s)
		p.out.WriteByte('\n')
	}
}

// opensWithParen reports whether the statement's source begins with a parenthesis.
func opensWithParen(s *node) bool {
	if s.kind != kindCallStat && s.kind != kindAssign {
		return false
	}
	e := s.kids[0]
	if e.kind == kindExprs && len(e.kids) == 0 {
		return false // the shrinker tries it
	}
	for e.kind == kindExprs || e.kind == kindIndex || e.kind == kindCall || e.kind == kindMethod {
		e = e.kids[0]
	}
	return e.kind != kindName
}

// nested prints head, the block and tail; the block is indented.
func (p *printer) nested(b *node, tail string) {
	p.out.WriteByte('\n')
	p.indent++
	p.block(b)
	p.indent--
	for range p.indent {
		p.out.WriteString("  ")
	}
	p.out.WriteString(tail)
}

func (p *printer) write(texts ...string) {
	for _, text := range texts {
		p.out.WriteString(text)
	}
}

func (p *printer) statement(s *node) {
	switch s.kind {
	case kindLocal:
		p.write("local ")
		p.list(s.kids[0])
		if len(s.kids[1].kids) > 0 {
			p.write(" = ")
			p.list(s.kids[1])
		}
	case kindAssign:
		p.list(s.kids[0])
		p.write(" = ")
		p.list(s.kids[1])
	case kindCallStat:
		p.expression(s.kids[0], 0)
	case kindDo:
		p.write("do")
		p.nested(s.kids[0], "end")
	case kindWhile:
		p.write("while ")
		p.expression(s.kids[0], 0)
		p.write(" do")
		p.nested(s.kids[1], "end")
	case kindRepeat:
		p.write("repeat")
		p.nested(s.kids[0], "until ")
		p.expression(s.kids[1], 0)
	case kindIf:
		p.ifStatement(s)
	case kindFor, kindForIn:
		p.write("for ")
		p.list(s.kids[0])
		if s.kind == kindFor {
			p.write(" = ")
		} else {
			p.write(" in ")
		}
		p.list(s.kids[1])
		p.write(" do")
		p.nested(s.kids[2], "end")
	case kindFunctionStat:
		p.write("function ")
		p.expression(s.kids[0], 0)
		p.functionBody(s.kids[1])
	case kindLocalFunction:
		p.write("local function ", s.kids[0].text)
		p.functionBody(s.kids[1])
	case kindReturn:
		p.write("return")
		if len(s.kids[0].kids) > 0 {
			p.write(" ")
			p.list(s.kids[0])
		}
	case kindBreak:
		p.write("break")
	default:
		panic("print: not a statement")
	}
}

func (p *printer) ifStatement(s *node) {
	word := "if "
	for i := 0; i+1 < len(s.kids); i += 2 {
		p.write(word)
		p.expression(s.kids[i], 0)
		p.write(" then")
		p.nested(s.kids[i+1], "")
		word = "elseif "
	}
	if len(s.kids)%2 == 1 {
		p.write("else")
		p.nested(s.kids[len(s.kids)-1], "")
	}
	p.write("end")
}

func (p *printer) functionBody(f *node) {
	p.write("(")
	p.list(f.kids[0])
	p.write(")")
	if len(f.kids[1].kids) == 0 {
		p.write(" end")
		return
	}
	p.nested(f.kids[1], "end")
}

func (p *printer) list(list *node) {
	for i, e := range list.kids {
		if i > 0 {
			p.write(", ")
		}
		p.expression(e, 0)
	}
}

// expression prints e, in parentheses if it binds no tighter than limit.
func (p *printer) expression(e *node, limit int) {
	switch e.kind {
	case kindLiteral, kindName:
		p.write(e.text)
	case kindIndex:
		p.prefix(e.kids[0])
		if e.text == "[" {
			p.bracketed(e.kids[1])
		} else {
			p.write(e.text, e.kids[1].text)
		}
	case kindCall:
		p.prefix(e.kids[0])
		p.arguments(e.kids[1])
	case kindMethod:
		p.prefix(e.kids[0])
		p.write(":", e.text)
		p.arguments(e.kids[1])
	case kindFunction:
		p.write("function")
		p.functionBody(e)
	case kindBinary:
		power := priorities[e.text]
		p.open(power.left <= limit)
		p.expression(e.kids[0], max(power.left-1, rightLimit(e.kids[0], power)))
		p.write(" ", e.text, " ")
		if e.kids[1].kind == kindUnary {
			p.expression(e.kids[1], 0) // needs no parentheses behind an operator
		} else {
			p.expression(e.kids[1], power.right)
		}
		p.close(power.left <= limit)
	case kindUnary:
		p.open(unaryPriority <= limit)
		p.write(e.text)
		if e.text == "not" || strings.HasPrefix(operatorOf(e.kids[0]), "-") {
			p.write(" ")
		}
		p.expression(e.kids[0], unaryPriority-1)
		p.close(unaryPriority <= limit)
	case kindParen:
		p.write("(")
		p.expression(e.kids[0], 0)
		p.write(")")
	case kindTable:
		p.table(e)
	default:
		panic("print: not an expression")
	}
}

// rightLimit is the limit of a left operand: a right associative operator needs parentheses around its like.
func rightLimit(left *node, power priority) int {
	if left.kind == kindBinary && power.right < power.left {
		return power.left
	}
	return 0
}

func operatorOf(e *node) string {
	if e.kind == kindUnary || e.kind == kindLiteral {
		return e.text
	}
	return ""
}

func (p *printer) open(needed bool) {
	if needed {
		p.write("(")
	}
}

func (p *printer) close(needed bool) {
	if needed {
		p.write(")")
	}
}

// prefix prints the operand of an index or a call: literals, functions and operators need parentheses.
func (p *printer) prefix(e *node) {
	switch e.kind {
	case kindName, kindIndex, kindCall, kindMethod, kindParen:
		p.expression(e, 0)
	default:
		p.write("(")
		p.expression(e, 0)
		p.write(")")
	}
}

// bracketed prints a key. "[[" would begin a long string.
func (p *printer) bracketed(key *node) {
	inner := &printer{indent: p.indent}
	inner.expression(key, 0)
	text := inner.out.String()
	if strings.HasPrefix(text, "[") {
		text = " " + text
	}
	p.write("[", text, "]")
}

func (p *printer) arguments(list *node) {
	p.write("(")
	p.list(list)
	p.write(")")
}

func (p *printer) table(t *node) {
	p.write("{")
	for i, item := range t.kids {
		if i > 0 {
			p.write(", ")
		}
		if item.kind != kindPair {
			p.expression(item, 0)
			continue
		}
		if item.text == "[" {
			p.bracketed(item.kids[0])
			p.write(" = ")
		} else {
			p.write(item.kids[0].text, " = ")
		}
		p.expression(item.kids[1], 0)
	}
	p.write("}")
}
