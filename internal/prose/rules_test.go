package prose_test

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A line of Go source has at most maxColumns columns; a tab counts as tabColumns.
const (
	maxColumns = 120
	tabColumns = 4
)

// word is a word of a text. Code is replaced by underscores before words are counted.
var word = regexp.MustCompile(`[A-Za-z][A-Za-z'’-]*`)

// rule is a pattern with a budget: the matches allowed per 1,000 words of a package.
type rule struct {
	name    string
	pattern *regexp.Regexp
	budget  float64
	// skip excludes a match at text[match[0]:match[1]]; nil excludes none.
	skip func(s passage, match []int) bool
}

// rules are the countable rules of the style guide; their numbers are those of the guide.
var rules = []rule{
	{
		name: "rule 1 (name the thing)",
		pattern: regexp.MustCompile(`(?i)\b(?:what|whatever|what's)\b|` +
			`(?:^|\n\n|[.,;:(!?|]\s*|[-*]\s+|\b(?:of|for|by|to|and|or|but|with)\s+)who\b`),
		budget: 0.6,
		skip:   question,
	},
	{
		name: "rule 2 (programs return, report, log, send, reject, require)",
		pattern: phrase(`
			say|says|said|saying
			tell|tells|told|telling
			ask|asks|asked|asking
			know|knows|knew
			want|wants|wanted
			believe|believes`),
		budget: 0.3,
		skip:   wantOfTest,
	},
	{
		name: "rule 3 (client, caller, peer, tenant, operator, process)",
		pattern: phrase(`
			somebody|nobody|anybody|everybody
			someone|no one|anyone|everyone
			he|him|his|himself`),
		budget: 0.1,
	},
	{
		name: "rule 8 (banned phrase)",
		pattern: phrase(`
			(?:stand|stands|stood|standing|lie|lies|lay|lain|lying) (?:in|there)
			(?:go|goes|going|went|gone) on
			(?:is|are|was|were|be) none
			so many|so much
			ever more|ever new|for ever
			or else|but for
			in the place of
			(?:come|comes|came|coming) (?:to|of)
			of (?:its|their) own
			anew
			mend|mends|mended|mending
			by itself|by themselves
			whoever
			\w*manieth`),
	},
}

// phrase returns a pattern for whole words in any case. Each line of alternatives is one more alternative; a space
// matches any white space.
func phrase(alternatives string) *regexp.Regexp {
	var lines []string
	for line := range strings.Lines(strings.TrimSpace(alternatives)) {
		lines = append(lines, strings.ReplaceAll(strings.TrimSpace(line), " ", `\s+`))
	}
	return regexp.MustCompile(`(?i)\b(?:` + strings.Join(lines, "|") + `)\b`)
}

// find returns the positions of the rule's matches in s.
func (r rule) find(s passage) [][]int {
	found := r.pattern.FindAllStringIndex(s.text, -1)
	if r.skip == nil {
		return found
	}
	return slices.DeleteFunc(found, func(match []int) bool { return r.skip(s, match) })
}

// question reports whether the match is in `what if` or in a sentence that ends in a question mark.
func question(s passage, match []int) bool {
	rest := s.text[match[1]:]
	if strings.HasPrefix(rest, " if ") {
		return true
	}
	end := regexp.MustCompile(`[.?!](?:\s|$)|\n\n`).FindString(rest)
	return strings.HasPrefix(end, "?")
}

// wantOfTest reports whether the match belongs to a test's failure message such as `got 1, want 2`.
func wantOfTest(s passage, match []int) bool {
	return s.testMessage && strings.EqualFold(s.text[match[0]:match[1]], "want")
}

// around returns the match with some words before and after it, on one line.
func around(text string, match []int) string {
	start := max(0, match[0]-40)
	end := min(len(text), match[1]+40)
	if i := strings.IndexByte(text[start:match[0]], ' '); start > 0 && i >= 0 {
		start += i
	}
	if i := strings.LastIndexByte(text[match[1]:end], ' '); end < len(text) && i >= 0 {
		end = match[1] + i
	}
	return strings.Join(strings.Fields(text[start:match[0]]+"«"+text[match[0]:match[1]]+"»"+text[match[1]:end]), " ")
}

// ruleCases has a line for each case: the index in rules, or -1 if no rule matches, and a text.
const ruleCases = `
0 It returns what the file holds.
0 The name is sent to who calls.
0 Who connects is logged.
0 The answer to "what if" questions: what a rule does.
-1 The operator who starts it is logged.
-1 An example. What happens when the disk is full? It stops.
-1 The field "what" names the function.
1 the policy says so
-1 an unknown name
2 a call that nobody\nwaits for
-1 the header is sent again
3 how it goes\non after that
3 It lies in the folder.
-1 It has a line of its owner.
`

func TestRules(t *testing.T) {
	t.Parallel()
	for line := range strings.Lines(strings.TrimSpace(ruleCases)) {
		want, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		p := &pkg{}
		p.close(passage{text: strings.ReplaceAll(text, `\n`, "\n")})
		got := -1
		for i, r := range rules {
			if len(r.find(p.passages[0])) > 0 {
				got = i
			}
		}
		if strconv.Itoa(got) != want {
			t.Errorf("%q: matched rule %d, want %s", text, got, want)
		}
	}
}
