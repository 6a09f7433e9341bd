package arith

import (
	"bufio"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// exactPower returns x^n by multiplication of exact numbers, rounded once.
func exactPower(x float64, n int) float64 {
	const precision = 20_000
	result := big.NewFloat(1).SetPrec(precision)
	for range max(n, -n) {
		result.Mul(result, new(big.Float).SetPrec(precision).SetFloat64(x))
	}
	if n < 0 {
		result.Quo(big.NewFloat(1).SetPrec(precision), result)
	}
	v, _ := result.Float64()
	return v
}

// TestPowerOfIntegers compares with exact arithmetic, results without a normal representation included.
func TestPowerOfIntegers(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 4000 {
		x := math.Ldexp(rnd.Float64()+0.5, rnd.IntN(12)-6)
		n := rnd.IntN(121) - 60
		switch rnd.IntN(3) {
		case 0:
			x = float64(rnd.IntN(1000)) / float64(1+rnd.IntN(100))
		case 1:
			x = math.Ldexp(rnd.Float64()+0.5, -1080/max(n, -n, 1)) // the result is about 2^-1080 to 2^-1020
			n = max(n, -n)
		}
		if got, want := Power(x, float64(n)), exactPower(x, n); got != want && n != 0 {
			t.Errorf("Power(%b, %d) = %b, want %b", x, n, got, want)
		}
	}
}

// TestPowerOfFractions checks that x^(n/4) raised to the fourth is x^n, as exactly as its rounding allows.
func TestPowerOfFractions(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		x := math.Ldexp(rnd.Float64()+0.5, rnd.IntN(40)-20)
		n := rnd.IntN(61) - 30
		if n%4 == 0 {
			continue
		}
		got := Power(x, float64(n)/4)
		// The true result is between the middles of got and its neighbours.
		below, above := middle(math.Nextafter(got, 0), got), middle(got, math.Nextafter(got, math.Inf(1)))
		want := bigPower(new(big.Float).SetPrec(3000).SetFloat64(x), n)
		if bigPower(below, 4).Cmp(want) > 0 || bigPower(above, 4).Cmp(want) < 0 {
			t.Errorf("Power(%b, %v) = %b, which is not the nearest number", x, float64(n)/4, got)
		}
	}
}

func middle(a, b float64) *big.Float {
	sum := new(big.Float).SetPrec(3000).SetFloat64(a)
	sum.Add(sum, new(big.Float).SetFloat64(b))
	return sum.Quo(sum, big.NewFloat(2))
}

func bigPower(x *big.Float, n int) *big.Float {
	result := big.NewFloat(1).SetPrec(3000)
	for range max(n, -n) {
		result.Mul(result, x)
	}
	if n < 0 {
		result.Quo(big.NewFloat(1).SetPrec(3000), result)
	}
	return result
}

// TestPowerLikePUC compares with lua5.1, whose C library rounds one result in a thousand to the other neighbour.
func TestPowerLikePUC(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("lua5.1")
	if err != nil {
		t.Skipf("SKIPPED: powers are not compared with lua5.1: %v", err)
	}
	const pairs = 100_000
	rnd := rand.New(rand.NewPCG(5, 6))
	number := func(bits uint64) float64 { return math.Float64frombits(bits) }
	xs, ys := make([]float64, pairs), make([]float64, pairs)
	var in strings.Builder
	for i := range pairs {
		x, y := rnd.Float64()*100, float64(rnd.IntN(41)-20)
		switch rnd.IntN(8) {
		case 0:
			x, y = number(rnd.Uint64()), number(rnd.Uint64())
		case 1:
			x, y = float64(rnd.IntN(2000)-1000), float64(rnd.IntN(801)-400)
		case 2:
			y = rnd.Float64()*40 - 20
		case 3:
			x, y = 1+rnd.Float64()*1e-9, rnd.Float64()*1e11
		case 4:
			x, y = float64(rnd.IntN(200)-100)/4, float64(rnd.IntN(40)-20)/2
		case 5:
			special := []float64{0, math.Copysign(0, -1), 1, -1, math.Inf(1), math.Inf(-1), math.NaN(), 2, 0.5, 10}
			x = special[rnd.IntN(len(special))]
		}
		xs[i], ys[i] = x, y
		fmt.Fprintf(&in, "%s %s\n", hex(x), hex(y))
	}
	cmd := exec.CommandContext(t.Context(), path, "-e", `for x, y in io.read("*a"):gmatch("(%S+) (%S+)") do
		print(("%.17g"):format(tonumber(x) ^ tonumber(y))) end`)
	cmd.Stdin = strings.NewReader(in.String())
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(strings.NewReader(string(out)))
	other := 0
	for i := range pairs {
		lines.Scan()
		want := parse(t, lines.Text())
		got := Power(xs[i], ys[i])
		switch {
		case got == want || got != got && want != want:
		case math.Nextafter(got, want) == want:
			other++
		default:
			t.Errorf("Power(%s, %s) = %v, want %v", hex(xs[i]), hex(ys[i]), got, want)
		}
	}
	t.Logf("%d of %d results are not those of %s", other, pairs, path)
	if other > pairs/200 {
		t.Errorf("%d of %d results are not those of lua5.1, want at most %d", other, pairs, pairs/200)
	}
}

