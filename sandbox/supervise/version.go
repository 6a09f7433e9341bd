package supervise

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
)

// Script is the source of one object or of one lib module.
type Script struct {
	File   string // for messages, relative to the scripts folder, for example "acme/counter.lua"
	Source []byte
}

// Libs are the modules that an object may require. They do not change.
type Libs struct {
	Scripts map[string]Script // by module name
	number  uint64            // names them on the link
}

// Version is one reading of an object: its script, its modules and its limits, which stay
// together. Make one with NewVersion; it does not change.
type Version struct {
	ID     object.ID
	Script Script
	Libs   *Libs
	Limits object.Limits // none is zero

	number    uint64                             // names it on the link
	described atomic.Pointer[object.Description] // of a version that has loaded; nil: not known yet
}

var numbers atomic.Uint64 // of versions and of modules

// NewLibs returns modules as versions want them.
func NewLibs(scripts map[string]Script) *Libs {
	return &Libs{Scripts: scripts, number: numbers.Add(1)}
}

// NewVersion returns a version of an object. A limit that is zero has its default.
func NewVersion(id object.ID, script Script, libs *Libs, limits object.Limits) *Version {
	return &Version{ID: id, Script: script, Libs: libs, Limits: limits.WithDefaults(), number: numbers.Add(1)}
}

// describe reads and keeps what a worker reports that the version exposes.
func (v *Version) describe(r object.Reply) (*object.Description, error) {
	d := new(object.Description)
	if err := json.Unmarshal(r.Payload, d); err != nil {
		return nil, fmt.Errorf("reading the description of %s: %w", v.ID, err)
	}
	if len(d.Members) > link.MaxMembers {
		return nil, fmt.Errorf("reading the description of %s: more than %d members", v.ID, link.MaxMembers)
	}
	d.ID = v.ID
	v.described.Store(d)
	return d, nil
}

// LoadError says that a script is wrong, and where.
type LoadError struct{ Msg string }

// Error returns the message, which names file and line.
func (e *LoadError) Error() string { return e.Msg }

// Stage loads a version beside the one in use, without any call noticing, and returns what it
// exposes. The error is a [*LoadError] if the script is wrong.
// Follow it with Activate or Discard.
func (t *Tenant) Stage(ctx context.Context, v *Version) (*object.Description, error) {
	for again := false; ; again = true {
		p, err := t.live(true)
		if err != nil {
			return nil, err
		}
		r, err := p.ask(ctx, "", time.Now().Add(tryTimeout), func(n uint64) []byte {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.staged[v] = true
			return p.loadFrame(v, n)
		})
		if errors.Is(err, errProcessEnded) && !again {
			continue
		}
		if err = p.loadError(ctx, r, err, tryTimeout); err != nil {
			t.Discard(v)
			return nil, err
		}
		return v.describe(r)
	}
}

// loadError makes an error of what a version brought about, which is its own fault: else it
// would be tried again and again, each time at the cost of the tenant's instances.
func (p *process) loadError(ctx context.Context, r object.Reply, err error, most time.Duration) error {
	p.mu.Lock()
	ended := p.pending == nil
	p.mu.Unlock()
	switch {
	case err == nil && r.Exception:
		return &LoadError{string(r.Payload)}
	case err == nil || ctx.Err() != nil:
		return err
	case object.CodeOf(err) == object.CodeDeadline:
		return &LoadError{fmt.Sprintf("it is not done after %s", most)}
	case ended:
		return &LoadError{fmt.Sprintf("the worker ended of it, or meanwhile: %v", err)}
	}
	return err
}

// TestResult is what came of one test of a script.
type TestResult struct {
	Name string `json:"name"`
	Err  string `json:"error,omitempty"` // "" if it passed
}

// Test runs a script with tests of a version, without any call noticing. The error is a
// [*LoadError] if the version or the tests do not load.
func (t *Tenant) Test(ctx context.Context, v *Version, tests Script) ([]TestResult, error) {
	p, err := t.live(true)
	if err != nil {
		return nil, err
	}
	r, err := p.ask(ctx, "", time.Now().Add(testTimeout), func(n uint64) []byte {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.staged[v] = true // its modules are wanted
		var e link.Encoder
		e.Begin(link.Test, n)
		e.Text(tests.File)
		e.Text(string(tests.Source))
		p.putVersion(&e, v)
		return e.Frame()
	})
	t.Discard(v)
	if err = p.loadError(ctx, r, err, testTimeout); err != nil {
		return nil, err
	}
	var results []TestResult
	if err := json.Unmarshal(r.Payload, &results); err != nil {
		return nil, fmt.Errorf("reading the results of %s: %w", tests.File, err)
	}
	return results, nil
}

// testTimeout bounds how long the tests of one object may take in all.
const testTimeout = time.Minute

// tryTimeout bounds how long the loading of a version may take in all.
const tryTimeout = 20 * time.Second

