package sandbox

import (
	"bytes"
	"context"
	"github.com/hearthhost/hearth/sandbox/modules"
	"strings"
	"sync"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/lua"
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

	modules *modules.Library

	mu    sync.Mutex // guards spare
	spare *State     // the state in which the script was tried out, until one is wanted
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
		limits: cfg.Limits.WithDefaults(), source: bytes.Clone(cfg.Source),
	}
	if p.file == "" {
		p.file = strings.ReplaceAll(string(cfg.ID), ".", "/") + ".lua"
	}
	p.modules = modules.NewLibrary(cfg.ID.Tenant(), cfg.Libs, max(p.limits.SourceBytes, libSourceBytes))
	if p.main, err = modules.Compile(p.file, p.source, p.limits.SourceBytes); err != nil {
		return nil, p.unloadable("%s", err)
	}
	s, err := p.newState(ctx)
	if err != nil {
		return nil, err
	}
	s.meter.CloseOpen() // no call follows yet
	p.desc = s.definitions.Describe(s.def, p.sourceOf)
	p.spare = s
	return p, nil
}

// Description returns what the object exposes. It is shared: do not change it.
func (p *Program) Description() *object.Description { return p.desc }

// Mode returns how many instances of the object there are.
func (p *Program) Mode() object.InstanceMode { return p.desc.Instance }

// sourceOf returns the source of a file of the program, or nil.
func (p *Program) sourceOf(file string) []byte {
	if file == p.file {
		return p.source
	}
	return p.modules.Source(file)
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
