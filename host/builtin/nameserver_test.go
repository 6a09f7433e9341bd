package builtin

import (
	"fmt"
	"strings"
	"testing"
)

// TestRegexProblem checks the reasons for rejected regular expressions. A feature such as look-around is named only if
// it is the cause.
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

		strings.Repeat("a", maxRegexBytes+1): `it has 1025 bytes; at most 1024 are permitted`,
	} {
		match, err := nameFilter(nil, regex, 10)
		switch {
		case want == "" && (err != nil || !match("ab")):
			t.Errorf("%q: %v, or it does not match", regex, err)
		case want != "" && (err == nil || !strings.HasSuffix(err.Error(), "invalid regex: "+want)):
			t.Errorf("%q: %v, want %s", regex, err, want)
		}
	}
	if match, err := nameFilter(nil, "b|c", 10); err != nil || match("abc") || !match("cab") {
		t.Errorf("a regular expression does not match from the beginning of the name, or %v", err)
	}
}

// TestRegexWork: the work that a regular expression makes is bounded before any of it is done, with repetitions that
// are written out and with the names that it is matched with.
func TestRegexWork(t *testing.T) {
	t.Parallel()
	var ids string // an alternative is no repetition
	for i := range 50 {
		ids += fmt.Sprintf(`acme\.counter_%d|`, i)
	}
	for _, tc := range []struct {
		regex string
		names int
		ok    bool
	}{
		{strings.Repeat("(?:.?){1000}", 84), 1, false},
		{strings.Repeat("(?:.?){1000}", 84), 10_000, false},
		{"(?:(?:.?){30}){33}", 1, false},
		{"(?:[^a]*){600}", 1, false},
		{"(?:.?){300}", 500, true},
		{"(?:.?){300}", 1000, false},
		{strings.Repeat(".?", 500), 1000, false},
		{`demo\..*`, 50_000, true},
		{`[a-z]{1,20}\.[a-z0-9]{1,40}`, 4000, true},
		{ids + "acme", 5000, true},
	} {
		if _, err := nameFilter(nil, tc.regex, tc.names); (err == nil) != tc.ok {
			t.Errorf("%.40q for %d names: %v, want it accepted: %v", tc.regex, tc.names, err, tc.ok)
		}
	}
}
