// Package memory implements the store engine in memory, for tests of scripts and as the model of the other engine's
// tests.
package memory

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/service/store"
)

// Engine stores states in memory. The zero value is empty and ready.
type Engine struct {
	Clock store.Clock

	mu      sync.Mutex // guards tenants
	tenants map[object.Tenant]*tenant
}

var _ store.Engine = (*Engine)(nil)

type tenant struct {
	writes  int64 // all so far
	objects map[object.ID]map[string]item
	answers map[object.ID]map[store.CallKey]answer
}

type item struct {
	value   []byte
	version int64
	expires int64
}

type answer struct {
	store.Answer
	expires int64
}

// lookup returns the tenant of an object. The caller holds mu.
func (e *Engine) lookup(id object.Tenant) *tenant {
	t := e.tenants[id]
	if t == nil {
		t = &tenant{objects: map[object.ID]map[string]item{}, answers: map[object.ID]map[store.CallKey]answer{}}
		if e.tenants == nil {
			e.tenants = map[object.Tenant]*tenant{}
		}
		e.tenants[id] = t
	}
	return t
}

// Get implements [store.Engine].
func (e *Engine) Get(_ context.Context, id object.ID, key string) (store.Item, error) {
	if err := store.CheckKey(key); err != nil {
		return store.Item{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	it, ok := e.lookup(id.Tenant()).objects[id][key]
	if !ok || store.Expired(it.expires, e.Clock.Millis()) {
		return store.Item{Key: key}, nil
	}
	return it.item(key), nil
}

func (it item) item(key string) store.Item {
	return store.Item{Key: key, Value: bytes.Clone(it.value), Version: it.version, Expires: it.expires}
}

// List implements [store.Engine].
func (e *Engine) List(_ context.Context, id object.ID, r store.Range) (items []store.Item, more bool, err error) {
	if err := r.Check(); err != nil {
		return nil, false, err
	}
	from, to := r.Bounds()
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.Clock.Millis()
	keys := e.lookup(id.Tenant()).objects[id]
	order := slices.Sorted(maps.Keys(keys))
	if r.Reverse {
		slices.Reverse(order)
	}
	size := 0
	for _, key := range order {
		it := keys[key]
		if key < from || key >= to || store.Expired(it.expires, now) {
			continue
		}
		size += len(key) + len(it.value)
		if len(items) == r.Limit || len(items) > 0 && size > store.MaxPageBytes {
			return items, true, nil
		}
		items = append(items, it.item(key))
	}
	return items, false, nil
}

// Commit implements [store.Engine].
func (e *Engine) Commit(ctx context.Context, b *store.Batch) (store.Result, error) {
	if err := b.Check(); err != nil {
		return store.Result{}, err
	}
	if err := ctx.Err(); err != nil {
		return store.Result{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	t := e.lookup(b.Object.Tenant())
	now := e.Clock.Millis()
	t.purge(now)
	if err := t.check(b); err != nil {
		return store.Result{}, err
	}
	return t.apply(b, now)
}

// check returns an error if a required version is wrong, or if the call of the batch has been executed.
func (t *tenant) check(b *store.Batch) error {
	keys := t.objects[b.Object]
	for _, c := range b.Checks {
		if keys[c.Key].version != c.Version {
			return store.Conflict(c.Key)
		}
	}
	for _, w := range b.Writes {
		if w.If != store.AnyVersion && keys[w.Key].version != w.If {
			return store.Conflict(w.Key)
		}
	}
	if b.Answer == nil {
		return nil
	}
	a, ok := t.answers[b.Object][b.Answer.Call]
	switch {
	case ok && (a.State != store.Begun || a.Sum != b.Answer.Sum):
		return store.Repeated(b.Answer.Call)
	case !ok && len(t.answers[b.Object]) >= store.MaxAnswers:
		return store.TooManyAnswers(b.Object)
	}
	return nil
}

// apply applies a batch to copies of the object's maps, and stores those unless it exceeds a quota.
func (t *tenant) apply(b *store.Batch, now int64) (r store.Result, err error) {
	keys := maps.Clone(t.objects[b.Object])
	if keys == nil {
		keys = map[string]item{}
	}
	answers := maps.Clone(t.answers[b.Object])
	writes := t.writes
	for _, w := range b.Writes {
		writes++
		old := keys[w.Key]
		switch w.Op {
		case store.Delete:
			delete(keys, w.Key)
		case store.Put:
			keys[w.Key] = item{bytes.Clone(w.Value), writes, store.Expiry(now, w.TTL)}
		case store.Increment:
			value, n, err := store.Add(w.Key, old.value, w.Delta)
			if err != nil {
				return store.Result{}, err
			}
			keys[w.Key] = item{value, writes, old.expires}
			r.Integers = append(r.Integers, n)
		}
	}
	if a := b.Answer; a != nil {
		if answers == nil {
			answers = map[store.CallKey]answer{}
		}
		kept := *a
		kept.Payload = bytes.Clone(a.Payload)
		answers[a.Call] = answer{kept, store.Expiry(now, a.TTL)}
	}
	before, after := size(t.objects[b.Object], t.answers[b.Object]), size(keys, answers)
	lim := b.Limits.WithDefaults()
	total := t.usage().Bytes + after.Bytes - before.Bytes
	if err := store.CheckQuota(lim, after.Bytes, total, after.Bytes-before.Bytes); err != nil {
		return store.Result{}, err
	}
	t.writes = writes
	t.objects[b.Object], t.answers[b.Object] = keys, answers
	r.Room = store.Room(lim, after.Bytes, total)
	r.Version = writes
	return r, nil
}

// purge removes expired keys and answers.
func (t *tenant) purge(now int64) {
	for _, keys := range t.objects {
		maps.DeleteFunc(keys, func(_ string, it item) bool { return store.Expired(it.expires, now) })
	}
	for _, answers := range t.answers {
		maps.DeleteFunc(answers, func(_ store.CallKey, a answer) bool { return store.Expired(a.expires, now) })
	}
}

func size(keys map[string]item, answers map[store.CallKey]answer) (u store.Usage) {
	for key, it := range keys {
		u.Bytes += int64(len(key)+len(it.value)) + store.ItemBytes
		u.Keys++
	}
	for _, a := range answers {
		u.Bytes += a.Bytes()
	}
	return u
}

func (t *tenant) usage() (u store.Usage) {
	for id := range t.objects {
		n := size(t.objects[id], t.answers[id])
		u.Bytes += n.Bytes
		u.Keys += n.Keys
	}
	return u
}

// Answer implements [store.Engine].
func (e *Engine) Answer(_ context.Context, id object.ID, call store.CallKey) (store.Answer, bool, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	a, ok := e.lookup(id.Tenant()).answers[id][call]
	if !ok || store.Expired(a.expires, e.Clock.Millis()) {
		return store.Answer{}, false, nil
	}
	return a.Answer, true, nil
}

// Settle implements [store.Engine].
func (e *Engine) Settle(context.Context, object.ID) error { return nil }

// Usage implements [store.Engine].
func (e *Engine) Usage(_ context.Context, id object.Tenant) (store.Usage, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	t := e.lookup(id)
	t.purge(e.Clock.Millis())
	return t.usage(), nil
}

// Objects implements [store.Engine].
func (e *Engine) Objects(_ context.Context, id object.Tenant, after object.ID, limit int) ([]store.ObjectUsage, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	t := e.lookup(id)
	t.purge(e.Clock.Millis())
	var list []store.ObjectUsage
	for _, id := range slices.Sorted(maps.Keys(t.objects)) {
		u := size(t.objects[id], t.answers[id])
		if id > after && u.Bytes > 0 && len(list) < limit {
			list = append(list, store.ObjectUsage{Object: id, Bytes: u.Bytes, Keys: u.Keys})
		}
	}
	return list, nil
}

// Release implements [store.Engine].
func (e *Engine) Release(object.Tenant) error { return nil }

// Close implements [store.Engine].
func (e *Engine) Close() error { return nil }
