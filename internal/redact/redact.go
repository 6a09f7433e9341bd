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

// found is a place where a secret stands.
type found struct {
	from, to int
	mark     string
}

// Text returns a text with a mark in the place of each secret. Where secrets overlap,
// one mark stands for all.
func (s *Set) Text(text string) string {
	if s.Empty() || len(text) < MinBytes {
		return text
	}
	var all []found
	for _, p := range s.patterns {
		for at := 0; ; {
			i := strings.Index(text[at:], p.text)
			if i < 0 {
				break
			}
			all = append(all, found{at + i, at + i + len(p.text), p.mark})
			at += i + len(p.text)
		}
	}
	if len(all) == 0 {
		return text
	}
	slices.SortStableFunc(all, func(a, b found) int { return a.from - b.from })
	var b strings.Builder
	end := 0
	for _, f := range all {
		if f.from >= end {
			b.WriteString(text[end:f.from])
			b.WriteString(f.mark)
		}
		end = max(end, f.to)
	}
	b.WriteString(text[end:])
	return b.String()
}
