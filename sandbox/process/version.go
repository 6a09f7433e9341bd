package supervise

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
	"github.com/hearthhost/hearth/sandbox/script"
)

// Stage loads a version beside the one in use and returns its description. Calls are not affected. The error is a
// [*script.LoadError] if the script is wrong. Call Activate or Discard next.
func (t *Tenant) Stage(ctx context.Context, v *script.Version) (*object.Description, error) {
	for again := false; ; again = true {
		p, err := t.live(true)
		if err != nil {
			return nil, err
		}
		r, err := p.query(ctx, "", time.Now().Add(tryTimeout), func(n uint64) []byte {
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
		return v.Describe(r.Payload)
	}
}

// loadError returns a [*script.LoadError] if the version caused err, for example by a deadline or by the end of the
// worker. The host would otherwise load it again and again, and end the tenant's instances each time.
func (p *process) loadError(ctx context.Context, r object.Reply, err error, most time.Duration) error {
	p.mu.Lock()
	ended := p.pending == nil
	p.mu.Unlock()
	switch {
	case err == nil && r.Exception:
		return &script.LoadError{Msg: string(r.Payload)}
	case err == nil || ctx.Err() != nil:
		return err
	case object.CodeOf(err) == object.CodeDeadline:
		return &script.LoadError{Msg: fmt.Sprintf("not finished after %s", most)}
	case ended:
		return &script.LoadError{Msg: fmt.Sprintf("the worker ended while it loaded: %v", err)}
	}
	return err
}

// Test runs the tests of a version. Calls are not affected. The error is a [*script.LoadError] if the version or the
// tests do not load.
func (t *Tenant) Test(ctx context.Context, v *script.Version, tests script.Script) ([]script.TestResult, error) {
	p, err := t.live(true)
	if err != nil {
		return nil, err
	}
	r, err := p.query(ctx, "", time.Now().Add(testTimeout), func(n uint64) []byte {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.staged[v] = true // keeps its modules in the worker
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
	var results []script.TestResult
	if err := json.Unmarshal(r.Payload, &results); err != nil {
		return nil, fmt.Errorf("reading the results of %s: %w", tests.File, err)
	}
	return results, nil
}

// testTimeout bounds the time of all tests of one object.
const testTimeout = time.Minute

// tryTimeout bounds the time to load a version.
const tryTimeout = 20 * time.Second

// Activate puts versions into use: they answer the calls that begin from now on. Running calls, sessions and streams
// stay on the version on which they began.
func (t *Tenant) Activate(all ...*script.Version) {
	if len(all) == 0 {
		return
	}
	t.updateObjects(func(objects map[object.ID]*script.Version) {
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
func (t *Tenant) Discard(v *script.Version) {
	t.withProcess(func(p *process) {
		if p.staged[v] {
			delete(p.staged, v)
			p.send(link.Forget, v.Number())
			p.dropLibs()
		}
	})
}

// Remove removes objects. Running calls continue.
func (t *Tenant) Remove(ids ...object.ID) {
	t.updateObjects(func(objects map[object.ID]*script.Version) {
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

// updateObjects replaces the map of objects by a changed copy.
func (t *Tenant) updateObjects(change func(map[object.ID]*script.Version)) {
	t.change.Lock()
	defer t.change.Unlock()
	all := maps.Clone(*t.objects.Load())
	change(all)
	t.objects.Store(&all)
}

// withProcess calls do with the running process, if any, and holds its mu. do must not wait for the worker.
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

// use puts a version into use in the worker. Callers hold mu. A version that was staged in an earlier process is loaded
// now if the worker has another version of the object; otherwise the object's first call loads it.
func (p *process) use(v *script.Version) {
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
	p.send(link.Use, v.Number())
}

// load sends an object's version and puts it into use, before the object's first call. Callers hold mu. It ignores
// write errors: the call's own frame fails likewise.
func (p *process) load(id object.ID) {
	v := p.t.version(id)
	if v == nil {
		return // removed meanwhile: the worker answers that the object is unknown
	}
	p.postFrame(p.loadFrame(v, 0))
	p.active[id] = v
	p.send(link.Use, v.Number())
}

// loadFrame returns the frame that loads a version. Callers hold mu. The worker reports the result if request is not 0.
func (p *process) loadFrame(v *script.Version, request uint64) []byte {
	var e link.Encoder
	e.Begin(link.Load, request)
	p.putVersion(&e, v)
	return e.Frame()
}

// putVersion appends a version to a frame as its last fields. Before that it posts the secrets and modules that the
// version needs. Callers hold mu.
func (p *process) putVersion(e *link.Encoder, v *script.Version) {
	p.maxDurations[v.ID] = max(p.maxDurations[v.ID], v.Limits.MaxDuration)
	if v.Limits.ResultBytes > p.resultBytes {
		p.resultBytes = v.Limits.ResultBytes
		p.in.Limit(link.FrameBytes(max(p.resultBytes, link.MinMessageBytes)))
	}
	p.grant(v.ID)
	if !p.libs[v.Libs] {
		p.libs[v.Libs] = true
		var libs link.Encoder
		libs.Begin(link.Libs, 0)
		libs.Uint(v.Libs.Number())
		libs.Uint(uint64(len(v.Libs.Scripts)))
		for _, name := range slices.Sorted(maps.Keys(v.Libs.Scripts)) {
			libs.Text(name)
			libs.Text(string(v.Libs.Scripts[name].Source))
		}
		p.postFrame(libs.Frame())
	}
	e.PutVersion(&link.Version{
		Number: v.Number(),
		Libs:   v.Libs.Number(),
		ID:     v.ID,
		File:   v.Script.File,
		Limits: v.Limits,
		Source: v.Script.Source,
	})
}

// dropLibs removes the modules that no version uses. Callers hold mu.
func (p *process) dropLibs() {
	wanted := map[*script.Libs]bool{}
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
			p.send(link.DropLibs, l.Number())
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

// hasObject reports whether the worker has received a version of an object. It may request services for that object
// then.
func (p *process) hasObject(id object.ID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.maxDurations[id] > 0
}
