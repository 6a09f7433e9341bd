// Package redact replaces secrets in texts that leave their owner: logs and errors.
package redact

import (
	"slices"
	"strconv"
	"strings"
)

// MinBytes is the length of the shortest value that is redacted. Shorter values also occur in ordinary words.
const MinBytes = 6

// Set is an immutable set of secrets. nil is the empty set. Safe for concurrent use.
type Set struct{ patterns []pattern }

// pattern is a text to find and its replacement.
type pattern struct{ text, mark string }

// Core returns a value without surrounding white space. Scripts often strip the end of the line, and the stripped
// value must be found too.
func Core(value string) string { return strings.TrimSpace(value) }

// With returns a set with one more secret. The set finds the value, its quoted form, and each line of a value with
// several lines, each if it has at least MinBytes. It does not find a value that a script has encoded, cut or reversed.
func (s *Set) With(name, value string) *Set {
	out := &Set{}
	if s != nil {
		out.patterns = slices.Clone(s.patterns)
	}
	mark := "[secret " + name + "]"
	out.add(Core(value), mark)
	for line := range strings.Lines(value) {
		out.add(Core(line), mark)
	}
	// Longer patterns first: of two that begin at the same place, the longer one is replaced.
	slices.SortStableFunc(out.patterns, func(a, b pattern) int { return len(b.text) - len(a.text) })
	return out
}

func (s *Set) add(text, mark string) {
	quoted := strconv.Quote(text)
	for _, t := range []string{text, quoted[1 : len(quoted)-1], strings.ToValidUTF8(text, "\uFFFD")} {
		if len(t) >= MinBytes && !slices.ContainsFunc(s.patterns, func(p pattern) bool { return p.text == t }) {
			s.patterns = append(s.patterns, pattern{t, mark})
		}
	}
}

// Empty reports whether the set has no secrets.
func (s *Set) Empty() bool { return s == nil || len(s.patterns) == 0 }

// maxGrowth limits the growth of a text in bytes: marks may be longer than the secrets that they replace.
const maxGrowth = 64 << 10

// Text returns a text with each secret replaced by a mark. Overlapping secrets get one mark. A text that grows by
// more than maxGrowth is cut off.
func (s *Set) Text(text string) string { return s.Cut(text, len(text)) }

// Cut returns the first most bytes of a text with each secret replaced by a mark, also a secret that only begins
// within these bytes. Its time is proportional to most and to the number of secrets, and independent of the rest.
func (s *Set) Cut(text string, most int) string {
	most = min(most, len(text))
	if s.Empty() || len(text) < MinBytes {
		return text[:most]
	}
	rest := text[:min(len(text), most+len(s.patterns[0].text))] // room for the longest secret
	return s.replace(rest, most)
}

// replace is Cut for a text that contains all of each secret that begins in its first most bytes.
func (s *Set) replace(text string, most int) string {
	next := make([]int, len(s.patterns)) // next position of each pattern; most if none
	first := most
	for i := range next {
		next[i] = s.patterns[i].index(text, 0, most)
		first = min(first, next[i])
	}
	if first == most {
		return text[:most]
	}
	var b strings.Builder
	b.Grow(most)
	for end := 0; b.Len() < most+maxGrowth; {
		at := slices.Index(next, slices.Min(next)) // the longest of the patterns at this position
		from := next[at]
		if from >= end {
			b.WriteString(text[end:from])
			end = from
		}
		if from == most {
			break
		}
		p := &s.patterns[at]
		if end == from {
			b.WriteString(p.mark)
		}
		end = max(end, from+len(p.text))
		next[at] = p.index(text, from+len(p.text), most)
	}
	return b.String()
}

// index returns the first position of the pattern from a position on, most if there is no position below most.
func (p *pattern) index(text string, from, most int) int {
	if i := strings.Index(text[from:], p.text); i >= 0 {
		return min(from+i, most)
	}
	return most
}
