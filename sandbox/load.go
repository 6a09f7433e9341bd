package sandbox

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/lua"
	"github.com/hearthhost/hearth/sandbox/lua/stdlib"
	"github.com/hearthhost/hearth/sandbox/values"
)

// Program is a loaded script. It is immutable and safe for concurrent use; each
// instance of the object needs a [State] of its own.
type Program struct {
	id         object.ID
	file       string
	services   Services // none is nil
	onLongCall func()
	limits     object.Limits
	main       *lua.Proto
	source     []byte
	desc       *object.Description

	mu    sync.Mutex // guards what follows
	libs  map[string]*module
	spare *State // the state in which the script was tried out, until one is wanted
}

// module is one file that require finds. It is compiled when first wanted.
type module struct {
	name, file string
	source     []byte
	proto      *lua.Proto
	err        error
}

// Load compiles a script, runs it once within limits, and checks what it returned. The
// error is an [*object.Error] whose message says file and line and is safe to show:
// CodeUnavailable, or CodeInternal if it was our fault.
func Load(ctx context.Context, cfg Config) (p *Program, err error) {
	defer func() {
		if v := recover(); v != nil {
			p, err = nil, panicked("loading "+string(cfg.ID), v)
		}
	}()
	p = &Program{
		id: cfg.ID, file: cfg.File, services: cfg.Services.withDefaults(), onLongCall: cfg.OnLongCall,
		limits: cfg.Limits.OrDefaults(), source: bytes.Clone(cfg.Source), libs: map[string]*module{},
	}
	if p.file == "" {
		p.file = strings.ReplaceAll(string(cfg.ID), ".", "/") + ".lua"
	}
	tenant := string(cfg.ID.Tenant())
	for name, source := range cfg.Libs {
		p.libs[name] = &module{name: name, file: tenant + "/lib/" + strings.ReplaceAll(name, ".", "/") + ".lua", source: source}
	}
	if p.main, err = p.compile(p.file, p.source, p.limits.SourceBytes); err != nil {
		return nil, p.unloadable("%s", err)
	}
	s, err := p.newState(ctx)
	if err != nil {
		return nil, err
	}
	s.meter.CloseOpen() // no call follows yet
	p.desc = s.def.describe(p)
	p.spare = s
	return p, nil
}

// Description returns what the object exposes. It is shared: do not change it.
func (p *Program) Description() *object.Description { return p.desc }

// Mode returns how many instances of the object there are.
func (p *Program) Mode() object.InstanceMode { return p.desc.Instance }

// compile turns source into code, within bounds. It takes time in proportion to the length.
func (p *Program) compile(file string, source []byte, most int) (*lua.Proto, error) {
	if len(source) > most {
		return nil, fmt.Errorf("%s: %d bytes of source (at most %d)", file, len(source), most)
	}
	source = bytes.TrimPrefix(source, []byte("\xef\xbb\xbf"))
	if bytes.HasPrefix(source, []byte("\x1b")) {
		return nil, fmt.Errorf("%s: compiled Lua is not accepted", file)
	}
	proto, err := lua.Compile(file, string(source))
	if lua.Unfinished(err) {
		return nil, fmt.Errorf("%w (is an 'end' missing?)", err)
	}
	return proto, err
}

// module finds the file of a module: name.lua, or init.lua in the folder name. It returns nil if there is neither.
func (p *Program) module(name string) *module {
	if m := p.libs[name]; m != nil {
		return m
	}
	return p.libs[name+".init"]
}

// compiled returns the code of a module, compiling it the first time, for which L is charged.
func (p *Program) compiled(L *lua.Thread, m *module) (*lua.Proto, error) {
	L.Charge(100)
	p.mu.Lock()
	known := m.proto != nil || m.err != nil
	p.mu.Unlock()
	if !known {
		L.Charge(stdlib.CompileSteps(len(m.source)))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if m.proto == nil && m.err == nil {
		m.proto, m.err = p.compile(m.file, m.source, max(p.limits.SourceBytes, libSourceBytes))
	}
	return m.proto, m.err
}

// takeSpare returns the state that Load left, once.
func (p *Program) takeSpare() *State {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.spare
	p.spare = nil
	return s
}

// shown returns the beginning of a text, of about n bytes, for a log or an error: without secrets. Scripts choose how
// long the text is, and no part of a secret may be left where it is cut.
func (p *Program) shown(text string, n int) string {
	return values.Clip(p.services.Secrets.Redact(text, n+1), n)
}
