package sandbox

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/services"
	"github.com/hearthhost/hearth/service/store"
	"github.com/hearthhost/hearth/service/store/memory"
)

// recordedStore is a store in memory that records its commits, and may fail.
type recordedStore struct {
	memory.Engine
	lockMu  sync.RWMutex
	fail    error
	key     string // idempotency key of the running call
	reads   int    // calls of Get
	commits []*store.Batch
	events  *[]string
}

func (s *recordedStore) Get(ctx context.Context, id object.ID, key string) (store.Item, error) {
	s.reads++
	return s.Engine.Get(ctx, id, key)
}

func (s *recordedStore) Commit(ctx context.Context, b *store.Batch) (store.Result, error) {
	if s.fail != nil {
		return store.Result{}, s.fail
	}
	s.commits = append(s.commits, b)
	if b.Answer != nil { // the host adds these
		b.Answer.Call, b.Answer.TTL = store.CallKey{Principal: "user:a", Key: s.key}, time.Hour
	}
	if s.events != nil {
		*s.events = append(*s.events, fmt.Sprintf("commit %d", len(b.Writes)))
	}
	return s.Engine.Commit(ctx, b)
}

func (s *recordedStore) Lock(_ context.Context, _ object.ID, shared bool) error {
	if shared {
		s.lockMu.RLock()
	} else {
		s.lockMu.Lock()
	}
	return nil
}

func (s *recordedStore) Unlock(_ object.ID, shared bool) {
	if shared {
		s.lockMu.RUnlock()
	} else {
		s.lockMu.Unlock()
	}
}

// Call implements [services.Objects].
func (s *recordedStore) Call(_ context.Context, c *services.ObjectCall) error {
	*s.events = append(*s.events, "call "+string(c.To))
	return c.Result.Null()
}

