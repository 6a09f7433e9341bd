package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/parse"

	"github.com/hearthhost/hearth/object"
)

// Program is a loaded script. It is immutable and safe for concurrent use; each
// instance of the object needs a [State] of its own.
type Program struct {
	id     object.ID
	file   string
	env    Env
	limits object.Limits
	main   *lua.FunctionProto
	source []byte
	desc   *object.Description

	mu    sync.Mutex // guards what follows
	libs  map[string]*module
	spare *State // the state in which the script was tried out, until one is wanted
}

// module is one file that require finds. It is compiled when first wanted.
type module struct {
	name, file string
	source     []byte
	proto      *lua.FunctionProto
	err        error
}

// Load compiles a script, runs it once within limits, and checks what it returned. The
// error is an [*object.Error] whose message says file and line and is safe to show:
// CodeUnavailable, or CodeInternal if it was our fault.
func Load(ctx context.Context, cfg Config) (p *Program, err error) {
	defer func() {
		if v := recover(); v != nil {
			p, err = nil, &object.Error{Code: object.CodeInternal, Err: fmt.Errorf("loading %s: panic: %v", cfg.ID, v)}
		}
	}()
	p = &Program{
		id: cfg.ID, file: cfg.File, env: cfg.Env, limits: cfg.Limits.OrDefaults(),
		source: bytes.Clone(cfg.Source), libs: map[string]*module{},
	}
	if p.file == "" {
		p.file = strings.ReplaceAll(string(cfg.ID), ".", "/") + ".lua"
	}
	if p.env == nil {
		p.env = nowhere{}
	}
	tenant := string(cfg.ID.Tenant())
	for name, source := range cfg.Libs {
		p.libs[name] = &module{name: name, file: tenant + "/lib/" + strings.ReplaceAll(name, ".", "/") + ".lua", source: source}
	}
	if p.main, err = p.compile(p.file, p.source); err != nil {
		return nil, p.unloadable("%s", err)
	}
	s, err := p.newState(ctx)
	if err != nil {
		return nil, err
	}
	s.meter.close() // no call follows yet
	p.desc = s.def.describe(p)
	p.spare = s
	return p, nil
}

// Description returns what the object exposes. It is shared: do not change it.
func (p *Program) Description() *object.Description { return p.desc }

// Mode returns how many instances of the object there are.
func (p *Program) Mode() object.InstanceMode { return p.desc.Instance }

// compile turns source into code, within bounds.
func (p *Program) compile(file string, source []byte) (*lua.FunctionProto, error) {
	if len(source) > p.limits.SourceBytes {
		return nil, fmt.Errorf("%s: %d bytes of source (at most %d)", file, len(source), p.limits.SourceBytes)
	}
	source = bytes.TrimPrefix(source, []byte("\xef\xbb\xbf"))
	if err := checkNesting(file, source); err != nil {
		return nil, err
	}
	if bytes.HasPrefix(source, []byte("\x1bLua")) {
		return nil, fmt.Errorf("%s: compiled Lua is not accepted", file)
	}
	chunk, err := parse.Parse(bytes.NewReader(source), file)
	if err != nil {
		return nil, syntaxError(file, err)
	}
	proto, err := lua.Compile(withJoin(chunk), file)
	if err != nil {
		return nil, syntaxError(file, err)
	}
	fit(proto)
	return proto, nil
}

// fit gives a function, and those in it, memory for what they have: the compiler makes room for
// hundreds of instructions in each, some 15 KiB, and it would stay for as long as the program.
func fit(f *lua.FunctionProto) {
	f.Code = slices.Clone(f.Code)
	f.Constants = slices.Clone(f.Constants)
	f.FunctionPrototypes = slices.Clone(f.FunctionPrototypes)
	f.DbgSourcePositions = slices.Clone(f.DbgSourcePositions)
	f.DbgLocals = slices.Clone(f.DbgLocals)
	f.DbgCalls = slices.Clone(f.DbgCalls)
	f.DbgUpvalues = slices.Clone(f.DbgUpvalues)
	for _, inner := range f.FunctionPrototypes {
		fit(inner)
	}
}

// syntaxError says file, line and what is wrong there.
func syntaxError(file string, err error) error {
	var pe *parse.Error
	var ce *lua.CompileError
	switch {
	case errors.As(err, &pe) && pe.Pos.Line == parse.EOF:
		return fmt.Errorf("%s: %s at the end of the file (is an 'end' missing?)", file, pe.Message)
	case errors.As(err, &pe):
		return fmt.Errorf("%s:%d: %s near %q", file, pe.Pos.Line, pe.Message, clip(pe.Token, 40))
	case errors.As(err, &ce):
		return fmt.Errorf("%s:%d: %s", file, ce.Line, ce.Message)
	}
	return fmt.Errorf("%s: does not compile", file)
}

// lib returns the code of a module, compiling it the first time.
func (p *Program) lib(name string) (*module, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.libs[name]
	if m == nil {
		return nil, fmt.Errorf("there is no module %s: require finds files of this tenant's lib folder only", name)
	}
	if m.proto == nil && m.err == nil {
		m.proto, m.err = p.compile(m.file, m.source)
	}
	return m, m.err
}

// takeSpare returns the state that Load left, once.
func (p *Program) takeSpare() *State {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.spare
	p.spare = nil
	return s
}
