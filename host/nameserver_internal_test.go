package host

import (
	"strings"
	"testing"
)

// TestRegexProblem gives the cause of a regular expression that is refused: look-around and the like are
// named where they are the cause, and nowhere else.
func TestRegexProblem(t *testing.T) {
	t.Parallel()
	for regex, want := range map[string]string{
		"(a":              `missing closing ): "(a"`,
		"a)":              `unexpected ): "a)"`,
		"a)|(b":           `unexpected ): "a)|(b"`, // valid inside of a group
		"[a":              `missing closing ]: "[a"`,
		"*a":              `missing argument to repetition operator: "*"`,
		`a\`:              `trailing backslash at end of expression`,
		`\Z`:              `invalid escape sequence: "\\Z"`,
		"a\x1b[":          `missing closing ]: "["`,
		"a{2000}":         `invalid repeat count (at most 1000, nested ones multiplied): "{2000}"`,
		"(?=a)":           `look-ahead is not supported here: "(?="`,
		"a(?!b)":          `look-ahead is not supported here: "(?!"`,
		"(?<=a)b":         `look-behind is not supported here: "(?<=a)b"`,
		"(?<!a)b":         `look-behind is not supported here: "(?<!a)b"`,
		`(a)\1`:           `a back-reference is not supported here: "\\1"`,
		"(?P<n>a)(?P=n)":  `a back-reference is not supported here: "(?P"`,
		"(a)(?(1)b)":      `a conditional group is not supported here: "(?("`,
		"(?P<n>a)(?<m>b)": "",
		"a|b":             "",

		strings.Repeat("a", maxRegexBytes+1): `it has 1025 bytes; want at most 1024`,
	} {
		match, err := nameFilter(nil, regex)
		switch {
		case want == "" && (err != nil || !match("ab")):
			t.Errorf("%q: %v, or it does not match", regex, err)
		case want != "" && (err == nil || safeText(err) != "invalid regex: "+want):
			t.Errorf("%q: %v, want %s", regex, err, want)
		}
	}
	if match, err := nameFilter(nil, "b|c"); err != nil || match("abc") || !match("cab") {
		t.Errorf("a regular expression does not match from the beginning of the name, or %v", err)
	}
}