// TestFunctionsLikePUC compares with lua5.1: results that are not the same are neighbours, and few.
func TestFunctionsLikePUC(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("lua5.1")
	if err != nil {
		t.Skipf("SKIPPED: functions are not compared with lua5.1: %v", err)
	}
	for _, tt := range []struct {
		name  string
		f     func(float64) float64
		scale float64
		most  int // results of a thousand that are others
	}{
		{"exp", Exp, 200, 10}, {"log", Log, 0, 10}, {"log10", Log10, 0, 100}, {"sin", Sin, 10, 10},
		{"cos", Cos, 1000, 10}, {"tan", Tan, 10, 10}, {"asin", Asin, 0.3, 10}, {"acos", Acos, 0.3, 10},
		{"atan", Atan, 10, 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			const numbers = 20_000
			rnd := rand.New(rand.NewPCG(7, 8))
			xs := make([]float64, numbers)
			var in strings.Builder
			for i := range xs {
				xs[i] = rnd.NormFloat64() * tt.scale
				switch {
				case tt.scale == 0:
					xs[i] = math.Float64frombits(rnd.Uint64() &^ (1 << 63))
				case i%4 == 0:
					xs[i] *= 1e-5
				case i%100 == 1:
					special := []float64{0, math.Copysign(0, -1), 1, -1, math.Inf(1), math.Inf(-1), 5e-324, 1e300}
					xs[i] = special[rnd.IntN(len(special))]
				}
				in.WriteString(hex(xs[i]) + "\n")
			}
			cmd := exec.CommandContext(t.Context(), path, "-e", `for x in io.lines() do
				print(("%.17g"):format(math.`+tt.name+`(tonumber(x)))) end`)
			cmd.Stdin = strings.NewReader(in.String())
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			others := 0
			for i, line := range strings.Fields(string(out)) {
				want := parse(t, line)
				switch got := tt.f(xs[i]); {
				case got == want || got != got && want != want:
				case math.Nextafter(got, want) == want:
					others++
				default:
					t.Errorf("%s(%s) = %v, want %v", tt.name, hex(xs[i]), got, want)
				}
			}
			t.Logf("%d of %d results are not those of %s", others, numbers, path)
			if others > numbers/1000*tt.most {
				t.Errorf("%d of %d results are not those of lua5.1", others, numbers)
			}
		})
	}
}

// parse reads a number that C's printf wrote.
func parse(t *testing.T, s string) float64 {
	t.Helper()
	if strings.HasSuffix(s, "nan") {
		return math.NaN()
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestAtan2(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(9, 10))
	for range 5000 {
		x, y := rnd.NormFloat64()*math.Pow(10, float64(rnd.IntN(20)-10)), rnd.NormFloat64()
		if got, want := Atan2(y, x), math.Atan2(y, x); math.Abs(got-want) > 1e-15*math.Abs(want) {
			t.Errorf("Atan2(%v, %v) = %v, want %v", y, x, got, want)
		}
	}
	if got := Atan2(-1e-276, -1e53); got != -math.Pi {
		t.Errorf("Atan2(-1e-276, -1e53) = %v, want -pi", got)
	}
	for _, p := range [][2]float64{
		{0, -1}, {1, 0}, {math.Copysign(0, -1), -1}, {1e300, 1e-300}, {math.Inf(1), math.Inf(-1)},
	} {
		if got, want := Atan2(p[0], p[1]), math.Atan2(p[0], p[1]); got != want {
			t.Errorf("Atan2(%v, %v) = %v, want %v", p[0], p[1], got, want)
		}
	}
}

func hex(f float64) string { return strconv.FormatFloat(f, 'x', -1, 64) }

func BenchmarkExp(b *testing.B) {
	x := 1.5
	for b.Loop() {
		x = 1.5 + Exp(x)*1e-30
	}
}

func BenchmarkSin(b *testing.B) {
	x := 1.5
	for b.Loop() {
		x = 1.5 + Sin(x)*1e-30
	}
}

func BenchmarkLog(b *testing.B) {
	x := 1.5
	for b.Loop() {
		x = 1.5 + Log(x)*1e-30
	}
}

func BenchmarkPower(b *testing.B) {
	for _, y := range []float64{3, -20, 1.7} {
		b.Run(fmt.Sprint(y), func(b *testing.B) {
			x := 1.5
			for b.Loop() {
				x = 1.5 + Power(x, y)*1e-30
			}
		})
	}
}
