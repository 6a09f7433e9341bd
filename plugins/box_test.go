//go:build linux

package plugins_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/plugins"
	"github.com/hearthhost/hearth/service/store"
	"github.com/hearthhost/hearth/service/store/memory"
	"github.com/hearthhost/hearth/service/storecall"
)

// pythonBox is the part of misbehave with the boxes, in Python.
const pythonBox = `
import hearth_plugin as hearth
from hearth_plugin import store

class Box:
    def __init__(self):
        self.n = 0

    @hearth.method
    def put(self, key: str, v) -> bool:
        return store.put(key, v)

    @hearth.method
    def put_if(self, key, v, version):
        return store.put(key, v, if_version=version)

    @hearth.method
    def get(self, key):
        return store.get(key)

    @hearth.method
    def version(self, key):
        return store.version(key)

    @hearth.method
    def delete(self, key):
        store.delete(key)

    @hearth.method
    def add(self, key, n):
        return store.increment(key, n)

    @hearth.method
    def keys(self, prefix, reverse, limit):
        store.put(prefix + "150x", True)
        store.put(prefix + "x", True)
        store.delete(prefix + "151")
        raise ValueError([k for k, v in store.list(prefix=prefix, reverse=reverse, limit=limit or None)])

    @hearth.method
    def fail(self, key):
        store.put(key, "failed")
        raise ValueError("no")

    @hearth.method
    def count(self):
        self.n += 1
        return [self.n, store.increment("count")]

    @hearth.method
    def relay(self, id):
        store.put("before", 1)
        v = hearth.call(id, "see")
        store.put("after", 1)
        return v

    @hearth.method
    def transfer(self, a, b, n):
        def move():
            x, y = store.get(a, 0), store.get(b, 0)
            store.put(a, x - n)
            store.put(b, y + n)
            if x < n:
                raise ValueError("too little")
            return x + y
        return store.transaction(move)

    @hearth.method
    def inside(self, id):
        store.transaction(lambda: hearth.call(id, "see"))

    @hearth.method
    def items(self, n):
        for _ in range(n):
            yield store.increment("items")

    @hearth.method
    def big(self, n):
        store.put("big", bytes(n))

@hearth.plugin(mode="single", name="box")
class Single(Box):
    pass

@hearth.plugin(mode="call", name="calls")
class Calls(Box):
    pass

hearth.serve(Single, Calls)
`

// engine is a store whose commits can fail and be counted.
type engine struct {
	*storecall.DirectStore
	commits atomic.Int64
	fails   atomic.Pointer[object.Error]
	answers atomic.Pointer[func()] // runs when the answer of a call is stored
}

func (e *engine) Commit(ctx context.Context, b *store.Batch) (store.Result, error) {
	e.commits.Add(1)
	if err := e.fails.Load(); err != nil {
		return store.Result{}, err
	}
	r, err := e.DirectStore.Commit(ctx, b)
	if f := e.answers.Load(); f != nil && err == nil && b.Answer != nil && b.Answer.State == store.Done {
		(*f)()
	}
	return r, err
}

func newEngine() *engine {
	limits := store.Limits{ValueBytes: 1000, ObjectBytes: 20_000, TenantBytes: 100_000}
	return &engine{DirectStore: storecall.Direct(&memory.Engine{}, func(object.ID) store.Limits { return limits })}
}

// TestStore uses durable state from both SDKs.
func TestStore(t *testing.T) {
	t.Parallel()
	for language, executable := range map[string]func(*testing.T) string{
		"go":     func(*testing.T) string { return filepath.Join(built, "misbehave") },
		"python": func(t *testing.T) string { return python(t, pythonBox) },
	} {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			cfg, log := prepare(t, "boxes", executable(t))
			box, calls := cfg.ID+".box", cfg.ID+".calls"
			cfg.Objects = append(cfg.Objects, box, calls)
			cfg.Unconfined = true // Python needs files of the system
			e := newEngine()
			cfg.Store = e
			var seen string // keys when another object was called
			cfg.ObjectCall = func(ctx context.Context, from object.ID, _ bool, c *object.Call) (object.Reply, error) {
				items, _, err := e.List(ctx, from, store.Range{Limit: 100})
				for _, it := range items {
					seen += it.Key + " "
				}
				if err != nil {
					return object.Reply{}, err
				}
				doc, err := codec.Append(codec.ByName(strings.TrimPrefix(string(c.Format), "pyro5/")), nil, "seen")
				return object.Reply{Payload: doc}, err
			}
			p := runs(t, cfg)
			for _, id := range []object.ID{box, calls} {
				storeOf(t, p, e, id)
			}
			// Each object has its own state.
			if v, err := invoke(t, p, box, "put", "own", "box"); v != true || err != nil {
				t.Error(v, err)
			}
			if v, err := invoke(t, p, calls, "get", "own"); v != nil || err != nil {
				t.Errorf("the other object reads %v, %v", v, err)
			}
			seen = ""
			if v, err := invoke(t, p, calls, "relay", "acme.other"); v != "seen" || err != nil {
				t.Errorf("relay = %v, %v", v, err)
			}
			if !strings.Contains(seen, "before ") || strings.Contains(seen, "after ") {
				t.Errorf("the other object has seen %s", seen)
			}
			parallel(t, p, calls)
			if t.Failed() {
				t.Log(log.String())
			}
		})
	}
}

