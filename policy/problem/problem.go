// Package problem reports errors of a file with their positions and a hint how to fix them.
package problem

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// Problem is one error or warning about a file.
type Problem struct {
	File         string // name of the file, as the caller passed it
	Line, Column int    // from 1; columns count characters
	Message      string
	Hint         string // how to fix it; may be empty
}

// String returns the problem as "file:line:column: message. hint".
func (p Problem) String() string {
	s := fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Message)
	if p.Hint != "" {
		s += ". " + p.Hint
	}
	return s
}

// List holds the problems of a file. As an error it has at least one.
type List []Problem

// Error returns one line for each problem.
func (ps List) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Add appends a problem at a position. The hint may be empty.
func (ps *List) Add(at hcl.Range, hint, format string, args ...any) {
	*ps = append(*ps, Problem{
		File:    at.Filename,
		Line:    at.Start.Line,
		Column:  at.Start.Column,
		Message: OneLine(fmt.Sprintf(format, args...)),
		Hint:    OneLine(hint),
	})
}

// AddDiagnostics appends the diagnostics of the HCL parser or of an expression.
func (ps *List) AddDiagnostics(file string, diags hcl.Diagnostics) {
	for _, d := range diags {
		at := hcl.Range{Filename: file, Start: hcl.InitialPos}
		if d.Subject != nil {
			at = *d.Subject
		}
		ps.Add(at, strings.TrimSuffix(strings.TrimSpace(d.Detail), "."), "%s", d.Summary)
	}
}

// Sorted returns the problems by line and column, without duplicates. It sorts ps in place.
func (ps List) Sorted() List {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return slices.Compact(ps)
}

// OneLine replaces control characters and line breaks by spaces. Names come from anywhere in the file, and texts of
// the parser have paragraphs.
func OneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0x2028 || r == 0x2029 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

// Near returns a hint that names the candidate nearest to s, or "" if none is near.
func Near(s string, candidates []string) string {
	best, least := "", min(2, len(s)/2)+1
	for _, c := range candidates {
		if d := distance(s, c); d < least {
			best, least = c, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", best)
}

// OneOf returns [Near], or without a near candidate a hint that lists all of them.
func OneOf(s string, candidates []string) string {
	if hint := Near(s, candidates); hint != "" || len(candidates) == 0 {
		return hint
	}
	return "valid: " + strings.Join(candidates, ", ")
}

// distance counts the bytes to insert, delete, replace or swap with their neighbor to turn a into b. It returns a
// large number for texts over 64 bytes.
func distance(a, b string) int {
	const long = 64
	if len(a) > long || len(b) > long {
		return long
	}
	var before, last, row [long + 1]int
	for j := range len(b) + 1 {
		last[j] = j //nolint:gosec // neither is longer than long
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1) //nolint:gosec // as above
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
