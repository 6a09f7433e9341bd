package arith

import "math"

// Power returns x^y, correctly rounded. C's pow, which PUC calls, differs in one result of a thousand.
//
// A nan operand is returned. Where x^y is not defined, the result is a negative nan, as the processor returns; its sign
// shows in text.
func Power(x, y float64) float64 {
	if y == 2 && x == x {
		return x * x
	}
	if x == 0 || y == 0 || x == 1 || x-x != 0 || y-y != 0 || x < 0 && y != math.Trunc(y) {
		return specialPower(x, y)
	}
	r := positivePower(math.Abs(x), y)
	if x < 0 && math.Mod(y, 2) != 0 {
		return -r
	}
	return r
}

// specialPower returns x^y for zeros, infinities and nans, and where x^y is not defined. It does not round.
func specialPower(x, y float64) float64 {
	r := math.Pow(x, y)
	switch {
	case r == r:
		return r
	case x != x && math.Signbit(x) && math.Abs(math.Mod(y, 2)) == 1:
		return math.Copysign(x, 1) // as the C library
	case x != x:
		return x
	case y != y:
		return y
	}
	return math.Copysign(r, -1)
}

// MaxRepeated is the largest exponent for which the power is a repeated product: the error grows with the exponent.
const MaxRepeated = 256

// positivePower is x^y for finite x > 0 and y other than 0.
func positivePower(x, y float64) float64 {
	switch {
	case y == 1:
		return x
	case y == 0.5:
		return math.Sqrt(x)
	case y == math.Trunc(y) && math.Abs(y) <= MaxRepeated:
		return integerPower(x, int(y))
	}
	// The result is e^(y log x). Far outside the range of numbers the estimate is enough.
	switch estimate := y * math.Log(x); {
	case estimate > 710:
		return math.Inf(1)
	case estimate < -746:
		return 0
	}
	return exponential(logarithm(x).timesFloat(y))
}

// Exp returns e^x, rounded correctly. C's exp differs in one result of some hundreds.
func Exp(x float64) float64 {
	if !(x < 710 && x > -746) || x == 0 {
		return math.Exp(x)
	}
	return exponential(double{hi: x})
}

// Log returns the natural logarithm of x, rounded correctly.
func Log(x float64) float64 {
	if !(x > 0 && x <= math.MaxFloat64) || x == 1 {
		return math.Log(x)
	}
	return logarithm(x).hi
}

// Log10 returns the logarithm of x to base 10, rounded correctly. C's differs in one result of twenty.
func Log10(x float64) float64 {
	if !(x > 0 && x <= math.MaxFloat64) || x == 1 {
		return math.Log10(x)
	}
	return logarithm(x).times(inverseLn10).hi
}

var inverseLn10 = logarithm(10).inverse()

// exponential returns e^x for results up to about twice the largest number.
func exponential(x double) float64 {
	k := math.Round(x.hi / math.Ln2)
	rest := x.plus(ln2.timesFloat(-k)).plusFloat(-k * ln2Rest)
	return exponentialMinus1(rest).plusFloat(1).scaled(int(k))
}

// integerPower multiplies. The fraction of x is at least one half, so that no product underflows.
func integerPower(x float64, n int) float64 {
	fraction, exponent := math.Frexp(x)
	square, result := double{hi: fraction}, double{hi: 1}
	for rest := max(n, -n); rest > 0; rest >>= 1 {
		if rest&1 != 0 {
			result = result.times(square)
		}
		square = square.times(square)
	}
	if n < 0 {
		result = result.inverse()
	}
	return result.scaled(n * exponent)
}

// logarithm returns log(x) for a finite x > 0: an estimate, then one step of Newton's method.
func logarithm(x float64) double {
	fraction, exponent := math.Frexp(x)
	if fraction < math.Sqrt2/2 {
		fraction *= 2
		exponent--
	}
	first := math.Log(fraction)
	// fraction * e^-first - 1, where e^-first is near 1 / fraction
	rest := exponentialMinus1(double{hi: -first}).timesFloat(fraction).plusFloat(fraction - 1)
	log := rest.plusFloat(first).plusFloat(-rest.hi * rest.hi / 2)
	if exponent == 0 {
		return log
	}
	e := float64(exponent)
	return ln2.timesFloat(e).plus(log).plusFloat(e * ln2Rest)
}

