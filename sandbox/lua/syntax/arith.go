package syntax

import "math"

// Arith computes one of the operations Add to Pow as Lua does.
func Arith(op Op, a, b float64) float64 {
	switch op {
	case Add:
		return a + b
	case Sub:
		return a - b
	case Mul:
		return a * b
	case Div:
		return a / b
	case Mod:
		return Modulo(a, b)
	}
	return Power(a, b)
}

// Modulo is the remainder that has the sign of b: a - floor(a/b)*b.
func Modulo(a, b float64) float64 { return a - float64(math.Floor(a/b)*b) }

// foldBinary returns the number that arithmetic on two numbers yields, or e. Like PUC it does not divide by 0
// and does not make a nan.
func foldBinary(e *Binary) Expr {
	a, left := numeral(e.Left)
	b, right := numeral(e.Right)
	if !left || !right || e.Op > Pow || b == 0 && (e.Op == Div || e.Op == Mod) {
		return e
	}
	v := Arith(e.Op, a, b)
	if math.IsNaN(v) {
		return e
	}
	return &Number{v}
}

// foldUnary returns the negative of a number as a number, or e.
func foldUnary(e *Unary) Expr {
	if v, ok := numeral(e.X); ok && e.Op == Neg {
		return &Number{-v}
	}
	return e
}

func numeral(e Expr) (float64, bool) {
	for {
		switch inner := e.(type) {
		case *Paren:
			e = inner.X
		case *Number:
			return inner.Value, true
		default:
			return 0, false
		}
	}
}
