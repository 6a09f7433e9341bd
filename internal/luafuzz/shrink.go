package luafuzz

import (
	"slices"
	"strings"
)

// maxShrinkTries bounds the programs that one Shrink runs.
const maxShrinkTries = 6000

// Shrink returns the smallest program it finds for which differs still returns true, by cutting
// statements and expressions out of source. A source that differs only as it is comes back unchanged.
func Shrink(source string, differs func(source string) bool) string {
	tree, err := parse(source)
	if err != nil {
		return shrinkLines(source, differs)
	}
	for _, layout := range []func(string) string{func(s string) string { return s }, tokenALine} {
		if !differs(layout(tree.source())) {
			continue
		}
		s := &shrinker{root: tree, differs: func(s string) bool { return differs(layout(s)) }, seen: map[string]bool{}}
		for s.reduce(s.root) && s.tries < maxShrinkTries {
		}
		return layout(s.root.source())
	}
	return shrinkLines(source, differs)
}

// tokenALine returns source with each token on a line: for differences in the lines of messages.
func tokenALine(source string) string {
	return layOut(source, func() bool { return true })
}

type shrinker struct {
	root    *node
	differs func(source string) bool
	seen    map[string]bool // sources that were tried
	tries   int
}

// try gives n other kids and keeps them if the program still differs.
func (s *shrinker) try(n *node, kids []*node) bool {
	before := n.kids
	n.kids = kids
	source := s.root.source()
	if !s.seen[source] && s.tries < maxShrinkTries {
		s.seen[source] = true
		s.tries++
		if s.differs(source) {
			return true
		}
	}
	n.kids = before
	return false
}

// reduce cuts in n and below, from the top, and reports whether it cut.
func (s *shrinker) reduce(n *node) bool {
	changed := false
	switch n.kind {
	case kindBlock:
		changed = s.cutRuns(n) || changed
		changed = s.unwrapStatements(n) || changed
	case kindNames, kindExprs, kindTable:
		changed = s.cutRuns(n) || changed
	case kindIf:
		changed = s.cutBranches(n) || changed
	}
	for i := range n.kids {
		changed = s.simplify(n, i) || changed
	}
	for i := 0; i < len(n.kids); i++ {
		changed = s.reduce(n.kids[i]) || changed
	}
	return changed
}

// cutRuns removes runs of kids, long ones first.
func (s *shrinker) cutRuns(n *node) bool {
	changed := false
	for size := len(n.kids); size > 0; size /= 2 {
		// From the end: an early declaration is used later.
		for at := len(n.kids) - size; at >= 0; at -= size {
			if s.try(n, slices.Delete(slices.Clone(n.kids), at, at+size)) {
				changed = true
			}
		}
	}
	return changed
}

// unwrapStatements replaces a statement of a block by the statements of a block inside it.
func (s *shrinker) unwrapStatements(n *node) bool {
	changed := false
	for i := 0; i < len(n.kids); i++ {
		for _, inner := range blocksInside(n.kids[i], nil) {
			kids := slices.Concat(n.kids[:i], inner.kids, n.kids[i+1:])
			if s.try(n, kids) {
				changed = true
				break
			}
		}
	}
	return changed
}

func blocksInside(n *node, found []*node) []*node {
	for _, kid := range n.kids {
		if kid.kind == kindBlock {
			found = append(found, kid)
		} else {
			found = blocksInside(kid, found)
		}
	}
	return found
}

func (s *shrinker) cutBranches(n *node) bool {
	changed := false
	for i := 0; i+2 <= len(n.kids) && len(n.kids) > 2; {
		if s.try(n, slices.Delete(slices.Clone(n.kids), i, i+2)) {
			changed = true
		} else {
			i += 2
		}
	}
	if len(n.kids)%2 == 1 && s.try(n, n.kids[:len(n.kids)-1]) {
		changed = true
	}
	return changed
}

// simplify replaces kid i, an expression, by a smaller one: a literal or a part of it.
func (s *shrinker) simplify(n *node, i int) bool {
	if i == 1 && (n.kind == kindLocalFunction || n.kind == kindFunctionStat) {
		return false // the body belongs to the statement
	}
	changed := false
	for again := true; again; {
		again = false
		e := n.kids[i]
		if !e.isExpression() {
			return changed
		}
		for _, smaller := range smallerExpressions(e) {
			kids := slices.Clone(n.kids)
			kids[i] = smaller
			if s.try(n, kids) {
				changed, again = true, true
				break
			}
		}
	}
	return changed
}

var literals = []*node{
	{kind: kindLiteral, text: "nil"}, {kind: kindLiteral, text: "0"},
	{kind: kindLiteral, text: "true"}, {kind: kindLiteral, text: `""`},
}

// smallerExpressions lists replacements for e that are smaller than e in a fixed order, so that shrinking ends.
func smallerExpressions(e *node) []*node {
	var list []*node
	for i, literal := range literals {
		if e.kind == kindLiteral && literalRank(e.text) <= i {
			break
		}
		list = append(list, literal)
	}
	return append(list, expressionsInside(e, nil)...)
}

// literalRank returns a literal's place in literals, or their number.
func literalRank(text string) int {
	if text == "..." {
		return 0
	}
	i := slices.IndexFunc(literals, func(l *node) bool { return l.text == text })
	if i < 0 {
		return len(literals)
	}
	return i
}

// expressionsInside returns the outermost expressions inside n.
func expressionsInside(n *node, found []*node) []*node {
	for _, kid := range n.kids {
		switch {
		case kid.kind == kindBlock:
		case kid.isExpression():
			found = append(found, kid)
		default:
			found = expressionsInside(kid, found)
		}
	}
	return found
}

// shrinkLines cuts runs of lines: for a program that the parser does not read.
func shrinkLines(source string, differs func(source string) bool) string {
	lines := splitLines(source)
	for size := len(lines) / 2; size > 0; size /= 2 {
		for at := len(lines) - size; at >= 0; at -= size {
			fewer := slices.Delete(slices.Clone(lines), at, at+size)
			if differs(joinLines(fewer)) {
				lines = fewer
				at = min(at, len(lines))
			}
		}
	}
	return joinLines(lines)
}

func splitLines(source string) []string { return strings.Split(strings.TrimSuffix(source, "\n"), "\n") }

func joinLines(lines []string) string { return strings.Join(lines, "\n") + "\n" }
