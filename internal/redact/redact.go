// Package redact takes secrets out of texts that others will read.
package redact

import (
	"slices"
	"strconv"
	"strings"
)

// MinBytes is the length of the shortest value that can be found in a text without
// finding it in every other word too.
const MinBytes = 6

// Set is an immutable set of secrets. nil is an empty one. Safe for concurrent use.
type Set struct{ patterns []pattern }

// pattern is a text to look for and what stands there afterwards.
type pattern struct{ text, mark string }

// Core is the part of a value that counts: scripts cut the line's end off, and the value
// must be found all the same.
func Core(value string) string { return strings.TrimSpace(value) }

// With returns a set that holds a secret as well. What is found is the value, the value
// as messages quote it, and, where it has several lines, each line: all of MinBytes at
// least. A value that was encoded, cut or turned around by a script is not found.
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
	// Longer ones first: their mark is the one that shows where two begin together.
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

// Empty reports whether there is nothing to look for.
func (s *Set) Empty() bool { return s == nil || len(s.patterns) == 0 }

// maxGrowth is how many bytes longer than itself a text becomes at most: marks may be longer than what they stand for.
const maxGrowth = 64 << 10

// Text returns a text with a mark in the place of each secret. Where secrets overlap,
// one mark stands for all. Of a text that becomes much longer the rest is cut off.
func (s *Set) Text(text string) string { return s.Cut(text, len(text)) }

// Cut returns the first most bytes of a text with a mark in the place of each secret, one that begins there and ends
// behind them included. It takes time in proportion to them and to the number of secrets, however long the text is.
func (s *Set) Cut(text string, most int) string {
	most = min(most, len(text))
	if s.Empty() || len(text) < MinBytes {
		return text[:most]
	}
	rest := text[:min(len(text), most+len(s.patterns[0].text))] // the longest one
	return s.replace(rest, most)
}

// replace is Cut for a text in which all secrets that begin in its first most bytes are whole.
func (s *Set) replace(text string, most int) string {
	next := make([]int, len(s.patterns)) // where each is found next; most: nowhere
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
		at := slices.Index(next, slices.Min(next)) // the longest of those that begin together
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

// index returns where the pattern begins in a text, from a position on and before most; most if it does not.
func (p *pattern) index(text string, from, most int) int {
	if i := strings.Index(text[from:], p.text); i >= 0 {
		return min(from+i, most)
	}
	return most
}
