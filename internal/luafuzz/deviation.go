package luafuzz

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// Deviations are the intended differences from PUC Lua that doc/lua.md lists.
type Deviations map[Deviation]bool

// A Deviation is one intended difference, named by its line in doc/lua.md without the reason.
type Deviation string

// The deviations that the generator avoids.
const (
	Border Deviation = "a table with holes may have another border"
	Libm   Deviation = "sinh, tanh, log10, sin(1e9) may differ in the last digit"
	Weak   Deviation = "__mode has no effect"
)

// LongString is a deviation that programs reach by chance. Comparison does not compare these.
const LongString Deviation = "strings are at most 32 MiB"

// longStringErrors are the errors of longer strings. PUC has them only above the size of memory.
var longStringErrors = []string{"string length overflow", "resulting string too large"}

// handled are the deviations that the comparison can deal with: how, if generated programs show them.
var handled = map[Deviation]string{
	"integers below 2^53 are written in full, not in 14 digits": "the engine under test is switched to PUC's way",
	"tostring of an object does not show its address": "the prelude hides addresses; the engine under " +
		"test writes as many digits as PUC",
	Border:                                 "",
	Libm:                                   "the generator avoids them; differences after the sixth digit are skipped",
	Weak:                                   "",
	"pairs follows the order of insertion": "the prelude sorts keys",
	`"function or expression too complex" names no token`:    "",
	"debug shows no source and no stack of a dead coroutine": "",
	LongString: "the comparison skips programs that build a longer string",
	"a stack has at most 262144 slots and 10000 functions": "",
	`math.random, os.clock, collectgarbage "count"`:        "",
}

// The list's limits in the document. A line of it is the deviation, at least two spaces, and the reason.
const (
	listBegin = "<!-- deviations -->\n"
	listEnd   = "<!-- /deviations -->"
)

// ReadDeviations reads the list of deviations from a document. A line that the package cannot handle is an
// error: the comparison and the document agree.
func ReadDeviations(path string) (Deviations, error) {
	text, err := os.ReadFile(path) //nolint:gosec // a document of the source tree
	if err != nil {
		return nil, err
	}
	d, err := parseDeviations(string(text))
	if err != nil {
		return nil, fmt.Errorf("reading deviations of %s: %w", path, err)
	}
	return d, nil
}

func parseDeviations(document string) (Deviations, error) {
	_, rest, ok := strings.Cut(document, listBegin)
	list, _, ended := strings.Cut(rest, listEnd)
	if !ok || !ended {
		return nil, errors.New("no list between " + strings.TrimSpace(listBegin) + " and " + listEnd)
	}
	d := Deviations{}
	for line := range strings.Lines(list) {
		name, reason, _ := strings.Cut(strings.TrimSpace(line), "  ")
		if name == "" {
			continue
		}
		if _, ok := handled[Deviation(name)]; !ok {
			return nil, fmt.Errorf("unknown deviation %q; handle it in internal/luafuzz/deviation.go", name)
		}
		if strings.TrimSpace(reason) == "" {
			return nil, fmt.Errorf("deviation %q has no reason", name)
		}
		d[Deviation(name)] = true
	}
	return d, nil
}
