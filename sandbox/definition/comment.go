package definition

import (
	"cmp"
	"slices"
	"strings"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/lua"
	"github.com/hearthhost/hearth/sandbox/values"
	"github.com/hearthhost/hearth/signature"
)

// Signatures reads the signatures of functions in the comments above them. It is not safe for concurrent use.
type Signatures struct {
	source    func(file string) []byte
	types     *signature.Types
	lines     map[string][]string // lines by file
	functions map[*lua.Proto]*signature.Function
	warnings  []signature.Warning
}

// NewSignatures returns a reader of signatures. source returns the source of a file, or nil. files are the files whose
// named types are used.
func NewSignatures(source func(file string) []byte, files []string) *Signatures {
	r := &Signatures{source: source, functions: map[*lua.Proto]*signature.Function{}}
	var texts []signature.Source
	for _, file := range files {
		text := strings.ToValidUTF8(string(source(file)), "\uFFFD")
		texts = append(texts, signature.Source{File: file, Text: text})
	}
	r.types, r.warnings = signature.ParseTypes(texts...)
	return r
}

// Types returns the named types.
func (r *Signatures) Types() *signature.Types { return r.types }

// Warnings returns the warnings about the types and about the functions that were read, at most maxWarnings, by place.
func (r *Signatures) Warnings() []string {
	slices.SortStableFunc(r.warnings, func(a, b signature.Warning) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	var out []string
	for _, w := range r.warnings[:min(len(r.warnings), maxWarnings)] {
		out = append(out, values.Clip(w.String(), maxWarningBytes))
	}
	return slices.Compact(out)
}

const (
	maxWarnings     = 100
	maxWarningBytes = 500
)

// Release frees the memory that is needed only while many signatures are read.
func (r *Signatures) Release() { r.lines, r.warnings = nil, nil }

// Of returns the signature of a Lua function without its first parameter, the instance. A function that the script has
// compiled has no comment.
func (r *Signatures) Of(fn *lua.Function) *signature.Function {
	p := fn.Proto()
	if f := r.functions[p]; f != nil {
		return f
	}
	params := p.ParamNames()
	c := signature.Comment{File: p.Chunk, Params: params[min(1, len(params)):], Variadic: p.Vararg}
	if p.Private() {
		f, _ := signature.Parse(c, nil)
		return f
	}
	c.Text, c.Line = commentAbove(r.linesOf(p.Chunk), p.Line-1)
	f, warnings := signature.Parse(c, r.types)
	if len(r.warnings) < maxWarnings {
		r.warnings = append(r.warnings, warnings...)
	}
	r.functions[p] = f
	return f
}

// describe adds the documentation and the signature of a function to the member that it implements.
func (r *Signatures) describe(m *object.Member, fn *lua.Function) {
	if fn.Proto() == nil {
		return
	}
	f := r.Of(fn)
	m.Doc = cmp.Or(m.Doc, f.Doc)
	switch {
	case m.Method:
		m.Function, m.Signature = f, values.Clip(f.String(), maxDocBytes)
		return
	case m.Value != nil:
		return
	case len(f.Returns) > 0:
		m.Value = f.Returns[0].Type
	case len(f.Params) > 0 && f.Annotated:
		m.Value = f.Params[0].Type
		if f.Params[0].Optional {
			m.Value = m.Value.OrNil()
		}
	default:
		return
	}
	m.Signature = values.Clip(m.Value.String(), maxDocBytes)
}

// commentAbove returns the comment at the end of the first end lines, and the number of its first line. The comment is
// lines that begin with two dashes, or one long comment. It reads at most the last maxDocLines.
func commentAbove(lines []string, end int) (text string, line int) {
	if end <= 0 || end > len(lines) {
		return "", 0
	}
	first := max(0, end-maxDocLines)
	if strings.HasSuffix(strings.TrimSpace(lines[end-1]), "]]") {
		for i := end - 1; i >= first; i-- {
			if text, ok := strings.CutPrefix(strings.TrimSpace(lines[i]), "--[["); ok {
				text = strings.Join(append([]string{text}, lines[i+1:end]...), "\n")
				return cleanDoc(strings.Split(strings.TrimSuffix(strings.TrimRight(text, " \t\r\n"), "]]"), "\n"), i+1)
			}
		}
		return "", 0
	}
	begin := end
	for begin > first && strings.HasPrefix(strings.TrimSpace(lines[begin-1]), "--") {
		begin--
	}
	doc := make([]string, 0, end-begin)
	for _, line := range lines[begin:end] {
		line = strings.TrimLeft(strings.TrimSpace(line), "-")
		doc = append(doc, strings.TrimPrefix(line, " "))
	}
	return cleanDoc(doc, begin+1)
}

// cleanDoc joins the lines of a comment, and returns the number of the first one that is not empty. line is that of the
// first one.
func cleanDoc(lines []string, line int) (string, int) {
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " \t\r")
	}
	for len(lines) > 0 && strings.TrimSpace(lines[0]) == "" {
		lines, line = lines[1:], line+1
	}
	text := strings.Trim(strings.Join(lines, "\n"), "\n \t")
	return values.Clip(strings.ToValidUTF8(text, "\uFFFD"), maxDocBytes), line
}

// linesOf returns the lines of a file of the program.
func (r *Signatures) linesOf(file string) []string {
	if lines, ok := r.lines[file]; ok {
		return lines
	}
	if r.lines == nil {
		r.lines = map[string][]string{}
	}
	r.lines[file] = strings.Split(string(r.source(file)), "\n")
	return r.lines[file]
}
