package prose_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// pkg is the text of one package or document.
type pkg struct {
	passages  []passage
	longLines []string // reports, ready to print
}

// passage is one comment, string or document. Code in it is replaced by underscores.
type passage struct {
	file        string // path below the root of the module
	text        string
	lines       []lineStart
	testMessage bool // a string of a test
}

// lineStart is a byte of a passage's text at which a line of the file starts.
type lineStart struct{ offset, line int }

// line returns the line in the file of a byte of the text.
func (s passage) line(offset int) int {
	n := 0
	for _, l := range s.lines {
		if l.offset <= offset {
			n = l.line
		}
	}
	return n
}

// add appends text that starts on the given line of the file.
func (s *passage) add(line int, text string) {
	for part := range strings.SplitAfterSeq(text, "\n") {
		s.lines = append(s.lines, lineStart{offset: len(s.text), line: line})
		s.text += part
		line++
	}
}

var (
	// threeWords matches in prose, and not in most code.
	threeWords = regexp.MustCompile(`[A-Za-z'’-]+[,;:.]?\s+[A-Za-z'’-]+[,;:.]?\s+[A-Za-z'’-]+`)
	// code matches inline code, single words in quotes, selectors, and targets of links.
	code = regexp.MustCompile("`[^`]*`" + `|"\w+"|'\w+'|\]\([^)]*\)|\[[\w.]+\]|\b\w+\.[A-Z]\w*|https?://\S+`)
	// generated marks the source of a generator.
	generated = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)
)

// close appends s to the passages of p, with code and exempt words replaced.
func (p *pkg) close(s passage) {
	hide := func(text string) string { return strings.Repeat("_", len(text)) }
	s.text = code.ReplaceAllStringFunc(s.text, hide)
	for _, e := range exempt {
		s.text = strings.ReplaceAll(s.text, e.text, hide(e.text))
	}
	p.passages = append(p.passages, s)
}

// readModule returns the text of every package and document of the module, by name.
func readModule(t *testing.T, root string) map[string]*pkg {
	t.Helper()
	packages := map[string]*pkg{}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if hidden := strings.HasPrefix(d.Name(), "."); d.Name() == "testdata" || hidden && file != root {
				return filepath.SkipDir
			}
			return nil
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		var read func(p *pkg, rel, source string) error
		name := filepath.ToSlash(rel)
		switch path.Ext(name) {
		case ".go":
			read = readGo
			name = path.Dir(name)
		case ".md":
			read = readMarkdown
			if path.Dir(name) == "doc/adr" {
				name = "doc/adr"
			}
		default:
			return nil
		}
		source, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if packages[name] == nil {
			packages[name] = &pkg{}
		}
		return read(packages[name], rel, string(source))
	})
	if err != nil {
		t.Fatal(err)
	}
	return packages
}

// readGo adds the comments, strings and long lines of a Go file, unless it is generated.
func readGo(p *pkg, file, source string) error {
	if generated.MatchString(source) {
		return nil
	}
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, file, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	for _, group := range tree.Comments {
		readComment(p, fset, group)
	}
	literals := literalReader{pkg: p, fset: fset, raw: map[int]bool{}}
	ast.Inspect(tree, literals.visit)
	for i, line := range strings.Split(source, "\n") {
		n := utf8.RuneCountInString(line) + (tabColumns-1)*strings.Count(line, "\t")
		// A line of a raw string and an address cannot be broken.
		if n > maxColumns && !literals.raw[i+1] && !strings.Contains(line, "://") {
			p.longLines = append(p.longLines, fmt.Sprintf("%s:%d: %d columns, at most %d", file, i+1, n, maxColumns))
		}
	}
	return nil
}

// readComment adds a comment group, without directives and indented code.
func readComment(p *pkg, fset *token.FileSet, group *ast.CommentGroup) {
	s := passage{file: fset.Position(group.Pos()).Filename}
	for _, c := range group.List {
		text, isLine := strings.CutPrefix(c.Text, "//")
		switch {
		case !isLine:
			text = strings.TrimSuffix(strings.TrimPrefix(text, "/*"), "*/")
		case strings.HasPrefix(text, "go:"), strings.HasPrefix(text, "\t"), strings.HasPrefix(text, "    "):
			text = ""
		}
		s.add(fset.Position(c.Pos()).Line, text+"\n")
	}
	p.close(s)
}

// literalReader adds the strings of a Go file that have three words in a row.
type literalReader struct {
	pkg  *pkg
	fset *token.FileSet
	raw  map[int]bool // lines of raw strings over several lines
}

// visit reads the strings of a node, except import paths and tags.
func (r literalReader) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.ImportSpec:
		return false
	case *ast.Field:
		// The tag is not prose.
		for _, name := range n.Names {
			ast.Inspect(name, r.visit)
		}
		ast.Inspect(n.Type, r.visit)
		return false
	case *ast.BasicLit:
		r.read(n)
	case *ast.BinaryExpr:
		if n.Op == token.ADD {
			r.read(n)
			return false
		}
	}
	return true
}

// read adds one string, or the strings of a concatenation as one text.
func (r literalReader) read(expr ast.Expr) {
	start := r.fset.Position(expr.Pos())
	s := passage{file: start.Filename, testMessage: strings.HasSuffix(start.Filename, "_test.go")}
	r.join(&s, expr)
	if threeWords.MatchString(s.text) {
		r.pkg.close(s)
	}
}

// join appends the strings of a concatenation to s, and an underscore for each other operand.
func (r literalReader) join(s *passage, expr ast.Expr) {
	switch expr := expr.(type) {
	case *ast.BasicLit:
		r.literal(s, expr)
	case *ast.BinaryExpr:
		if expr.Op == token.ADD {
			r.join(s, expr.X)
			r.join(s, expr.Y)
			return
		}
		s.text += "_"
		ast.Inspect(expr, r.visit)
	default:
		s.text += "_"
		ast.Inspect(expr, r.visit)
	}
}

// literal appends the value of a string literal to s.
func (r literalReader) literal(s *passage, lit *ast.BasicLit) {
	if lit.Kind != token.STRING {
		return
	}
	text, err := strconv.Unquote(lit.Value)
	if err != nil {
		return
	}
	line := r.fset.Position(lit.Pos()).Line
	if !strings.HasPrefix(lit.Value, "`") {
		// An escaped line break is not one of the file.
		s.lines = append(s.lines, lineStart{offset: len(s.text), line: line})
		s.text += text
		return
	}
	breaks := strings.Count(text, "\n")
	for i := line; breaks > 0 && i <= line+breaks; i++ {
		r.raw[i] = true
	}
	if breaks > 0 && s.testMessage {
		return // A program, policy or document that a test uses.
	}
	s.add(line, text)
}

// readMarkdown adds a document without blocks of code; of a change log only the newest section.
func readMarkdown(p *pkg, file, source string) error {
	s := passage{file: file}
	fenced := false
	sections := 0
	for i, line := range strings.Split(source, "\n") {
		if strings.HasPrefix(line, "## ") {
			sections++
		}
		if path.Base(file) == "CHANGELOG.md" && sections > 1 {
			break
		}
		if fence := strings.HasPrefix(strings.TrimSpace(line), "```"); fence || fenced {
			fenced = fenced != fence
			line = ""
		}
		s.add(i+1, line+"\n")
	}
	p.close(s)
	return nil
}
