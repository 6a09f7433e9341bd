package policyfile_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/policy/policyfile"
)

// TestExamplesHoldTogether checks that no tenant block in the documentation, and no shipped policy, causes a warning.
func TestExamplesHoldTogether(t *testing.T) {
	block := regexp.MustCompile(`(?ms)^(?:    )?tenant "[a-z-]+" \{\n.*?^(?:    )?\}$`)
	docs, err := filepath.Glob("../../doc/*.md")
	if err != nil {
		t.Fatal(err)
	}
	limits := 0
	for _, file := range append(docs, "../../README.md", "../../policy.hcl", "../../packaging/policy.hcl") {
		text, err := os.ReadFile(file)
		if os.IsNotExist(err) && strings.HasSuffix(file, ".hcl") {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for i, example := range block.FindAllString(string(text), -1) {
			limits += strings.Count(example, "limits {")
			for _, left := range []string{`(?m)^ *user += .*$`, `(?ms)^ *secret ".*?^ *\}$`, `(?m)^ *sha256 += .*$`} {
				if strings.Contains(left, "secret") && strings.Contains(example, "${secret.") {
					continue // an egress block uses it
				}
				example = regexp.MustCompile(left).ReplaceAllString(example, "")
			}
			example = regexp.MustCompile(`(plugin "[a-z]+" \{)`).ReplaceAllString(example, "$1\nunpinned = true")
			p, err := policyfile.Parse("policy.hcl", []byte(aListener+example), "/base", hostUID, accounts)
			if err != nil {
				t.Errorf("%s, tenant block %d: %v\n%s", file, i, err, example)
			} else if len(p.Warnings) > 0 {
				t.Errorf("%s, tenant block %d: %v", file, i, fmt.Sprint(p.Warnings))
			}
		}
	}
	if limits < 2 {
		t.Errorf("only %d limits blocks were found", limits)
	}
}
