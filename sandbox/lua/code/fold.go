package code

import "github.com/hearthhost/hearth/sandbox/lua/syntax"

// PUC folds arithmetic while it compiles. An operand such as (x or true) and 0 is a number there, because no jump
// leaves it with another value: the code before is kept, and -((x or true) and 0) loads a constant. A program can see
// this, because the constants 0 and -0 of a function are one.

// foldedNumber returns the value of arithmetic that PUC folds although operands of "and" and "or" are evaluated before
// it. ok is false for arithmetic on plain numbers, which the parser folds.
func foldedNumber(e syntax.Expr) (value float64, ok bool) {
	var chain []*syntax.Binary // may be as long as the source
	for e = syntax.Unparen(e); ; {
		b, isBinary := e.(*syntax.Binary)
		if !isBinary || b.Op > syntax.Pow {
			break
		}
		chain = append(chain, b)
		e = syntax.Unparen(b.Left)
	}
	neg, isUnary := e.(*syntax.Unary)
	switch {
	case isUnary && neg.Op == syntax.Neg:
		value, ok = operandNumber(neg.X)
		value = -value
	case len(chain) > 0:
		value, ok = operandNumber(e)
	}
	for i := len(chain) - 1; ok && i >= 0; i-- {
		var right float64
		if right, ok = operandNumber(chain[i].Right); ok {
			value, ok = syntax.Fold(chain[i].Op, value, right)
		}
	}
	return value, ok
}

// operandNumber returns the value of an operand of arithmetic that PUC takes for a number.
func operandNumber(e syntax.Expr) (float64, bool) {
	last, exits := lastOperand(e)
	n, ok := last.(*syntax.Number)
	if !ok || exits != [2]bool{} {
		return 0, false
	}
	return n.Value, true
}

// lastOperand has the results of compiler.operands, and compiles nothing: the last operand, and whether jumps leave
// with a false and with a true result.
func lastOperand(e syntax.Expr) (last syntax.Expr, exits [2]bool) {
	e = syntax.Unparen(e)
	switch e := e.(type) {
	case *syntax.Unary:
		if e.Op == syntax.Not {
			last, exits = lastOperand(e.X)
			exits[0], exits[1] = exits[1], exits[0]
			return syntax.Negate(e, last), exits
		}
	case *syntax.Logical:
		spine, first := spineOf(e)
		last, exits = lastOperand(first)
		for i := len(spine) - 1; i >= 0; i-- {
			decides := bit(!spine[i].And)
			exits[decides] = exits[decides] || !passes(last, decides)
			exits[1-decides] = false
			var right [2]bool
			last, right = lastOperand(spine[i].Right)
			exits[0], exits[1] = exits[0] || right[0], exits[1] || right[1]
		}
		return last, exits
	}
	if n, ok := foldedNumber(e); ok {
		return &syntax.Number{Value: n}, exits
	}
	return e, exits
}

// passes reports whether an operand is a constant that does not have the given truth.
func passes(e syntax.Expr, truth int) bool {
	k, ok := constantOf(e)
	return ok && bit(k.Kind > FalseConst) != truth
}

// effects evaluates the operands of a folded number, and drops their values.
func (c *compiler) effects(e syntax.Expr, dst int) {
	c.enter()
	defer c.leave()
	free := c.free
	defer func() { c.free = free }()
	if !c.temporary(dst) {
		dst = c.reserve(1)
	}
	var rights []syntax.Expr
	for e = syntax.Unparen(e); ; {
		b, ok := e.(*syntax.Binary)
		if !ok {
			break
		}
		rights = append(rights, b.Right)
		e = syntax.Unparen(b.Left)
	}
	if neg, ok := e.(*syntax.Unary); ok {
		e = neg.X
	}
	c.operands(e, dst)
	for i := len(rights) - 1; i >= 0; i-- {
		c.operands(rights[i], dst)
	}
}