// storeOf uses the state of one object.
func storeOf(t *testing.T, p *plugins.Plugin, e *engine, id object.ID) {
	t.Helper()
	want := func(want any, method string, args ...any) {
		t.Helper()
		got, err := invoke(t, p, id, method, args...)
		if ex, ok := got.(*codec.Exception); ok {
			got = fmt.Sprint("! ", ex.Class, ex.Args)
		} else if err != nil {
			got = "! " + err.Error()
		}
		text := fmt.Sprint(want)
		if fmt.Sprint(got) != text && !(strings.HasPrefix(text, "! ") && strings.HasPrefix(fmt.Sprint(got), "! ") &&
			strings.Contains(fmt.Sprint(got), text[2:])) {
			t.Errorf("%s.%s(%v) = %v, want %v", id, method, args, got, want)
		}
	}
	for _, v := range []any{true, int64(-7), 1.5, 2.0, "ä'\"\n", []byte{0, 255}, []any{int64(1), "b"},
		codec.Tuple{int64(1)}, codec.Set{int64(1)}, map[string]any{"a": []any{}, "$b": int64(1)}} {
		want(true, "put", "k", v)
		want(v, "get", "k")
	}
	want(nil, "get", "missing")
	want(nil, "delete", "k")
	want(nil, "get", "k")
	want("! no", "fail", "k")
	want(nil, "get", "k")
	want(0, "version", "v")
	want(true, "put_if", "v", "first", 0)
	want(false, "put_if", "v", "second", 0)
	want("first", "get", "v")
	want(5, "add", "n", 5)
	want(3, "add", "n", -2)
	want("! TypeError", "add", "v", 1)
	want("! ValueError", "put", "", 1)
	want("! ValueError", "put", strings.Repeat("k", 600), 1)
	for i := range 205 {
		want(true, "put", fmt.Sprintf("list/%03d", i), i)
	}
	want("! list/149 list/150 list/150x list/152", "keys", "list/", false, 154)
	reversed, _ := invoke(t, p, id, "keys", "list/", true, 0)
	text := fmt.Sprint(reversed.(*codec.Exception).Args)
	if !strings.HasPrefix(text, "[[list/x list/204 list/203 ") || !strings.HasSuffix(text, " list/001 list/000]]") ||
		len(strings.Fields(text)) != 206 || !strings.Contains(text, "list/152 list/150x list/150 list/149") {
		t.Errorf("a list in reverse: %s", text)
	}
	want(true, "put", "a", 10)
	want(10, "transfer", "a", "b", 4)
	want("! too little", "transfer", "a", "b", 7)
	want(6, "get", "a")
	want(4, "get", "b")
	want("! cannot call other objects", "inside", "acme.other")
	// Beyond a limit or a quota writes fail and reads succeed.
	want("! at most 1000 (store_value)", "big", 1000)
	full := error(nil)
	for i := 0; full == nil && i < 30; i++ {
		_, full = invoke(t, p, id, "put", fmt.Sprint("fill", i), strings.Repeat("x", 900))
	}
	wantCode(t, full, object.CodeExhausted, "more than 20000 bytes (object_store); not stored")
	want(6, "get", "a")
	for i := range 30 {
		want(nil, "delete", fmt.Sprint("fill", i))
	}
	// Items are stored before they leave.
	c := newCall(id, "items", 2)
	r, err := p.Invoke(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		item, more, err := p.Next(context.Background(), newCall(id, "items"), r.Stream)
		v, _ := e.Get(context.Background(), id, "items")
		if err != nil || !more || string(v.Value) != fmt.Sprint(i+1) {
			t.Errorf("%s: item %s, %v, %v; %s is stored", id, item.Payload, more, err, v.Value)
		}
	}
	p.CloseStream(r.Stream)
	// A failed commit ends the instance: memory is not ahead of the disk.
	first := map[bool]int{true: 2, false: 1}[strings.HasSuffix(string(id), "box")]
	want([]any{int64(1), int64(1)}, "count")
	want([]any{int64(first), int64(2)}, "count")
	e.fails.Store(object.Errorf(object.CodeUnavailable, "store: the disk is full; not stored"))
	want("! not stored", "count")
	want("! not stored", "put", "k", "lost")
	want(2, "get", "count")
	e.fails.Store(nil)
	want([]any{int64(1), int64(3)}, "count")
	want(nil, "get", "k")
	// The writes of a call are one commit.
	before := e.commits.Load()
	want(10, "transfer", "a", "b", 1)
	if n := e.commits.Load() - before; n != 1 {
		t.Errorf("%s: a transaction makes %d commits", id, n)
	}
}

// parallel increments and transfers in many calls.
func parallel(t *testing.T, p *plugins.Plugin, id object.ID) {
	t.Helper()
	if _, err := invoke(t, p, id, "put", "a", 100); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 5 {
				_, err := call(p, id, "add", "parallel", 1)
				_, err2 := call(p, id, "transfer", "a", "c", 1)
				if err := errors.Join(err, err2); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	for key, want := range map[string]int64{"parallel": 40, "a": 60, "c": 40} {
		if v, err := invoke(t, p, id, "get", key); v != want || err != nil {
			t.Errorf("%s is %v, %v, want %d", key, v, err, want)
		}
	}
}
