package syntax

import (
	"math"

	"github.com/hearthhost/hearth/sandbox/lua/arith"
)

// Arith computes one of the operations Add to Pow as Lua does.
func Arith(op Op, a, b float64) float64 {
	switch op {
	case Add:
		return arith.Sum(a, b)
	case Sub:
		return a - b
	case Mul:
		return arith.Product(a, b)
	case Div:
		return a / b
	case Mod:
		return arith.Modulo(a, b)
	}
	return arith.Power(a, b)
}

// foldBinary returns the result of arithmetic on two constants, or e.
func foldBinary(e *Binary) Expr {
	a, left := numeral(e.Left)
	b, right := numeral(e.Right)
	if !left || !right || e.Op > Pow {
		return e
	}
	v, ok := Fold(e.Op, a, b)
	if !ok {
		return e
	}
	return &Number{v}
}

// Fold returns the result of one of the operations Add to Pow on two constants. Like PUC it does not divide by 0 and
// does not make a nan: ok is false then.
func Fold(op Op, a, b float64) (v float64, ok bool) {
	if b == 0 && (op == Div || op == Mod) {
		return 0, false
	}
	v = Arith(op, a, b)
	return v, !math.IsNaN(v)
}

// foldUnary returns the result of an operator on a constant, or e.
func foldUnary(e *Unary) Expr {
	switch v, ok := numeral(e.X); {
	case ok && e.Op == Neg:
		return &Number{-v}
	case e.Op == Not && isConstant(e.X, false):
		return &True{}
	case e.Op == Not && isConstant(e.X, true):
		return &False{}
	}
	return e
}

// Negate returns a negation with another operand, folded like one of the source.
func Negate(not *Unary, x Expr) Expr { return foldUnary(&Unary{Op: Not, X: x, Line: not.Line}) }

// foldLogical returns the right operand if the left one is a constant that does not decide the result, or e.
func foldLogical(e *Logical) Expr {
	if isConstant(e.Left, e.And) {
		return &Paren{e.Right} // one value
	}
	return e
}

// isConstant reports whether an expression is a constant whose truth is as given.
func isConstant(e Expr, truth bool) bool {
	switch Unparen(e).(type) {
	case *Nil, *False:
		return !truth
	case *True, *Number, *String:
		return truth
	}
	return false
}

func numeral(e Expr) (float64, bool) {
	n, ok := Unparen(e).(*Number)
	if !ok {
		return 0, false
	}
	return n.Value, true
}

// Unparen returns an expression without the parentheses around it.
func Unparen(e Expr) Expr {
	for {
		p, ok := e.(*Paren)
		if !ok {
			return e
		}
		e = p.X
	}
}
