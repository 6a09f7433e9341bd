package luafuzz

import (
	"slices"
	"strings"
	"testing"
)

var avoidAll = Deviations{Border: true, Libm: true}

func TestProgramIsDeterministic(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		first, second := Program(seed, avoidAll), Program(seed, avoidAll)
		if first != second {
			t.Fatalf("Program(%d) returned two different programs", seed)
		}
	}
	if Program(1, avoidAll) == Program(2, avoidAll) {
		t.Error("Program(1) = Program(2), want different programs")
	}
}

// TestProgramsAreValid runs generated programs in the reference: nearly all must compile, end, and get beyond
// their first lines.
func TestProgramsAreValid(t *testing.T) {
	t.Parallel()
	if _, err := FindPUC(); err != nil {
		t.Skipf("SKIPPED: generated programs are not checked: %v", err)
	}
	var ref Reference
	defer ref.Close()
	const programs = 500
	var syntax, unfit, short int
	for seed := range uint64(programs) {
		trace, err := ref.Run(Program(seed, avoidAll), ChunkName)
		switch {
		case err != nil:
			unfit++
		case isSyntaxError(trace):
			syntax++
			t.Logf("seed %d: %s", seed, trace)
		case strings.Count(trace, "\n") < 5:
			short++
		}
	}
	if syntax*100 > programs || unfit*100 > programs || short*3 > programs {
		t.Errorf("of %d programs %d had a syntax error, %d did not end, %d printed fewer than 5 lines; want at most "+
			"1%%, 1%%, 33%%",
			programs, syntax, unfit, short)
	}
}

// TestProgramsCoverTheLanguage checks that all statements, functions and values of interest are generated.
func TestProgramsCoverTheLanguage(t *testing.T) {
	t.Parallel()
	var all strings.Builder
	for seed := range uint64(600) {
		all.WriteString(Program(seed, avoidAll))
	}
	text := all.String()
	want := []string{
		"while ", "repeat", "until ", "for ", " in pairs", " in ipairs", " in next", "elseif ", "else", "break",
		"local function ", "goto",
		"select(", "...", "coroutine.wrap", "coroutine.create", "coroutine.yield", "coroutine.status", "setmetatable(",
		"__index", "__newindex", "__call",
		"__concat", "__unm", "__eq", "__lt", "__le", "__tostring", "__metatable", "pcall(", "xpcall(", "error(",
		"assert", "setfenv(", "getfenv", "loadstring(",
		"newproxy(", "debug.traceback(", "debug.getinfo(", "table.remove(t", "pcall(os.date", "pcall(os.time", "__len",
		"pcall(load,", "rawget", "rawset", "rawequal", "unpack(", "arg.n", "[[", "0x", "~=", "^", "%", "#", "not ",
		" and ", " or ",
	}
	for _, c := range libraryCalls {
		want = append(want, c.name)
	}
	for _, s := range want {
		if !strings.Contains(text, s) && !strings.Contains(text, strings.TrimPrefix(s, "__")+`"`) {
			t.Errorf("no program contains %q", s)
		}
	}
}

func TestParsePrintsTheSameProgram(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		source := Program(seed, avoidAll)
		tree, err := parse(source)
		if err != nil {
			t.Errorf("seed %d: %v", seed, err)
			continue
		}
		want, _ := tokenize(source)
		got, err := tokenize(tree.source())
		if err != nil {
			t.Fatal(err)
		}
		// Optional punctuation may differ.
		drop := func(t token) bool { return strings.Contains("();,", t.text) }
		if !slices.Equal(slices.DeleteFunc(want, drop), slices.DeleteFunc(got, drop)) {
			t.Errorf("seed %d: the parsed and printed program has other tokens", seed)
		}
	}
}

func TestPrintKeepsPriorities(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"x = -x ^ 2", "x = (-x) ^ 2", "x = a - (b - c)", "x = a - b - c", `x = a .. (b .. c)`, "x = not (a == b)",
		"x = - -a", "x = 2 ^ -3",
		"x = (a or b) and c", "x = a or b and c", "x = #t + 1", "x = -(a + b)", "x = (f())", "x = ({1, 2})[1]",
		`x = ("s"):rep(2)`,
		"x = {[1] = 2, a = 3, f(), (f())}", "x = function(a, ...)\n  return a, ...\nend",
		"f()\nlocal y = 1;\n(f or g)(y)",
	} {
		tree, err := parse(line)
		if err != nil {
			t.Errorf("parse(%q): %v", line, err)
			continue
		}
		if got := strings.TrimSuffix(tree.source(), "\n"); got != line {
			t.Errorf("printed %q, want %q", got, line)
		}
	}
}