// ln2 and ln2Rest are the logarithm of 2 to 160 bits.
var ln2 = double{0x1.62e42fefa39efp-1, 0x1.abc9e3b39803fp-56}

const ln2Rest = 0x1.7b57a079a1934p-111

const (
	halvings   = 5 // halvings of the argument of exponentialMinus1
	exactTerms = 7 // terms of its series in double-double precision
	allTerms   = 13
)

// inverseFactorials are 1/n!.
var inverseFactorials = func() (list [allTerms + 1]double) {
	list[0] = double{hi: 1}
	for n := 1; n <= allTerms; n++ {
		list[n] = list[n-1].times(double{hi: float64(n)}.inverse())
	}
	return list
}()

// exponentialMinus1 returns e^x - 1 for |x| below 0.4, to about 100 bits even if x is small.
func exponentialMinus1(x double) double {
	const scale = 1.0 / (1 << halvings)
	x = double{x.hi * scale, x.lo * scale}
	tail := 0.0
	for n := allTerms; n > exactTerms; n-- {
		tail = (tail + inverseFactorials[n].hi) * x.hi
	}
	sum := double{hi: tail}
	for n := exactTerms; n >= 1; n-- {
		sum = sum.plus(inverseFactorials[n]).times(x)
	}
	for range halvings { // e^2x - 1 from e^x - 1
		sum = sum.times(sum.plusFloat(2))
	}
	return sum
}

// double is the sum of two numbers, the second at most half a unit in the last place of the first. It has about 106
// bits.
type double struct{ hi, lo float64 }

// twoSum returns a + b.
func twoSum(a, b float64) double {
	s := a + b
	t := s - a
	return double{s, (a - (s - t)) + (b - t)}
}

// normal returns hi + lo, where |lo| is below |hi|.
func normal(hi, lo float64) double {
	s := hi + lo
	return double{s, lo - (s - hi)}
}

func (a double) plus(b double) double {
	s, t := twoSum(a.hi, b.hi), twoSum(a.lo, b.lo)
	u := normal(s.hi, s.lo+t.hi)
	return normal(u.hi, u.lo+t.lo)
}

func (a double) plusFloat(b float64) double {
	s := twoSum(a.hi, b)
	return normal(s.hi, s.lo+a.lo)
}

func (a double) times(b double) double {
	p := a.hi * b.hi
	e := math.FMA(a.hi, b.hi, -p)
	return normal(p, e+(math.FMA(a.hi, b.lo, a.lo*b.hi)))
}

func (a double) timesFloat(b float64) double {
	p := a.hi * b
	return normal(p, math.FMA(a.hi, b, -p)+a.lo*b)
}

// inverse returns 1/a.
func (a double) inverse() double {
	q := 1 / a.hi
	rest := math.FMA(-q, a.hi, 1) - q*a.lo // 1 - q*a
	return normal(q, q*rest).plusFloat(q * rest * rest)
}

// scaled returns a * 2^exponent, rounded once, for a > 0.
func (a double) scaled(exponent int) float64 {
	r := math.Ldexp(a.hi, exponent)
	if r >= 0x1p-1022 || a.lo == 0 {
		return r
	}
	if exponent < -1200 {
		return r
	}
	// The result has fewer bits: round a to a multiple of unit, by adding a number whose last place is unit.
	unit := math.Ldexp(1, -1074-exponent)
	sum := twoSum(0x1.8p52*unit, a.hi)
	rounded := sum.hi - 0x1.8p52*unit
	switch {
	case sum.lo == unit/2 && a.lo > 0:
		rounded += unit
	case sum.lo == -unit/2 && a.lo < 0:
		rounded -= unit
	}
	return math.Ldexp(rounded, exponent)
}
