package process

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

// loadTimeout bounds the time to load a version.
const loadTimeout = 20 * time.Second

// testTimeout bounds the time of all tests of one object.
const testTimeout = time.Minute

// Stage loads a version beside the one in use and returns its description. Calls are not affected. The error is a
// [*script.LoadError] if the script is wrong, and [ErrEnded] if the process did not receive it. Call Activate or
// Discard next, also after an error.
func (p *Process) Stage(ctx context.Context, v *script.Version) (*object.Description, error) {
	r, err := p.query(ctx, "", time.Now().Add(loadTimeout), func(n uint64) []byte {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.staged[v] = true
		return p.loadFrame(v, n)
	})
	if errors.Is(err, ErrEnded) {
		return nil, err
	}
	if err = p.loadError(ctx, r, err, loadTimeout); err != nil {
		return nil, err
	}
	return v.Describe(r.Payload)
}

// loadError returns a [*script.LoadError] if the version caused err, for example by a deadline or by the end of the
// worker. The host would otherwise load it again and again, and end the tenant's instances each time.
func (p *Process) loadError(ctx context.Context, r object.Reply, err error, most time.Duration) error {
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

// Test runs the tests of a version and discards it. Calls are not affected. The error is a [*script.LoadError] if the
// version or the tests do not load.
func (p *Process) Test(ctx context.Context, v *script.Version, tests script.Script) ([]script.TestResult, error) {
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
	p.Discard(v)
	if err = p.loadError(ctx, r, err, testTimeout); err != nil {
		return nil, err
	}
	var results []script.TestResult
	if err := json.Unmarshal(r.Payload, &results); err != nil {
		return nil, fmt.Errorf("reading the results of %s: %w", tests.File, err)
	}
	return results, nil
}

// Activate puts versions into use in the worker. The owner has them in use already.
func (p *Process) Activate(all ...*script.Version) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, v := range all {
		p.use(v)
	}
	p.dropLibs()
}

// Discard removes a staged version that will not be activated.
func (p *Process) Discard(v *script.Version) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.staged[v] {
		delete(p.staged, v)
		p.send(link.Forget, v.Number())
		p.dropLibs()
	}
}

// Remove removes objects from the worker. Running calls continue.
func (p *Process) Remove(ids ...object.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
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
}

// Grant sends the secrets of every object that the worker has. An object that it gets later receives them with its
// version.
func (p *Process) Grant() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id := range p.maxDurations {
		p.grant(id)
	}
}

// grant pushes the secrets of an object to the worker. Callers hold mu. It sends nothing for an object that never had a
// secret.
func (p *Process) grant(id object.ID) {
	values, ok := p.owner.Secrets(id)
	if !ok {
		return
	}
	var e link.Encoder
	e.Begin(link.HostPush, 0)
	e.PutPush(link.Secrets, link.SecretsGrant)
	e.PutSecrets(id, slices.Sorted(maps.Keys(values)), values)
	p.postFrame(e.Frame())
}

// use puts a version into use in the worker. Callers hold mu. A version that was staged in an earlier process is loaded
// now if the worker has another version of the object; otherwise the object's first call loads it.
func (p *Process) use(v *script.Version) {
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
func (p *Process) load(id object.ID) {
	v := p.owner.Version(id)
	if v == nil {
		return // removed meanwhile: the worker answers that the object is unknown
	}
	p.postFrame(p.loadFrame(v, 0))
	p.active[id] = v
	p.send(link.Use, v.Number())
}

// loadFrame returns the frame that loads a version. Callers hold mu. The worker reports the result if request is not 0.
func (p *Process) loadFrame(v *script.Version, request uint64) []byte {
	var e link.Encoder
	e.Begin(link.Load, request)
	p.putVersion(&e, v)
	return e.Frame()
}

// putVersion appends a version to a frame as its last fields. Before that it posts the secrets and modules that the
// version needs. Callers hold mu.
func (p *Process) putVersion(e *link.Encoder, v *script.Version) {
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
func (p *Process) dropLibs() {
	wanted := map[*script.Libs]bool{}
	for _, v := range p.active {
		wanted[v.Libs] = true
	}
	for v := range p.staged {
		wanted[v.Libs] = true
	}
	for _, v := range p.owner.Versions() {
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
func (p *Process) send(typ link.Type, v uint64) {
	var e link.Encoder
	e.Begin(typ, 0)
	e.Uint(v)
	p.postFrame(e.Frame())
}

// hasObject reports whether the worker has received a version of an object. It may request services for that object
// then.
func (p *Process) hasObject(id object.ID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	family, key, keyed := id.Split()
	return p.maxDurations[family] > 0 && (!keyed || object.ValidKey(key))
}
