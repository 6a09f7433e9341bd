package stdlib

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hearthhost/hearth/sandbox/lua"
)

func (t *Template) openLoad() {
	t.Add("", map[string]lua.Native{
		"loadstring": func(L *lua.Thread) int {
			source := L.CheckString(1)
			return of(L).load(L, source, L.OptString(2, source))
		},
		"load":    loadPieces,
		"getfenv": getEnv, "setfenv": setEnv,
	})
}

// Compile compiles source for a script. It charges for the length of the source, and for the memory of the code. It
// rejects precompiled chunks.
func (l *Library) Compile(L *lua.Thread, chunk, source string) (*lua.Proto, error) {
	if len(source) > l.cfg.SourceBytes {
		return nil, fmt.Errorf("%s: %d bytes of source (at most %d)", chunk, len(source), l.cfg.SourceBytes)
	}
	if strings.HasPrefix(source, "\x1b") {
		return nil, errors.New(chunk + ": precompiled code is not accepted")
	}
	L.Charge(CompileSteps(len(source)))
	p, err := L.Compile(chunk, source)
	if err != nil {
		read := len(source)
		if syn := (*lua.SyntaxError)(nil); errors.As(err, &syn) && syn.Read > 0 {
			read = syn.Read
		}
		L.Charge(wrongByteSteps * read)
		return nil, err
	}
	L.Charge(instructionSteps * p.Instructions())
	L.Allocate(p.Size())
	return p, nil
}

// CompileSteps returns the minimum steps of compiling n bytes of source. Further steps depend on the content.
func CompileSteps(n int) int { return 100 + 3*n/2 }

// Steps per compiled instruction, and per byte of a source up to its syntax error.
const (
	instructionSteps = 40
	wrongByteSteps   = 8
)

// load pushes a function, or nil and a message.
func (l *Library) load(L *lua.Thread, source, name string) int {
	L.Charge(len(name) >> 2)
	if strings.HasPrefix(source, "#") {
		source = " " + source // only files may begin with a line for the shell
	}
	chunk := ChunkName(name)
	p, err := l.Compile(L, chunk, source)
	if err != nil {
		msg := err.Error()
		if syn := (*lua.SyntaxError)(nil); errors.As(err, &syn) {
			// PUC shows more of the source in a syntax error than in a run-time error.
			msg = chunkName(name, maxSyntaxChunkName) + strings.TrimPrefix(msg, chunk)
		}
		L.Push(lua.Nil)
		L.PushString(msg)
		return 2
	}
	L.Allocate(100)
	L.Push(lua.NewFunction(p, L.Globals()).Value())
	return 1
}

// loadPieces implements load. Its argument is a function that returns the source in pieces.
func loadPieces(L *lua.Thread) int {
	l := of(L)
	f := L.CheckFunction(1)
	name := L.OptString(2, "=(load)")
	b := L.NewBuilder(0)
	for {
		L.Push(f.Value())
		if err := L.Try(0, 1, lua.Nil); err != nil {
			L.Push(lua.Nil)
			L.Push(err.Value)
			return 2
		}
		v := L.Get(-1)
		L.Pop(1)
		piece, ok := v.ToString()
		if !ok && !v.IsNil() {
			L.Push(lua.Nil)
			L.PushString(L.Where(1) + "reader function must return a string")
			return 2
		}
		if piece == "" {
			break
		}
		if b.Add(piece); len(b.B) > l.cfg.SourceBytes {
			break // rejected below
		}
	}
	return l.load(L, string(b.B), name)
}

// maxChunkName is the length limit of a chunk's name in run-time messages, as in PUC, in bytes.
const maxChunkName = 60

// maxSyntaxChunkName is the same limit for syntax errors.
const maxSyntaxChunkName = 80

// ChunkName converts the name given to load to a name for messages. "=name" and "@file" are used as they are. Any other
// name is the source itself, and its first line is shown.
func ChunkName(name string) string { return chunkName(name, maxChunkName) }

func chunkName(name string, limit int) string {
	if name, _, _ = strings.Cut(name, "\x00"); name == "" {
		return `[string ""]`
	}
	switch name[0] {
	case '=':
		return strings.Clone(name[1:min(len(name), limit)]) // a copy, so that the chunk does not retain the whole name
	case '@':
		name = name[1:]
		if len(name) > limit-8 {
			return "..." + name[len(name)-(limit-8):]
		}
		return name
	}
	room := limit - len(` [string "..."] `) - 1
	line := name
	if i := strings.IndexAny(name, "\r\n"); i >= 0 {
		line = name[:i]
	}
	if len(line) > room {
		line = line[:room]
	}
	if len(line) < len(name) {
		return `[string "` + line + `..."]`
	}
	return `[string "` + line + `"]`
}

// functionArg returns the functionArg that getfenv and setfenv operate on: argument 1, a functionArg or a level.
func functionArg(L *lua.Thread, optional bool) *lua.Function {
	v := L.Get(1)
	if f := v.AsFunction(); f != nil {
		return f
	}
	level := 1
	if !optional || !v.IsNil() {
		level = L.CheckInt32(1)
	}
	if level < 0 {
		L.ArgError(1, "level must be non-negative")
	}
	at, ok := L.Level(level)
	if !ok {
		L.ArgError(1, "invalid level")
	}
	if at.Fn == nil {
		L.RaiseError("no function environment for tail call at level %d", level)
	}
	return at.Fn
}

func getEnv(L *lua.Thread) int {
	f := functionArg(L, true)
	env := L.Globals()
	if f.Proto() != nil {
		env = f.Env
	}
	L.Push(env.Value())
	return 1
}

func setEnv(L *lua.Thread) int {
	env := L.CheckTable(2)
	f := functionArg(L, false)
	if n := L.Get(1); n.IsNumber() && L.CheckNumber(1) == 0 {
		L.SetGlobals(env)
		return 0
	}
	if f.Proto() == nil {
		L.RaiseError("'setfenv' cannot change environment of given object")
	}
	f.Env = env
	L.Push(f.Value())
	return 1
}
