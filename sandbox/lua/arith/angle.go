package arith

import "math"

// Functions of angles are computed in double-double precision, or from an estimate by one step in that precision. Like
// C's, they are rounded correctly except in about one result in a thousand.

// maxAngle bounds the angles for which this package reduces; Go's functions take larger ones.
const maxAngle = 1 << 20

// halfPi is half of pi in four parts of 33 bits and a remainder, so that small multiples of the parts are exact.
var halfPi = [...]float64{0x1.921fb544p0, 0x1.0b4611a6p-34, 0x1.3198a2e0p-69, 0x1.b839a252p-104}

// reduce returns an angle minus a multiple of pi/2, and that multiple modulo 4.
func reduce(x float64) (rest double, quarter int) {
	k := math.Round(x * (2 / math.Pi))
	rest = double{hi: x}
	for _, part := range halfPi {
		rest = rest.plus(double{hi: -k}.timesFloat(part))
	}
	return rest, int(k) & 3
}

const (
	exactPowers = 9  // terms of the series of sine and cosine in double-double precision
	allPowers   = 21 // terms in all
)

// series is 1/n!, with the signs of the terms of sine and cosine.
var series = func() (list [allPowers + 1]double) {
	f := double{hi: 1}
	for n := range list {
		if n > 0 {
			f = f.times(double{hi: float64(n)}.inverse())
		}
		list[n] = f
		if n&2 != 0 {
			list[n] = f.negative()
		}
	}
	return list
}()

// sum adds the terms of one series for the square of an angle up to slightly more than pi/4. first is 0 for the cosine,
// and 1 for the sine divided by the angle.
func sum(first int, square double) double {
	n := allPowers - (allPowers-first)&1
	tail := 0.0
	for ; n > exactPowers; n -= 2 {
		tail = (tail + series[n].hi) * square.hi
	}
	s := double{hi: tail}
	for ; n >= 2; n -= 2 {
		s = s.plus(series[n]).times(square)
	}
	return s.plus(series[first])
}

// sine returns the sine of an angle up to maxAngle, plus a number of quarter turns.
func sine(x float64, more int) double {
	rest, quarter := reduce(x)
	quarter = (quarter + more) & 3
	v := sum((quarter+1)&1, rest.times(rest))
	if quarter&1 == 0 {
		v = v.times(rest)
	}
	if quarter&2 != 0 {
		return v.negative()
	}
	return v
}

func (a double) negative() double { return double{-a.hi, -a.lo} }

// unsupported reports whether Go's function is used for an angle: for zeros, nans, infinities, and numbers out of
// range.
func unsupported(x float64) bool { return !(math.Abs(x) < maxAngle) || math.Abs(x) < 0x1p-500 }

// Sin returns the sine of x.
func Sin(x float64) float64 {
	if unsupported(x) {
		return math.Sin(x)
	}
	return sine(x, 0).hi
}

// Cos returns the cosine of x.
func Cos(x float64) float64 {
	if unsupported(x) {
		return math.Cos(x)
	}
	return sine(x, 1).hi
}

// Tan returns the tangent of x.
func Tan(x float64) float64 {
	if unsupported(x) {
		return math.Tan(x)
	}
	return sine(x, 0).times(sine(x, 1).inverse()).hi
}

// Atan returns the angle whose tangent is x.
func Atan(x float64) float64 {
	if unsupported(1/x) || unsupported(x) {
		return math.Atan(x)
	}
	return refined(math.Atan(x), double{hi: x}, double{hi: 1})
}

// Atan2 returns the angle of the point (x, y).
func Atan2(y, x float64) float64 {
	const least, most = 0x1p-400, 0x1p400
	a, b := math.Abs(x), math.Abs(y)
	if !(least < a && a < most && least < b && b < most) {
		return math.Copysign(math.Atan2(y, x), y) // Go's loses the sign if y/x is too small
	}
	return refined(math.Atan2(y, x), double{hi: y}, double{hi: x})
}

// Asin returns the angle whose sine is x.
func Asin(x float64) float64 {
	if unsupported(x) || !(math.Abs(x) < 1) {
		return math.Asin(x)
	}
	return refined(math.Asin(x), double{hi: x}, complement(x))
}

// Acos returns the angle whose cosine is x.
func Acos(x float64) float64 {
	if unsupported(x) || !(math.Abs(x) < 1) {
		return math.Acos(x)
	}
	return refined(math.Acos(x), complement(x), double{hi: x})
}

// complement returns the square root of 1 - x*x.
func complement(x float64) double {
	square := double{hi: 1}.plusFloat(-x).times(double{hi: 1}.plusFloat(x))
	root := math.Sqrt(square.hi)
	rest := square.plus(double{hi: -root}.timesFloat(root)) // square - root*root
	return double{hi: root}.plusFloat(rest.hi / (2 * root))
}

// refined returns the angle of the point (cos, sin) from an estimate: the difference of the two angles is tiny.
func refined(estimate float64, sin, cos double) float64 {
	s, c := sine(estimate, 0), sine(estimate, 1)
	across := sin.times(c).plus(cos.times(s).negative())
	along := cos.times(c).plus(sin.times(s))
	return double{hi: estimate}.plusFloat(across.hi / along.hi).hi
}
