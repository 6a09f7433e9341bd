package luafuzz_test

import (
	"errors"
	"flag"
	"runtime/debug"
	"testing"
	"time"

	"github.com/hearthhost/hearth/internal/luafuzz"
)

var (
	seedFlag     = flag.Uint64("seed", 1, "first seed of TestDifferential and TestEndless")
	programsFlag = flag.Int("programs", 0,
		"number of programs; 0: 20,000 in TestDifferential, without end in TestEndless")
	endlessFlag  = flag.Bool("endless", false, "run TestEndless")
	maxDiffsFlag = flag.Int("differences", 10, "stop after this many differences")
	noShrinkFlag = flag.Bool("noshrink", false, "report differences as they are")
)

const deviationsFile = "../../doc/lua.md"

// newComparison returns a comparison of the sandbox's VM with PUC, or skips the test.
func newComparison(t *testing.T) *luafuzz.Comparison {
	t.Helper()
	if _, err := luafuzz.FindPUC(); err != nil {
		t.Skipf("SKIPPED: the Lua engine is not compared with PUC Lua: %v", err)
	}
	deviations, err := luafuzz.ReadDeviations(deviationsFile)
	if err != nil {
		t.Fatal(err)
	}
	engine, err := newEngine()
	if err != nil {
		t.Fatal(err)
	}
	c := &luafuzz.Comparison{Reference: &luafuzz.Reference{}, Engine: engine, Deviations: deviations}
	t.Cleanup(c.Reference.Close)
	return c
}

// compare runs programs from a seed and reports differences, shrunk.
func compare(t *testing.T, c *luafuzz.Comparison, seed uint64, programs int) {
	defer debug.SetGCPercent(debug.SetGCPercent(800)) // much garbage, little in use
	unfit, differences := 0, 0
	start := time.Now()
	for done := 0; done < programs || programs == 0; done++ {
		if t.Context().Err() != nil {
			return
		}
		d, err := c.CompareSeed(seed + uint64(done))
		var bad *luafuzz.UnfitError
		switch {
		case errors.As(err, &bad):
			unfit++
		case err != nil:
			t.Fatal(err)
		case d != nil:
			differences++
			if !*noShrinkFlag {
				d = c.Shrink(d)
			}
			t.Errorf("difference %d of %d programs\n%v", differences, done+1, d)
			if differences >= *maxDiffsFlag {
				t.Fatalf("stopped after %d differences", differences)
			}
		}
		if *endlessFlag && (done+1)%10_000 == 0 {
			t.Logf("%d programs to seed %d, %d unfit, %d differences, %v",
				done+1, seed+uint64(done), unfit, differences, time.Since(start).Round(time.Second))
		}
	}
	if unfit*100 > programs && programs > 0 {
		t.Errorf("%d of %d programs were unfit for a comparison, want at most 1 in 100", unfit, programs)
	}
}

// TestDifferential compares the sandbox's VM with PUC Lua 5.1 on generated programs.
func TestDifferential(t *testing.T) {
	if *endlessFlag {
		t.Skip("endless run")
	}
	programs := 20_000
	switch {
	case *programsFlag > 0:
		programs = *programsFlag
	case testing.Short(), raceEnabled:
		programs = 500
	}
	compare(t, newComparison(t), *seedFlag, programs)
}

// TestEndless is `make fuzz-lua`.
func TestEndless(t *testing.T) {
	if !*endlessFlag {
		t.Skip("only with -endless: make fuzz-lua")
	}
	compare(t, newComparison(t), *seedFlag, *programsFlag)
}
