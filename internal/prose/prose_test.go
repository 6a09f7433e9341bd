package prose_test

import (
	"flag"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The flag -all prints every finding. To list the findings of one package and of the packages below it:
//
//	go test ./internal/prose -run TestProse/codec -all
//
// Documents are packages too: README.md, CHANGELOG.md (newest section), doc/policy.md, doc/adr.
var all = flag.Bool("all", false, "print every finding")

// exempt lists words that are data and not prose: texts of Pyro and Lua that clients and scripts receive byte for byte,
// and names of attributes in policies.
// The exact text is not counted wherever it occurs.
var exempt = []struct{ text, reason string }{
	{"i.what", "a field of debug.getinfo in Lua source"},
	{"want: %q is not a decision", "want is an attribute of test blocks"},
}

// maxFindings bounds the output for one package without -all.
const maxFindings = 12

func TestProse(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	packages := readModule(t, root)
	for _, name := range slices.Sorted(maps.Keys(packages)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reports := check(packages[name])
			if len(reports) > maxFindings && !*all {
				more := len(reports) - maxFindings
				reports = append(reports[:maxFindings], fmt.Sprintf("and %d more: list them with -all", more))
			}
			for _, report := range reports {
				t.Error(report)
			}
		})
	}
}

// check returns the findings of every rule whose budget p exceeds.
func check(p *pkg) []string {
	words := 0
	found := map[string][]string{}
	for _, s := range p.passages {
		words += len(word.FindAllString(s.text, -1))
		for _, r := range rules {
			for _, match := range r.find(s) {
				label, _, _ := strings.Cut(r.name, " (")
				report := fmt.Sprintf("%s:%d: %s: %s", s.file, s.line(match[0]), label, around(s.text, match))
				found[r.name] = append(found[r.name], report)
			}
		}
	}
	reports := slices.Clone(p.longLines)
	for _, r := range rules {
		budget := int(r.budget * float64(words) / 1000)
		if n := len(found[r.name]); n > budget {
			reports = append(reports, fmt.Sprintf("%s: %d found, at most %d in %d words", r.name, n, budget, words))
			reports = append(reports, found[r.name]...)
		}
	}
	return reports
}
