package policy_test

import (
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/policy"
)

// inPart are the problems that a recipe may have, since it is a part of a file.
var inPart = regexp.MustCompile(`there is no (principal|tenant|group) |the system has no such account|needs |no listener takes certificates`)

// TestCookbook reads each recipe of doc/policy.md: but for what other parts of a file
// declare, it loads.
func TestCookbook(t *testing.T) {
	doc, err := os.ReadFile("../doc/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	_, cookbook, found := strings.Cut(string(doc), "\n## Cookbook\n")
	if !found {
		t.Fatal("doc/policy.md has no cookbook")
	}
	recipes := 0
	for _, part := range regexp.MustCompile(`(?m)^    .*\n(?:(?:    .*)?\n)*`).FindAllString(cookbook, -1) {
		if !strings.Contains(part, "{") {
			continue // a command
		}
		recipes++
		_, err := policy.Parse("recipe", []byte(part), "/base", hostUID, accounts)
		var problems policy.Problems
		if err != nil && !errors.As(err, &problems) {
			t.Fatal(err)
		}
		for _, p := range problems {
			if !inPart.MatchString(p.String()) {
				t.Errorf("%s\n%s", p, part)
			}
		}
	}
	if recipes < 7 {
		t.Errorf("%d recipes", recipes)
	}
}