// Activate makes versions those that answer the calls that begin from now on. Those that have
// begun end on the version that they began with, and sessions and streams stay there.
func (t *Tenant) Activate(all ...*Version) {
	if len(all) == 0 {
		return
	}
	t.updateObjects(func(objects map[object.ID]*Version) {
		for _, v := range all {
			objects[v.ID] = v
		}
	})
	t.clearQuarantine()
	t.withProcess(func(p *process) {
		for _, v := range all {
			p.use(v)
		}
		p.dropLibs()
	})
}

// Discard removes a staged version that will not be activated.
func (t *Tenant) Discard(v *Version) {
	t.withProcess(func(p *process) {
		if p.staged[v] {
			delete(p.staged, v)
			p.send(link.Forget, v.number)
			p.dropLibs()
		}
	})
}

// Remove takes objects away. Calls that have begun end in order.
func (t *Tenant) Remove(ids ...object.ID) {
	t.updateObjects(func(objects map[object.ID]*Version) {
		for _, id := range ids {
			delete(objects, id)
		}
	})
	t.clearQuarantine()
	t.withProcess(func(p *process) {
		for _, id := range ids {
			if p.active[id] == nil {
				continue
			}
			delete(p.active, id)
			var e link.Encoder
			e.Begin(link.Remove, 0)
			e.Text(string(id))
			p.postFrame(e.Frame())
		}
		p.dropLibs()
	})
}

// updateObjects changes which objects there are.
func (t *Tenant) updateObjects(change func(map[object.ID]*Version)) {
	t.change.Lock()
	defer t.change.Unlock()
	all := maps.Clone(*t.objects.Load())
	change(all)
	t.objects.Store(&all)
}

// withProcess does something with the running process, if there is one, holding its mu: do does
// not wait for the worker.
func (t *Tenant) withProcess(do func(p *process)) {
	t.mu.Lock()
	p := t.proc
	t.mu.Unlock()
	if p != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		do(p)
	}
}

// use tells the worker which version answers; callers hold mu. One that was tried in a
// process before this one is loaded now, if the object is in use here at all: else its
// first call does that.
func (p *process) use(v *Version) {
	switch {
	case p.active[v.ID] == v:
		return
	case p.staged[v]:
		delete(p.staged, v)
	case p.active[v.ID] == nil:
		return
	default:
		p.postFrame(p.loadFrame(v, 0))
	}
	p.active[v.ID] = v
	p.send(link.Use, v.number)
}

// load has the worker load and use an object's version before its first call; callers hold
// mu. A failure to write shows in the call's own.
func (p *process) load(id object.ID) {
	v := p.t.version(id)
	if v == nil {
		return // it was removed meanwhile: the worker answers that it is unknown
	}
	p.postFrame(p.loadFrame(v, 0))
	p.active[id] = v
	p.send(link.Use, v.number)
}

// loadFrame returns the frame that makes the worker load a version; callers hold mu. The
// worker says how it went if request is not 0.
func (p *process) loadFrame(v *Version, request uint64) []byte {
	var e link.Encoder
	e.Begin(link.Load, request)
	p.putVersion(&e, v)
	return e.Frame()
}

// putVersion puts a version into a frame, as the last of it, and sends what it needs before;
// callers hold mu.
func (p *process) putVersion(e *link.Encoder, v *Version) {
	p.maxDurations[v.ID] = max(p.maxDurations[v.ID], v.Limits.MaxDuration)
	if v.Limits.ResultBytes > p.resultBytes {
		p.resultBytes = v.Limits.ResultBytes
		p.in.Limit(link.FrameBytes(p.resultBytes))
	}
	p.grant(v.ID)
	if !p.libs[v.Libs] {
		p.libs[v.Libs] = true
		var libs link.Encoder
		libs.Begin(link.Libs, 0)
		libs.Uint(v.Libs.number)
		libs.Uint(uint64(len(v.Libs.Scripts)))
		for _, name := range slices.Sorted(maps.Keys(v.Libs.Scripts)) {
			libs.Text(name)
			libs.Text(string(v.Libs.Scripts[name].Source))
		}
		p.postFrame(libs.Frame())
	}
	e.PutVersion(&link.Version{Number: v.number, Libs: v.Libs.number, ID: v.ID, File: v.Script.File, Limits: v.Limits, Source: v.Script.Source})
}

// dropLibs lets go of the modules that no version wants any more; callers hold mu.
func (p *process) dropLibs() {
	wanted := map[*Libs]bool{}
	for _, v := range p.active {
		wanted[v.Libs] = true
	}
	for v := range p.staged {
		wanted[v.Libs] = true
	}
	for _, v := range *p.t.objects.Load() {
		wanted[v.Libs] = true
	}
	for l := range p.libs {
		if !wanted[l] {
			delete(p.libs, l)
			p.send(link.DropLibs, l.number)
		}
	}
}

// send sends a frame that holds one number and has no answer.
func (p *process) send(typ link.Type, v uint64) {
	var e link.Encoder
	e.Begin(typ, 0)
	e.Uint(v)
	p.postFrame(e.Frame())
}

// hasObject reports whether the worker has ever been given a version of an object, so that it
// may speak for it.
func (p *process) hasObject(id object.ID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.maxDurations[id] > 0
}
