// Package arith computes with numbers as PUC Lua 5.1 does: with C's operators and the functions of its library.
package arith

import "math"

// Sum returns a + b. Of two nans it returns the first, as C does; Go may add in the other order.
func Sum(a, b float64) float64 {
	r := a + b
	if r != r && a != a {
		return a
	}
	return r
}

// Product returns a * b. Of two nans it returns the first.
func Product(a, b float64) float64 {
	r := a * b
	if r != r && a != a {
		return a
	}
	return r
}

// Modulo is the remainder that has the sign of b: a - floor(a/b)*b.
func Modulo(a, b float64) float64 { return a - float64(math.Floor(a/b)*b) }
