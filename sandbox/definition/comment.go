package definition

import (
	"strings"

	"github.com/hearthhost/hearth/sandbox/lua"
	"github.com/hearthhost/hearth/sandbox/values"
	"github.com/hearthhost/hearth/signature"
)

// Signatures reads the comments above functions. It is not safe for concurrent use.
type Signatures struct {
	source func(file string) []byte
	lines  map[string][]string // lines by file
	docs   map[docPlace]string
	types  map[string]*signature.Types // named types by file
}

// docPlace is a line of a file.
type docPlace struct {
	file string
	line int
}

// above returns the comment directly above a function, or "". The comment is lines that begin with two dashes, or one
// long comment.
func (r *Signatures) above(fn *lua.Function) string {
	if fn == nil || fn.Proto() == nil {
		return ""
	}
	at := docPlace{fn.Proto().Chunk, fn.Proto().Line}
	doc, known := r.docs[at]
	if !known {
		if r.docs == nil {
			r.docs = map[docPlace]string{}
		}
		doc = commentAbove(r.linesOf(at.file), at.line-1)
		r.docs[at] = doc
	}
	return doc
}

// NewSignatures returns a reader of comments. source returns the source of a file, or nil.
func NewSignatures(source func(file string) []byte) *Signatures { return &Signatures{source: source} }

// Of returns the signature of a Lua function without its first parameter, the instance, and the named types of its file.
// The lines of the warnings are those of the file.
func (r *Signatures) Of(fn *lua.Function) (*signature.Function, *signature.Types, []signature.Warning) {
	p := fn.Proto()
	comment, types := r.above(fn), r.typesOf(p.Chunk)
	params := p.ParamNames()
	f, warnings := signature.Parse(comment, params[min(1, len(params)):], p.Vararg, types)
	for i := range warnings {
		warnings[i].Line += p.Line - 1 - strings.Count(comment, "\n") - 1
	}
	return f, types, warnings
}

// text returns the comment above a function without its annotations, and the signature: of an attribute's getter or
// setter the type alone.
func (r *Signatures) text(fn *lua.Function, method bool) (doc, text string) {
	if fn.Proto() == nil {
		return "", ""
	}
	f, _, _ := r.Of(fn)
	switch {
	case method:
		text = f.String()
	case len(f.Returns) > 0:
		text = f.Returns[0].Type.String()
	case len(f.Params) > 0 && f.Annotated:
		text = f.Params[0].Type.String()
	}
	return f.Doc, values.Clip(text, maxDocBytes)
}

// typesOf returns the named types of a file of the program.
func (r *Signatures) typesOf(file string) *signature.Types {
	types, ok := r.types[file]
	if !ok {
		if r.types == nil {
			r.types = map[string]*signature.Types{}
		}
		types, _ = signature.ParseTypes(strings.ToValidUTF8(string(r.source(file)), "\uFFFD"))
		r.types[file] = types
	}
	return types
}

// commentAbove returns the comment at the end of the first end lines. It reads at most the last maxDocLines.
func commentAbove(lines []string, end int) string {
	if end <= 0 || end > len(lines) {
		return ""
	}
	first := max(0, end-maxDocLines)
	if strings.HasSuffix(strings.TrimSpace(lines[end-1]), "]]") {
		for i := end - 1; i >= first; i-- {
			if text, ok := strings.CutPrefix(strings.TrimSpace(lines[i]), "--[["); ok {
				text = strings.Join(append([]string{text}, lines[i+1:end]...), "\n")
				return cleanDoc(strings.Split(strings.TrimSuffix(strings.TrimSpace(text), "]]"), "\n"))
			}
		}
		return ""
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
	return cleanDoc(doc)
}

// cleanDoc joins the lines of a comment.
func cleanDoc(lines []string) string {
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " \t\r")
	}
	return values.Clip(strings.ToValidUTF8(strings.Trim(strings.Join(lines, "\n"), "\n \t"), "\uFFFD"), maxDocBytes)
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
