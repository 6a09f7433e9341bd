package luafuzz

import (
	"errors"
	"strings"
	"testing"
)

func TestShrinkKeepsWhatMatters(t *testing.T) {
	t.Parallel()
	source := Program(7,
		avoidAll) + "\nlocal function f(a, b)\n  if a then while b do T(1, a % b, {x = b}) break end end\nend\nf(1, " +
		"2)\n"
	got := Shrink(source, func(s string) bool { return strings.Contains(s, "a % b") })
	if lines := strings.Count(got, "\n"); lines > 2 || !strings.Contains(got, "a % b") {
		t.Errorf("Shrink returned %d lines, want at most 2:\n%s", lines, got)
	}
}

func TestShrinkReadsNoLua(t *testing.T) {
	t.Parallel()
	got := Shrink("x = = 1\na\nb\nwrong here\nc\n", func(s string) bool { return strings.Contains(s, "wrong") })
	if got != "wrong here\n" {
		t.Errorf("Shrink of lines = %q, want the one that matters", got)
	}
}

// brokenEngine is the reference with a miscompilation: a remainder is computed as a sum.
type brokenEngine struct{ ref *Reference }

func (b brokenEngine) Run(source, chunkname string) string {
	trace, err := b.ref.Run(strings.ReplaceAll(source, " % ", " + "), chunkname)
	if err != nil {
		return err.Error()
	}
	return trace
}

// fixedEngine returns the same trace for every program.
type fixedEngine string

func (f fixedEngine) Run(string, string) string { return string(f) }

// TestCountOfCallsIsUnfit compares on a program that counts the calls up to a stack overflow: PUC's own result depends
// on the programs before it.
func TestCountOfCallsIsUnfit(t *testing.T) {
	t.Parallel()
	if _, err := FindPUC(); err != nil {
		t.Skipf("SKIPPED: the comparison is not tested: %v", err)
	}
	c := &Comparison{Reference: &Reference{}, Engine: fixedEngine("another trace")}
	defer c.Reference.Close()
	const source = "local n = 0 local function f() n = n + 1 f() end pcall(f) T(n)"
	var unfit *UnfitError
	if d, err := c.Compare(source); !errors.As(err, &unfit) {
		t.Errorf("Compare of a program that counts calls = %v, %v, want an UnfitError", d, err)
	}
	if d, err := c.Compare("T(1)"); d == nil || err != nil {
		t.Errorf("Compare of T(1) with another trace = %v, %v, want a difference", d, err)
	}
}

// TestLongStringIsUnfit compares on a program whose string the engine does not allow.
func TestLongStringIsUnfit(t *testing.T) {
	t.Parallel()
	if _, err := FindPUC(); err != nil {
		t.Skipf("SKIPPED: the comparison is not tested: %v", err)
	}
	c := &Comparison{Reference: &Reference{}, Engine: fixedEngine(`failed: "prog:1: string length overflow"`)}
	defer c.Reference.Close()
	if d, err := c.Compare("T(1)"); d == nil || err != nil {
		t.Errorf("Compare without the deviation = %v, %v, want a difference", d, err)
	}
	c.Deviations = Deviations{LongString: true}
	var unfit *UnfitError
	if d, err := c.Compare("T(1)"); !errors.As(err, &unfit) {
		t.Errorf("Compare with the deviation = %v, %v, want an UnfitError", d, err)
	}
}

func TestSameFirstDigits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		want, got string
		same      bool
	}{
		{"318975.59686657: x", "318975.59684973: x", true},
		{"1 1.5e-07", "1 1.500001e-07", true},
		{"318975.59686657", "318976.697", false},
		{"318975.59686657", "318975", false},
		{"1.5", "-1.5", false},
		{"1.5 a", "1.5 b", false},
		{"same\n1.5000001\nx", "same\n1.5\ny", true},
		{"same\n1.51\nx", "same\n1.5\nx", false},
		{"same\nx", "same", false},
		{"12", "13", false},
	} {
		if got := sameFirstDigits(c.want, c.got); got != c.same {
			t.Errorf("sameFirstDigits(%q, %q) = %v", c.want, c.got, got)
		}
	}
}

// TestMiscompilationIsFoundAndShrunk compares with an engine that has one known fault.
func TestMiscompilationIsFoundAndShrunk(t *testing.T) {
	t.Parallel()
	if _, err := FindPUC(); err != nil {
		t.Skipf("SKIPPED: the comparison is not tested: %v", err)
	}
	c := &Comparison{Reference: &Reference{}, Engine: brokenEngine{&Reference{}}, Deviations: avoidAll}
	defer c.Reference.Close()
	defer c.Engine.(brokenEngine).ref.Close()
	for seed := range uint64(100) {
		d, err := c.CompareSeed(seed)
		if err != nil || d == nil {
			continue
		}
		small := c.Shrink(d)
		if lines := strings.Count(small.Program, "\n"); lines > 6 || !strings.Contains(small.Program, " % ") {
			t.Errorf("seed %d shrunk to %d lines, want at most 6:\n%v", seed, lines, small)
		}
		return
	}
	t.Error("100 programs did not find an engine that computes a % b as a + b")
}

func TestReferenceReportsUnfitPrograms(t *testing.T) {
	t.Parallel()
	if _, err := FindPUC(); err != nil {
		t.Skipf("SKIPPED: the reference is not tested: %v", err)
	}
	var ref Reference
	defer ref.Close()
	for _, source := range []string{
		"while true do end",
		"while true do pcall(function() while true do end end) end",
		"local co = coroutine.wrap(function() while true do end end) pcall(co) while true do end",
		`local s = "x" while true do s = s .. s end`,
	} {
		if trace, err := ref.Run(source, ChunkName); err == nil && !strings.Contains(trace, "not enough memory") {
			t.Errorf("Run(%q) = %q, want an error", source, trace)
		}
		if trace, err := ref.Run(`string.x = 1 T(string.x, y)`, ChunkName); err != nil || trace != "1: nil" {
			t.Errorf("after it: Run = %q, %v", trace, err)
		}
		if trace, err := ref.Run("T(string.x)", ChunkName); err != nil || trace != "nil:" {
			t.Errorf("globals of the program before: %q, %v", trace, err)
		}
	}
}
