package sandbox

import (
	"bytes"
	"context"
	"strings"
	"sync"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/arguments"
	"github.com/hearthhost/hearth/sandbox/definition"
	"github.com/hearthhost/hearth/sandbox/lua"
	"github.com/hearthhost/hearth/sandbox/modules"
	"github.com/hearthhost/hearth/sandbox/services"
)

// Program is a loaded script. It is immutable and safe for concurrent use; each
// instance of the object needs a separate [State].
type Program struct {
	id         object.ID
	file       string
	services   services.Set // no field is nil
	classes    Classes      // not nil
	onLongCall func()
	onCompute  func()
	limits     object.Limits
	main       *lua.Proto
	source     []byte
	desc       *object.Description

	modules *modules.Library

	bindings sync.Map // *arguments.Binding by *lua.Proto, of the functions of the sources

	mu         sync.Mutex // guards signatures and loadState
	signatures *definition.Signatures
	loadState  *State // the state in which Load ran the script, for the first NewState
}

// Load compiles a script, runs it once within limits, and checks its result. The error is an [*object.Error] whose
// message has file and line and can be shown to clients. Its code is CodeUnavailable, or CodeInternal for faults of the
// engine.
func Load(ctx context.Context, cfg Config) (p *Program, err error) {
	defer func() {
		if v := recover(); v != nil {
			p, err = nil, panicked("loading "+string(cfg.ID), v)
		}
	}()
	p = &Program{
		id:         cfg.ID,
		file:       cfg.File,
		services:   cfg.Services.WithDefaults(),
		classes:    cfg.Classes,
		onLongCall: cfg.OnLongCall,
		onCompute:  cfg.OnCompute,
		limits:     cfg.Limits.WithDefaults(),
		source:     bytes.Clone(cfg.Source),
	}
	if p.classes == nil {
		p.classes = commonClasses{}
	}
	if p.file == "" {
		p.file = strings.ReplaceAll(string(cfg.ID), ".", "/") + ".lua"
	}
	p.modules = modules.NewLibrary(cfg.ID.Tenant(), cfg.Libs, max(p.limits.SourceBytes, libSourceBytes))
	p.main, err = modules.Compile(p.file, p.source, p.limits.SourceBytes)
	if err != nil {
		return nil, p.unloadable("%s", err)
	}
	s, err := p.newState(ctx)
	if err != nil {
		return nil, err
	}
	s.meter.CloseOpen() // no call continues the budget
	p.desc = p.describe(s)
	p.loadState = s
	return p, nil
}

// Description returns the description of the object. It is shared: callers must not change it.
func (p *Program) Description() *object.Description { return p.desc }

// Mode returns the instance mode of the object.
func (p *Program) Mode() object.InstanceMode { return p.desc.Instance }

// sourceOf returns the source of a file of the program, or nil.
func (p *Program) sourceOf(file string) []byte {
	if file == p.file {
		return p.source
	}
	return p.modules.Source(file)
}

// describe returns the description of the object that a state has defined. It reads the signatures of its members.
func (p *Program) describe(s *State) *object.Description {
	files := append([]string{p.file}, p.modules.Files()...)
	p.signatures = definition.NewSignatures(p.sourceOf, files)
	d := s.definitions.Describe(s.def, p.signatures)
	p.signatures.Release()
	return d
}

// binding returns the binding of a function, or nil for a native one.
func (p *Program) binding(fn *lua.Function) *arguments.Binding {
	proto := fn.Proto()
	if proto == nil {
		return nil
	}
	if b, ok := p.bindings.Load(proto); ok {
		return b.(*arguments.Binding) //nolint:forcetypeassert // the map holds bindings only
	}
	p.mu.Lock()
	b := arguments.New(p.signatures.Of(fn), p.signatures.Types())
	p.mu.Unlock()
	if !proto.Private() { // a script can make any number of functions of texts
		p.bindings.Store(proto, b)
	}
	return b
}

// takeLoadState returns the state that Load has made, once, and then nil.
func (p *Program) takeLoadState() *State {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.loadState
	p.loadState = nil
	return s
}