// storeState returns a state of an object with a store.
func storeState(t *testing.T, mode, source string) (*State, *recordedStore) {
	t.Helper()
	st := &recordedStore{events: new([]string)}
	p, err := Load(t.Context(), Config{
		ID: "acme.box",
		Source: []byte("local s = hearth.store\nlocal Box = hearth.object { instance = '" + mode + "' }\n" + source +
			"\nreturn Box"),
		Services: services.Set{Store: st, Objects: st},
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.NewState(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(context.Background()) })
	if err := s.NewInstance(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return s, st
}

// callStore calls a method and returns its result as JSON, or its exception's text.
func callStore(t *testing.T, s *State, method string, args ...any) (string, error) {
	t.Helper()
	enc := codec.ByID(codec.JSON).NewEncoder(nil)
	out, err := s.Call(t.Context(), &Request{
		Kind:   object.Invoke,
		Method: object.Method(method),
		Args: func(to object.Sink) error {
			return errors.Join(codec.Write(to, codec.Tuple(args)), to.Null())
		},
		Result:      enc,
		ResetResult: func() { enc.Reset(nil) },
	})
	if err != nil {
		return "", err
	}
	if out.Exception {
		return "! " + out.Raised, nil
	}
	doc, err := enc.Document()
	return string(doc), err
}

func wantStore(t *testing.T, s *State, want, method string, args ...any) {
	t.Helper()
	if got, err := callStore(t, s, method, args...); err != nil || got != want && !strings.HasSuffix(want, "…") ||
		!strings.HasPrefix(got, strings.TrimSuffix(want, "…")) {
		t.Errorf("%s%v = %s, %v, want %s", method, args, got, err, want)
	}
}

const boxSource = `
function Box.expose:put(k, v, o) return s.put(k, v, o) end
function Box.expose:get(k) local v, n = s.get(k) return v, n end
function Box.expose:delete(k) s.delete(k) end
function Box.expose:add(k, n) return s.increment(k, n) end
function Box.expose:list(o)
  local all = {}
  for k, v in s.list(o) do all[#all + 1] = k .. "=" .. tostring(v) end
  return table.concat(all, " ")
end
function Box.expose:fail() s.put("failed", 1) error("no") end
function Box.expose:own()
  s.put("a", 1)
  s.put("a", 2)
  local v = s.get("a")
  s.delete("a")
  local none = s.get("a")
  s.put("b/1", 5)
  s.put("b/3", 6)
  s.delete("b/2")
  local n = s.increment("b/3", 4)
  return v, none, n, Box.expose.list(self, { prefix = "b/" }), Box.expose.list(self, { prefix = "b/", reverse = true, limit = 2 })
end
function Box.expose:effect(...)
  s.put("x", 1)
  hearth.proxy("acme.other"):m()
  s.put("y", 2)
end
function Box.expose:items()
  local i = 0
  return hearth.stream(function()
    i = i + 1
    s.put("item", i)
    if i < 3 then return i end
  end)
end
function Box.expose:move(n)
  return s.transaction(function(tx)
    tx.put("a", (tx.get("a") or 10) - n)
    tx.put("b", (tx.get("b") or 0) + n)
    if tx.get("a") < 0 then error("too little") end
    return tx.get("a"), tx.get("b")
  end)
end
function Box.expose:nested() s.transaction(function() s.transaction(function() end) end) end
function Box.expose:callout() s.transaction(function() hearth.proxy("acme.other"):m() end) end
`

// TestStore runs the operations in each mode.
func TestStore(t *testing.T) {
	for _, mode := range []string{"single", "session", "call"} {
		t.Run(mode, func(t *testing.T) {
			s, st := storeState(t, mode, boxSource)
			wantStore(t, s, "[null, 0]", "get", "total")
			wantStore(t, s, "true", "put", "total", 3)
			wantStore(t, s, "[3, 1]", "get", "total")
			wantStore(t, s, "false", "put", "total", 4, map[string]any{"if_version": 9})
			wantStore(t, s, "true", "put", "total", 4, map[string]any{"if_version": 1})
			wantStore(t, s, "false", "put", "total", 4, map[string]any{"if_version": 1})
			wantStore(t, s, "[4, 2]", "get", "total")
			wantStore(t, s, "true", "put", "fresh", 1, map[string]any{"if_version": 0, "ttl": 60})
			wantStore(t, s, "null", "delete", "fresh")
			wantStore(t, s, "1", "add", "hits", nil)
			wantStore(t, s, "-4", "add", "hits", -5)
			wantStore(t, s, "true", "put", "t", 5)
			wantStore(t, s, `! TypeError: store: the value of "t" is not an integer…`, "add", "t", 1<<53-1)
			wantStore(t, s, `"hits=-4 t=5 total=4"`, "list", nil)
			wantStore(t, s, "null", "delete", "t")
			commits := len(st.commits)
			wantStore(t, s, `! RuntimeError: acme/box.lua:…`, "fail")
			wantStore(t, s, "[null, 0]", "get", "failed")
			if n := len(st.commits) - commits; n != 0 {
				t.Errorf("%d commits of a call that failed", n)
			}
			wantStore(t, s, `[2, null, 10, "b/1=5 b/3=10", "b/3=10 b/1=5"]`, "own")
			wantStore(t, s, "[4, 6, 0]", "move", 6)
			wantStore(t, s, "! RuntimeError: acme/box.lua:…", "move", 6)
			wantStore(t, s, `"a=4 b=6 b/1=5 b/3=10 hits=-4 total=4"`, "list", nil)
			wantStore(t, s, "! RuntimeError: acme/box.lua:…", "nested")
			wantStore(t, s, "! RuntimeError: acme/box.lua:…", "callout")
		})
	}
}

// TestOperatorWrites changes keys between the calls of an instance, as an operator does. The instance keeps no value
// and no version of a former call: each call reads the store, and a conditional write compares the version in it.
func TestOperatorWrites(t *testing.T) {
	for _, mode := range []string{"single", "keyed", "session", "call"} {
		t.Run(mode, func(t *testing.T) {
			s, st := storeState(t, mode, boxSource)
			for i := range 3 {
				version := int64(2*i + 1)
				_, err := st.Engine.Commit(t.Context(), &store.Batch{Object: "acme.box", Writes: []store.Write{
					{Op: store.Put, Key: "k", Value: fmt.Append(nil, i), If: store.AnyVersion},
				}})
				if err != nil {
					t.Fatal(err)
				}
				wantStore(t, s, fmt.Sprintf("[%d, %d]", i, version), "get", "k")
				wantStore(t, s, fmt.Sprintf(`"k=%d"`, i), "list", nil)
				if i == 2 {
					break
				}
				_, err = st.Engine.Commit(t.Context(), &store.Batch{Object: "acme.box", Writes: []store.Write{
					{Op: store.Put, Key: "k", Value: []byte("100"), If: store.AnyVersion},
				}})
				if err != nil {
					t.Fatal(err)
				}
				wantStore(t, s, "false", "put", "k", 1, map[string]any{"if_version": version})
			}
			wantStore(t, s, "true", "put", "k", 7, map[string]any{"if_version": 5})
			wantStore(t, s, "12", "add", "k", 5)
		})
	}
}

// TestOperatorWriteAfterRead changes a key after a call that has only read it. The next call succeeds with the new
// version.
func TestOperatorWriteAfterRead(t *testing.T) {
	s, st := storeState(t, "single", boxSource)
	wantStore(t, s, "true", "put", "k", 1)
	wantStore(t, s, "[1, 1]", "get", "k")
	_, err := st.Engine.Commit(t.Context(), &store.Batch{Object: "acme.box", Writes: []store.Write{
		{Op: store.Put, Key: "k", Value: []byte("5"), If: store.AnyVersion},
	}})
	if err != nil {
		t.Fatal(err)
	}
	wantStore(t, s, "true", "put", "k", 6, map[string]any{"if_version": 2})
}

// TestStoreValues stores values and reads them in another state.
func TestStoreValues(t *testing.T) {
	s, _ := storeState(t, "single", boxSource+`
function Box.expose:keep() s.put("all", { true, 1.5, "text", hearth.bytes("\255"), { a = { 1, 2 } }, hearth.tuple { 1 },
  hearth.null, hearth.int("123456789012345678901234567890") }) end
function Box.expose:check()
  local all = s.get("all")
  assert(all[1] == true and all[2] == 1.5 and all[3] == "text" and tostring(all[4]) == "\255")
  assert(all[5].a[2] == 2 and all[7] == hearth.null)
  assert(tostring(all[8]) == "123456789012345678901234567890")
  return all
end
`)
	wantStore(t, s, "null", "keep")
	wantStore(t, s, `[true, 1.5, "text", …`, "check")
}

// TestStoreErrors gives the functions wrong arguments. Each error names the fault.
func TestStoreErrors(t *testing.T) {
	for call, want := range map[string]string{
		`s.get()`:                      "bad argument #1 to 'get' (string expected, got no value)",
		`s.get("")`:                    "store: key is empty",
		`s.get(("k"):rep(513))`:        "store: key is 513 bytes, at most 512",
		`s.get("\255")`:                "store: key is not UTF-8",
		`s.get("a\0b")`:                "store: key contains U+0000",
		`s.put("k")`:                   "a value is required; delete removes a key",
		`s.put("k", {1, {f = print}})`: "store.put: value[2].f is a function",
		`s.put("k", coroutine.create(function() end))`:        "store.put: value is a thread",
		`s.put("k", "\255")`:                                  "store.put: value is a text that is not UTF-8",
		`s.put("k", 1, { tll = 1 })`:                          "unknown option; the options are if_version and ttl",
		`s.put("k", 1, { ttl = 0 })`:                          "ttl must be seconds",
		`s.put("k", 1, { ttl = -1 })`:                         "ttl must be seconds",
		`s.put("k", 1, { ttl = 0/0 })`:                        "ttl must be seconds",
		`s.put("k", 1, { ttl = math.huge })`:                  "ttl must be seconds",
		`s.put("k", 1, { ttl = "1" })`:                        "ttl must be a number",
		`s.put("k", 1, { if_version = -1 })`:                  "if_version must be a version",
		`s.increment("k", 0.5)`:                               "an integer of at most 2^53 is required",
		`s.list { limit = 0 }`:                                "limit must be an integer of at least 1",
		`s.list { foo = 1 }`:                                  "unknown option",
		`s.list { prefix = "\255" }`:                          "store: prefix is not UTF-8",
		`s.put("k", ("x"):rep(1048576))`:                      `store: the value of "k" is 1048578 bytes`,
		`s.transaction()`:                                     "function expected",
		`for i = 1, 20000 do s.put("k", i) end`:               "store: more than 10000 writes in one call",
		`for i = 1, 20 do s.put("k", ("x"):rep(1000000)) end`: "store: the writes of one call are more than 8388608",
	} {
		s, st := storeState(t, "single", "function Box.expose:m() "+call+" end")
		if got, err := callStore(t, s, "m"); err != nil || !strings.Contains(got, want) {
			t.Errorf("%s: %s, %v, want %q", call, got, err, want)
		}
		if len(st.commits) != 0 {
			t.Errorf("%s: %d commits", call, len(st.commits))
		}
	}
}

// TestOutputGate makes calls with effects. The writes before each effect are committed before it.
func TestOutputGate(t *testing.T) {
	s, st := storeState(t, "single", boxSource)
	wantStore(t, s, "null", "effect")
	if got := fmt.Sprint(*st.events); got != "[commit 1 call acme.other commit 1]" {
		t.Errorf("events: %s", got)
	}
	out, err := s.Call(t.Context(), &Request{Kind: object.Invoke, Method: "items", Result: object.Discard{},
		Args: func(to object.Sink) error { return errors.Join(codec.Write(to, codec.Tuple{}), to.Null()) }})
	if err != nil || out.Stream == nil {
		t.Fatal(out, err)
	}
	for i := range 3 {
		before := len(st.commits)
		if _, _, err := out.Stream.Next(t.Context(), &Request{Result: object.Discard{}}); err != nil {
			t.Fatal(err)
		}
		if n := len(st.commits) - before; n != 1 {
			t.Errorf("%d commits before item %d", n, i)
		}
	}
}

// TestFailedCommit lets commits fail. The caller receives the error and no result, and the instance ends.
func TestFailedCommit(t *testing.T) {
	for _, method := range []string{"put", "effect"} {
		s, st := storeState(t, "single", boxSource)
		st.fail = store.ErrFenced
		got, err := callStore(t, s, method, "k", 1)
		if e, ok := errors.AsType[*object.Error](err); !ok || e.Code != object.CodeUnavailable ||
			!strings.Contains(e.Msg, "not stored") {
			t.Errorf("%s returns %s, %v", method, got, err)
		}
		if len(*st.events) != 0 {
			t.Errorf("events after a failed commit: %s", *st.events)
		}
		if _, err := callStore(t, s, "get", "k"); err == nil {
			t.Error("the instance answers calls after a failed commit")
		}
	}
}

// TestHooksUseTheStore uses the store in init, close and handover.
func TestHooksUseTheStore(t *testing.T) {
	s, st := storeState(t, "single", `
function Box:init() s.increment("starts") end
function Box:close() s.increment("ends") end
function Box:handover() s.increment("handovers") return 1 end
function Box.expose:n() return s.get("starts"), s.get("ends"), s.get("handovers") end
`)
	if err := s.NewInstance(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	wantStore(t, s, "[2, 1, null, 0]", "n")
	if _, err := s.Handover(t.Context(), object.Discard{}); err != nil {
		t.Fatal(err)
	}
	if it, _ := st.Get(t.Context(), "acme.box", "handovers"); string(it.Value) != "1" {
		t.Errorf("handovers = %s", it.Value)
	}
}

// TestStoreInTests runs two tests of a script. Each begins with an empty store, and a method that fails stores nothing.
func TestStoreInTests(t *testing.T) {
	results, err := RunTests(t.Context(), Config{
		ID: "acme.box",
		Source: []byte(`local s = hearth.store
local Box = hearth.object { instance = "single" }
function Box.expose:add() return s.increment("n") end
function Box.expose:fail() s.increment("n") error("no") end
return Box`),
	}, "box.test.lua", []byte(`
local function run()
  local a, b = new(), new()
  assert(a:add() == 1)
  assert(not pcall(function() a:fail() end))
  assert(b:add() == 2)
end
return { first = run, second = run }`))
	for _, r := range results {
		if r.Err != "" {
			t.Errorf("%s: %s", r.Name, r.Err)
		}
	}
	if err != nil || len(results) != 2 {
		t.Errorf("%d results, %v", len(results), err)
	}
}

// TestOnce makes calls that are executed at most once. The reply is committed with the writes, or an exception without
// them. Before another object is called, it is committed that the call has begun.
func TestOnce(t *testing.T) {
	s, st := storeState(t, "single", boxSource+"function Box.expose:large(...) return ('x'):rep(70000) end")
	once := func(retry bool, method string, args ...any) (Outcome, error) {
		t.Helper()
		enc := codec.ByID(codec.JSON).NewEncoder(nil)
		return s.Call(t.Context(), &Request{
			Kind:   object.Invoke,
			Method: object.Method(method),
			Args: func(to object.Sink) error {
				return errors.Join(codec.Write(to, codec.Tuple(args)), to.Null())
			},
			Result:      enc,
			ResetResult: func() { enc.Reset(nil) },
			Once:        true,
			Retry:       retry,
			Reply: func(max int) ([]byte, bool) {
				doc, err := enc.Document()
				return doc, err == nil && len(doc) <= max
			},
		})
	}
	for _, tc := range []struct {
		method string
		retry  bool
		args   []any
		want   []store.Answer
		writes int
	}{
		{"add", false, []any{"n"}, []store.Answer{{State: store.Done, Payload: []byte("1")}}, 1},
		{"fail", false, nil, []store.Answer{{State: store.Done, Exception: true}}, 0},
		{"large", false, nil, []store.Answer{{State: store.Dropped}}, 0},
		{"effect", false, []any{"n"},
			[]store.Answer{{State: store.Begun}, {State: store.Done, Payload: []byte("null")}}, 2},
		// A call that is executed again after a failure stores the reply of its success only.
		{"add", true, []any{"n"}, []store.Answer{{State: store.Done, Payload: []byte("2")}}, 1},
		{"fail", true, nil, nil, 0},
	} {
		st.commits, st.key = nil, fmt.Sprint(tc.method, tc.retry)
		if _, err := once(tc.retry, tc.method, tc.args...); err != nil {
			t.Errorf("%s: %v", tc.method, err)
		}
		writes := 0
		if len(st.commits) != len(tc.want) {
			t.Errorf("%s: %d commits, want %d", tc.method, len(st.commits), len(tc.want))
			continue
		}
		for i, b := range st.commits {
			writes += len(b.Writes)
			got, want := *b.Answer, tc.want[i]
			if got.Exception {
				got.Payload = nil
			}
			if got.State != want.State || got.Exception != want.Exception ||
				string(got.Payload) != string(want.Payload) {
				t.Errorf("%s: answer %+v, want %+v", tc.method, got, want)
			}
		}
		if writes != tc.writes {
			t.Errorf("%s: %d writes, want %d", tc.method, writes, tc.writes)
		}
	}
	// Its writes before a call of another object are committed without an answer.
	st.commits, st.key = nil, "effect-again"
	if _, err := once(true, "effect", "n"); err != nil || len(st.commits) != 2 || st.commits[0].Answer != nil ||
		st.commits[1].Answer == nil || st.commits[1].Answer.State != store.Done {
		t.Errorf("an effect: %+v, %v", st.commits, err)
	}
	if _, err := once(false, "items"); object.CodeOf(err) != object.CodeInvalid {
		t.Errorf("a stream: %v", err)
	}
	st.commits = nil
	if _, err := once(false, "fail", "n"); object.CodeOf(err) != object.CodeInvalid || len(st.commits) != 0 {
		t.Errorf("wrong arguments: %v, %d commits", err, len(st.commits))
	}
	other, _ := storeState(t, "call", boxSource)
	if _, err := other.Call(t.Context(), &Request{Method: "get", Once: true}); err != errNotOnce {
		t.Errorf("an object of mode call: %v", err)
	}
}

// TestLastIncrement increments keys in methods that end with it: the host adds in the commit, and nothing is read.
// Elsewhere the sum is required before the script continues.
func TestLastIncrement(t *testing.T) {
	s, st := storeState(t, "single", `
local function helper(k) return s.increment(k, 2) end
function Box.expose:last(k) return s.increment(k) end
function Box.expose:helped(k) return helper(k) end
function Box.expose:after(k) s.put("other", "x") return s.increment(k) end
function Box.expose:pair(k) return s.increment(k), 1 end
function Box.expose:caught(k) return pcall(s.increment, k) end
function Box.expose:thread(k) return coroutine.wrap(function() return s.increment(k) end)() end
function Box.expose:moved(k) return s.transaction(function() return s.increment(k) end) end
function Box.expose:read(k) s.get(k) return s.increment(k) end
function Box.expose:twice(k) s.increment(k) return s.increment(k) end
function Box.expose:own(k) s.put(k, 40) return s.increment(k) end
function Box.expose:bad(k) s.put("third", "y") return s.increment(k) end
function Box.expose:total(k) return (s.get(k)) end
`)
	for _, tc := range []struct {
		method, want string
		reads        int
	}{
		{"last", "1", 0}, {"helped", "3", 0}, {"after", "4", 0}, {"pair", "[5, 1]", 1}, {"caught", "[true, 6]", 1},
		{"thread", "7", 1}, {"moved", "8", 1}, {"read", "9", 2}, {"twice", "11", 1}, {"own", "41", 0},
		{"total", "41", 1},
	} {
		reads, commits := st.reads, len(st.commits)
		wantStore(t, s, tc.want, tc.method, "n")
		if n := st.reads - reads; n != tc.reads {
			t.Errorf("%s reads %d times, want %d", tc.method, n, tc.reads)
		}
		if n := len(st.commits) - commits; n != 1 && tc.method != "total" {
			t.Errorf("%s commits %d times", tc.method, n)
		}
	}
	wantStore(t, s, `! TypeError: store: the value of "other" is not an integer…`, "bad", "other")
	wantStore(t, s, `"x"`, "total", "other")
	wantStore(t, s, "null", "total", "third") // the writes of a method that fails are dropped
	st.fail = store.ErrFenced
	if got, err := callStore(t, s, "last", "n"); err == nil || !strings.Contains(object.SafeText(err), "not stored") {
		t.Errorf("an increment that fails returns %s, %v", got, err)
	}
	if _, err := callStore(t, s, "total", "n"); err == nil {
		t.Error("the instance answers calls after a failed commit")
	}
}
