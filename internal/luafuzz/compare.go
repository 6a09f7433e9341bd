package luafuzz

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// ChunkName is the chunk name of every generated program; error positions read "prog:line:".
const ChunkName = "=prog"

// An Engine runs one program in a new state of the engine under test and returns its trace. It runs Prelude and then
// calls the returned function with source and chunkname. For a crash or an exceeded limit it returns a text that
// names it.
type Engine interface {
	Run(source, chunkname string) (trace string)
}

// A Difference is a program on which the engine's trace is not the reference's.
type Difference struct {
	Seed    uint64
	Program string
	Want    string // trace of PUC
	Got     string // trace of the engine
}

// Comparison compares an engine with the reference. Not safe for concurrent use.
type Comparison struct {
	Reference  *Reference
	Engine     Engine
	Deviations Deviations
}

// Compare runs source in both engines and returns nil if the traces are equal. The error is the reference's, such as
// an *UnfitError.
func (c *Comparison) Compare(source string) (*Difference, error) {
	if err := c.Reference.Start(source, ChunkName); err != nil {
		return nil, err
	}
	got := c.Engine.Run(source, ChunkName) // in parallel with the reference
	want, err := c.Reference.Wait()
	if err != nil {
		return nil, err
	}
	if got == want {
		return nil, nil //nolint:nilnil // no difference is the ordinary result
	}
	if c.Deviations[LongString] && slices.ContainsFunc(longStringErrors, func(text string) bool {
		return strings.Contains(got, text)
	}) {
		return nil, &UnfitError{"it builds a string of more than 32 MiB"}
	}
	if c.Deviations[Libm] && usesLibm(source) && sameFirstDigits(want, got) {
		return nil, &UnfitError{"it shows the last digit of a function of C's library"}
	}
	if err := repeats(source, want); err != nil {
		return nil, err
	}
	return &Difference{Program: source, Want: want, Got: got}, nil
}

// usesLibm reports whether a program may call a function of C's library, whose last digit is not always the engine's.
func usesLibm(source string) bool {
	return strings.Contains(source, "^") || strings.Contains(source, "math.")
}

var fraction = regexp.MustCompile(`-?[0-9]+\.[0-9]+(e[-+][0-9]+)?`)

// sameFirstDigits reports whether the first lines in which two traces differ are the same but in numbers with a
// fraction, and these differ by at most one in 10^6. Arithmetic on a last digit, such as a remainder, makes it a digit
// further left, and a loop may make it any digit: later lines are not compared.
func sameFirstDigits(want, got string) bool {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	first := firstDifference(w, g)
	if first == len(w) || first == len(g) {
		return false
	}
	want, got = w[first], g[first]
	if fraction.ReplaceAllString(want, "") != fraction.ReplaceAllString(got, "") {
		return false
	}
	a, b := fraction.FindAllString(want, -1), fraction.FindAllString(got, -1)
	for i := range a {
		x, errX := strconv.ParseFloat(a[i], 64)
		y, errY := strconv.ParseFloat(b[i], 64)
		if errX != nil || errY != nil || math.Abs(x-y) > 1e-6*math.Abs(x) {
			return false
		}
	}
	return true
}

// repeats returns an *UnfitError if a new process of PUC, or a second run in it, has another trace. Then the trace
// depends on the programs before it: PUC allows 16,384 calls until the first stack overflow, and 20,000 after it.
func repeats(source, want string) error {
	var r Reference
	defer r.Close()
	for range 2 {
		trace, err := r.Run(source, ChunkName)
		if err != nil {
			return err
		}
		if trace != want {
			return &UnfitError{"its trace in " + PUC + " depends on the programs before it"}
		}
	}
	return nil
}

// String returns the report: seed, program and the lines of both traces around the first difference.
func (d *Difference) String() string {
	want, got := strings.Split(d.Want, "\n"), strings.Split(d.Got, "\n")
	first := firstDifference(want, got)
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: traces differ from line %d\n--- program\n%s\n", d.Seed, first+1,
		strings.TrimSuffix(d.Program, "\n"))
	fmt.Fprintf(&b, "--- %s\n%s\n--- engine\n%s\n", PUC, excerpt(want, first), excerpt(got, first))
	return b.String()
}

// firstDifference returns the index of the first line in which two traces differ, or the length of the shorter one.
func firstDifference(a, b []string) int {
	first := 0
	for first < len(a) && first < len(b) && a[first] == b[first] {
		first++
	}
	return first
}

// excerpt returns up to four lines from first, each cut to a length that fits a terminal.
func excerpt(lines []string, first int) string {
	if first >= len(lines) {
		return "(end of trace)"
	}
	lines = append([]string(nil), lines[first:min(first+4, len(lines))]...)
	for i, line := range lines {
		if len(line) > 600 {
			lines[i] = line[:600] + "..."
		}
	}
	return strings.Join(lines, "\n")
}

// CompareSeed compares on the program of a seed.
func (c *Comparison) CompareSeed(seed uint64) (*Difference, error) {
	d, err := c.Compare(Program(seed, c.Deviations))
	if d != nil {
		d.Seed = seed
	}
	return d, err
}

// Shrink returns d with the smallest program found that still differs. A program with a syntax error is no
// smaller version of one without.
func (c *Comparison) Shrink(d *Difference) *Difference {
	smallest := d
	Shrink(d.Program, func(source string) bool {
		smaller, err := c.Compare(source)
		if err != nil || smaller == nil || isSyntaxError(smaller.Want) && !isSyntaxError(d.Want) {
			return false
		}
		smaller.Seed = d.Seed
		smallest = smaller
		return true
	})
	return smallest
}

func isSyntaxError(trace string) bool { return strings.HasPrefix(trace, "syntax: ") }
