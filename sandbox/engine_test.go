package sandbox_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox"
	"github.com/hearthhost/hearth/sandbox/services"
)

// expr runs one method body and compares its result.
func expr(t *testing.T, body string, want any, args ...any) {
	t.Helper()
	t.Run(body, func(t *testing.T) { start(t, method(body)).call("f", args...).want(t, want) })
}

func TestLibraries(t *testing.T) {
	for _, tt := range []struct {
		body string
		want any
	}{
		{"return ('hello world'):find('o w')", codec.Tuple{int64(5), int64(7)}},
		{"return ('hello'):find('l+')", codec.Tuple{int64(3), int64(4)}},
		{"return ('hello'):find('xyz')", nil},
		{"return ('a.b'):find('.', 1, true)", codec.Tuple{int64(2), int64(2)}},
		{"return ('key = value'):match('^(%w+)%s*=%s*(%w+)$')", codec.Tuple{"key", "value"}},
		{"return ('  x '):gsub('^%s*(.-)%s*$', '%1')", codec.Tuple{"x", int64(1)}},
		{"return ('abc'):gsub('%w', '%0%0')", codec.Tuple{"aabbcc", int64(3)}},
		{"return ('abc'):gsub('', '-')", codec.Tuple{"-a-b-c-", int64(4)}},
		{"return ('abc'):gsub('b', {b = 'X'})", codec.Tuple{"aXc", int64(1)}},
		{"return ('abc'):gsub('%w', function(c) if c == 'b' then return 1 end end)", codec.Tuple{"a1c", int64(3)}},
		{"return ('THE (quick) fox'):find('%((%a+)%)')", codec.Tuple{int64(5), int64(11), "quick"}},
		{"return ('f(a(b)c)d'):match('%b()')", "(a(b)c)"},
		{"return ('THE fox'):gsub('%f[%a]%a+', 'w')", codec.Tuple{"w w", int64(2)}},
		{"return ('xx=xx'):match('^(%w+)=%1$')", "xx"},
		{"return ('ab'):match('()b()')", codec.Tuple{int64(2), int64(3)}},
		{"return ('[x]'):match('[]%]]')", "]"},
		{"return ('a-b'):match('[a%-]+')", "a-"},
		{"return ('2026-01-31'):match('(%d+)-(%d+)-(%d+)')", codec.Tuple{"2026", "01", "31"}},
		{"local t = {}; for k, v in ('a=1, b=2'):gmatch('(%w)=(%w)') do t[#t+1] = k .. v end; return t",
			[]any{"a1", "b2"}},
		{"return ('%5.2f|%-5s|%05d|%x|%q|%g|%s'):format(3.14159, 'ab', 42, 255, 'q\"', 1e20, 7)",
			` 3.14|ab   |00042|ff|"q\""|1e+20|7`},
		{"return ('%+d % d %5s %.2s %c %%'):format(5, 5, 'x', 'abc', 65)", "+5  5     x ab A %"},
		{"return ('%g %g %g'):format(0.1, 100, 1e-5)", "0.1 100 1e-05"},
		{"return ('abc'):byte(1, -1)", codec.Tuple{int64(97), int64(98), int64(99)}},
		{"return ('abc'):sub(-2), ('abc'):sub(0, 1), ('abc'):sub(3, 2)", codec.Tuple{"bc", "a", ""}},
		{"return ('ab'):rep(3), ('x'):rep(-1), ('aB'):upper(), ('ab'):reverse()",
			codec.Tuple{"ababab", "", "AB", "ba"}},
		{"return table.concat({1, 'a', 2.5}, ',')", "1,a,2.5"},
		{"local t = {1, 2, 3}; table.insert(t, 2, 9); table.remove(t, 1); return t",
			[]any{int64(9), int64(2), int64(3)}},
		{"local t = {3, 1, 2}; table.sort(t, function(x, y) return x > y end); return t",
			[]any{int64(3), int64(2), int64(1)}},
		{"return tonumber('0x10'), tonumber('1e3'), tonumber('z', 36), tonumber('1_0'), tonumber('x')",
			codec.Tuple{int64(16), int64(1000), int64(35), nil, nil}},
		{"math.randomseed(1); local a = math.random(10); math.randomseed(1); return a == math.random(10)", true},
		{"return select('#', pcall(error)), (pcall(error, 'x'))", codec.Tuple{int64(2), false}},
		{"return pcall(error, {1})", codec.Tuple{false, []any{int64(1)}}},
		{"return xpcall(function() error('x', 0) end, function(m) return m .. '!' end)", codec.Tuple{false, "x!"}},
		{"local co = coroutine.wrap(function(a) local b = coroutine.yield(a + 1); return b * 2 end); return co(1), " +
			"co(5)",
			codec.Tuple{int64(2), int64(10)}},
		{"local co = coroutine.create(function() error('x', 0) end); return coroutine.resume(co)",
			codec.Tuple{false, "x"}},
		{"return os.date('!%Y-%m-%d', 0), os.date('!*t', 0).year", codec.Tuple{"1970-01-01", int64(1970)}},
		{"return hearth.typeof({}), hearth.typeof(hearth.list{}), hearth.typeof(hearth.bytes('x'))",
			codec.Tuple{"table", "list", "bytes"}},
		{"return type(getmetatable('')), getmetatable(hearth.list{}), getmetatable(string)",
			codec.Tuple{"table", "list", nil}},
	} {
		expr(t, tt.body, tt.want)
	}
}

// TestCoroutines checks cases beyond the VM: fewer values than a yield expects, and a coroutine that resumes the one
// that waits for it.
func TestCoroutines(t *testing.T) {
	const create = "local co = coroutine.create(function(...) %s end); coroutine.resume(co, 1, 2); return " +
		"coroutine.resume(co%s)"
	for _, tc := range []struct {
		body, more string
		want       any
	}{
		{"local x = coroutine.yield(); return type(x)", "", codec.Tuple{true, "nil"}},
		{"local a = 'a'; local x, y, z = coroutine.yield(); return a, x, y, z", ", 3",
			codec.Tuple{true, "a", int64(3), nil, nil}},
		{"return select('#', coroutine.yield())", "", codec.Tuple{true, int64(0)}},
		{"return select('#', coroutine.yield())", ", nil, nil", codec.Tuple{true, int64(2)}},
		{"local function f() return coroutine.yield() end; local x, y = f(); return ..., x == nil, y == nil", ", 3",
			codec.Tuple{true, int64(1), false, true}},
		{"local t = {coroutine.yield()}; return #t", ", 3, 4", codec.Tuple{true, int64(2)}},
	} {
		expr(t, fmt.Sprintf(create, tc.body, tc.more), tc.want)
	}
	const running = "cannot resume normal coroutine"
	for _, tt := range []struct {
		body string
		want any
	}{
		{"local a a = coroutine.create(function() return coroutine.resume(a) end) return coroutine.resume(a)",
			codec.Tuple{true, false, "cannot resume running coroutine"}},
		{"local a a = coroutine.create(function() return coroutine.wrap(function() return coroutine.resume(a) " +
			"end)() end) return coroutine.resume(a)",
			codec.Tuple{true, false, running}},
		{"local a a = coroutine.wrap(function() return coroutine.wrap(function() return pcall(a) end)() end) return " +
			"(a())",
			false},
		{"local a a = coroutine.create(function() local b b = coroutine.wrap(function() return " +
			"coroutine.wrap(function() return coroutine.resume(a) end)() end) return b() end) return " +
			"coroutine.resume(a)",
			codec.Tuple{true, false, running}},
	} {
		expr(t, tt.body, tt.want)
	}
}

func TestHearthValues(t *testing.T) {
	for _, tt := range []struct {
		body string
		want any
	}{
		{"return -hearth.int('7') / 2, -hearth.int(7) % 2", codec.Tuple{int64(-4), int64(1)}},
		{"return hearth.int(2) * hearth.int('9007199254740993') - 1", int64(18014398509481985)},
		{"return hearth.int('5') == hearth.int(5), hearth.int(3) < hearth.int(4), tonumber(hearth.int(3))",
			codec.Tuple{true, true, int64(3)}},
		{"return 'n' .. hearth.int('12')", "n12"},
		{"return tostring(hearth.datetime('2026-01-31T12:00:00')), tostring(hearth.date('2026-01-31'))",
			codec.Tuple{"2026-01-31T12:00:00", "2026-01-31"}},
		{"return hearth.date('2026-01-31') < hearth.date('2026-02-01'), hearth.datetime(0) == hearth.datetime(0)",
			codec.Tuple{true, true}},
		{"return hearth.float(2) + 1, tostring(hearth.float(2))", codec.Tuple{int64(3), "2.0"}},
		{"return tostring(hearth.complex(1, -2)), -hearth.complex(1, 2) == hearth.complex(-1, -2)",
			codec.Tuple{"(1-2j)", true}},
		{"return hearth.bytes('abc'):sub(2), hearth.bytes('a') == hearth.bytes('a'), hearth.bytes('hi'):base64()",
			codec.Tuple{[]byte("bc"), true, "aGk="}},
		{"return hearth.list{1, nil, 3}", []any{int64(1), nil, int64(3)}},
		{"return {1, nil, 3}", codec.Dict{{Key: int64(1), Value: int64(1)}, {Key: int64(3), Value: int64(3)}}},
		{"return hearth.tuple{1, 2}, hearth.tuple(hearth.list{1}), hearth.list(1, nil)",
			codec.Tuple{codec.Tuple{int64(1), int64(2)}, codec.Tuple{int64(1)}, []any{int64(1), nil}}},
		{"return hearth.exception('ValueError', 'x').message", "x"},
		{"local ok, e = pcall(error, hearth.exception('ValueError', 'x')); return e.class, tostring(e)",
			codec.Tuple{"ValueError", "ValueError: x"}},
		{"local ok, e = pcall(assert, nil, hearth.exception('ValueError', 'x')); return e.class", "ValueError"},
		{"local ok, e = pcall(assert, nil, setmetatable({}, {})); return e",
			"bad argument #2 to '?' (string expected, got table)"},
		{"return -0/1 == 0, 1/3 > 0", codec.Tuple{true, true}},
	} {
		expr(t, tt.body, tt.want)
	}
}

// TestDictKeysSurvive checks that dict keys are unchanged, also those that are objects in Lua.
func TestDictKeysSurvive(t *testing.T) {
	h := start(t, method("return a"))
	for _, k := range []any{codec.Tuple{int64(1), "x"}, nil, true, 1.5, int64(-3), int64(0), int64(1) << 60, ""} {
		d := codec.Dict{{Key: k, Value: "v"}}
		r, enc := h.request(object.Invoke, "f", []any{d}, nil)
		if _, err := h.s.Call(t.Context(), r); err != nil {
			t.Errorf("key %v: %v", k, err)
			continue
		}
		got, err := enc.Document()
		if err != nil {
			t.Fatal(err)
		}
		want, err := codec.Append(codec.ByID(codec.Serpent), nil, d)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("key %v came back as %s, want %s", k, got, want)
		}
	}
}

// TestDictOrder checks that a dict keeps the order of its keys.
func TestDictOrder(t *testing.T) {
	h := start(t, method("a.last = 1; return a"))
	var keys []string
	var d codec.Dict
	for i := range 40 {
		keys = append(keys, fmt.Sprintf("k%d", (i*7)%40))
		d = append(d, codec.Pair{Key: keys[i], Value: nil})
	}
	r, enc := h.request(object.Invoke, "f", []any{d}, nil)
	if _, err := h.s.Call(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	doc, err := enc.Document()
	if err != nil {
		t.Fatal(err)
	}
	at := -1
	for _, k := range append(keys, "last") {
		n := bytes.Index(doc, []byte("'"+k+"'"))
		if n < at {
			t.Fatalf("%s is out of order in %s", k, doc)
		}
		at = n
	}
}

// TestHostileArguments checks that large arguments are bounded or rejected before they cost time or memory.
func TestHostileArguments(t *testing.T) {
	for _, tc := range []struct {
		arg         any
		code        object.Code
		class, text string
	}{
		{codec.Dict{{Key: int64(900_000), Value: int64(1)}, {Key: int64(2), Value: int64(1)}}, object.CodeOK, "", ""},
		{[]any{codec.Dict{{Key: int64(900_000), Value: int64(1)}}, codec.Dict{{Key: int64(900_000), Value: int64(1)}}},
			object.CodeTooLarge, "", "too far apart"},
		{map[string]any{"__class__": "SystemExit"}, object.CodeInvalid, "SerializeError",
			"unsupported serialized class: SystemExit"},
		{map[string]any{"__class__": "builtins.SystemExit", "__exception__": true, "args": []any{}},
			object.CodeInvalid, "SerializeError", "builtins.SystemExit"},
		{[]any{map[string]any{"__class__": "Pyro4.futures._ExceptionWrapper"}}, object.CodeInvalid, "SerializeError",
			"_ExceptionWrapper"},
		{map[string]any{"__class__": ""}, object.CodeInvalid, "SerializeError", ""},
		{map[string]any{"__class__": "a.__b__"}, object.CodeInvalid, "SecurityError", "double underscores"},
		{map[string]any{"__class__": "builtins.int"}, object.CodeInvalid, "SerializeError", "builtins.int"},
		{map[string]any{"__class__": int64(1)}, object.CodeInvalid, "SerializeError", ""},
	} {
		a := start(t, method("return 1")).call("f", tc.arg)
		var e *object.Error
		errors.As(a.err, &e)
		if object.CodeOf(a.err) != tc.code ||
			e != nil && (pyro.ErrorClass(e) != tc.class || !strings.Contains(e.Msg, tc.text)) {
			t.Errorf("%v: %v, want %v %s …%s…", tc.arg, a.err, tc.code, tc.class, tc.text)
		}
	}
}

// TestClassDictsChangeGeneration checks that Pyro's own values are data, with the names of the caller's generation.
func TestClassDictsChangeGeneration(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"{'__class__': 'Pyro4.core.URI', 'state': ('PYRO', 'x', None, 'h', 1)}",
			"{'__class__': 'Pyro5.core.URI', 'state': ('PYRO', 'x', None, 'h', 1)}"},
		{"{'__class__': 'Pyro4.core.Proxy', 'state': ('u', (), (), (), 1.5, 'b64:key', 'hello', 3, None)}",
			"{'__class__': 'Pyro5.client.Proxy', 'state': ('u', (), (), (), 'hello', None)}"},
		{"{'__class__': 'builtins.ValueError', '__exception__': True, 'args': (), 'attributes': {}}",
			"{'__class__': 'builtins.ValueError', '__exception__': True, 'args': (), 'attributes': {}}"},
		{"{'__class__': 'Pyro4.errors.NamingError', 'args': ()}", "{'__class__': 'Pyro5.errors.NamingError', " +
			"'args': ()}"},
	} {
		h := start(t, method("return a"))
		ser := codec.ByID(codec.Serpent)
		r, enc := h.request(object.Invoke, "f", nil, nil)
		payload := "('o','f',(" + tc.in + ",),{})"
		r.Args = func(to object.Sink) error { return pyro.DecodeCall(ser, []byte(payload), codec.Limits{}, to) }
		if _, err := h.s.Call(t.Context(), r); err != nil {
			t.Errorf("%s: %v", tc.in, err)
			continue
		}
		doc, err := enc.Document()
		if err != nil {
			t.Fatal(err)
		}
		clean := func(s string) string { return strings.NewReplacer(" ", "", "\n", "").Replace(s) }
		if _, got, _ := strings.Cut(string(doc), "\n"); clean(got) != clean(tc.want) {
			t.Errorf("got %s, want %s", got, tc.want)
		}
	}
}

func (h *host) batch(names []object.Method, calls []any) (sandbox.Outcome, any, error) {
	h.t.Helper()
	ser := codec.ByID(codec.Serpent)
	r, enc := h.request(object.Batch, "", nil, nil)
	doc, err := codec.Append(ser, nil, codec.Tuple{"o", "<batch>", calls, nil})
	if err != nil {
		h.t.Fatal(err)
	}
	r.Batch = names
	r.Args = func(to object.Sink) error { return pyro.DecodeCall(ser, doc, codec.Limits{}, to) }
	out, err := h.s.Call(h.t.Context(), r)
	if err != nil {
		return out, nil, err
	}
	return out, h.value(enc), nil
}

func triple(name string, args ...any) any {
	return codec.Tuple{name, codec.Tuple(args), map[string]any{}}
}

func TestBatch(t *testing.T) {
	h := start(t, counter)
	_, v, err := h.batch([]object.Method{"add", "add", "add"},
		[]any{triple("add", 1), triple("lies", 2), triple("add", 0)})
	if diff := cmp.Diff([]any{int64(1), int64(3), int64(3)}, v); diff != "" || err != nil {
		t.Errorf("batch: %v\n%s", err, diff)
	}
	_, v, err = h.batch([]object.Method{"add", "add", "add"},
		[]any{triple("add", 1), triple("add", "x"), triple("add", 1)})
	list, _ := v.([]any)
	if err != nil || len(list) != 2 || list[0] != int64(4) {
		t.Errorf("batch with an error = %v, %v; want 4 and a wrapper", v, err)
	}
	h.do(object.Get, "total", []any{"total"}, nil).want(t, int64(4))
	if _, _, err = h.batch([]object.Method{"add", "helper"},
		[]any{triple("add", 1), triple("helper")}); object.CodeOf(err) != object.CodeNotFound {
		t.Errorf("batch with a private name: %v", err)
	}
	h.do(object.Get, "total", []any{"total"}, nil).want(t, int64(4))
	if _, _, err = h.batch([]object.Method{"add"}, nil); object.CodeOf(err) != object.CodeInvalid {
		t.Errorf("fewer calls than names: %v", err)
	}
	h = start(t, method("if a == 2 then return print end; return a"))
	if _, v, err = h.batch([]object.Method{"f", "f", "f"},
		[]any{triple("f", 1), triple("f", 2), triple("f", 3)}); err != nil {
		t.Error(err)
	}
	if list, _ := v.([]any); len(list) != 2 || !strings.Contains(fmt.Sprint(list[1]), "_ExceptionWrapper") &&
		!strings.Contains(fmt.Sprintf("%+v", list[1]), "TypeError") {
		t.Errorf("a result that cannot be sent = %v; want it to end the batch", v)
	}
}

// TestBatchArguments checks that each call of a batch gets its own arguments, also if a call before it has called
// another object, whose result uses the same builder. An invalid batch is rejected before any call is run.
func TestBatchArguments(t *testing.T) {
	h := start(t, "local T = hearth.object{}\nlocal ran = 0\nfunction T.expose:f(...) ran = ran + 1; "+
		"hearth.proxy('acme.other'):add(...); return {...} end\nfunction T.expose:ran() return ran end\nreturn T")
	h.e.proxy = func(r *services.ObjectCall) error {
		var b codec.Builder
		if err := r.Args(&b); err != nil {
			return err
		}
		return r.Result.Int(42)
	}
	named := codec.Tuple{"f", []any{3}, map[string]any{"k": 4}}
	_, v, err := h.batch([]object.Method{"f", "f", "f", "f"},
		[]any{triple("f", 1, 2), triple("f"), named, codec.Tuple{"f", codec.Tuple{5, []any{6}}, nil}})
	want := []any{[]any{int64(1), int64(2)}, []any{}, []any{int64(3), map[string]any{"k": int64(4)}},
		[]any{int64(5), []any{int64(6)}}}
	if diff := cmp.Diff(want, v); diff != "" || err != nil {
		t.Errorf("batch: %v\n%s", err, diff)
	}
	for name, call := range map[string]any{
		"a text":             "f",
		"nothing":            nil,
		"a dict":             map[string]any{"f": 1},
		"no arguments":       codec.Tuple{"f"},
		"no keywords":        codec.Tuple{"f", codec.Tuple{}},
		"too much":           codec.Tuple{"f", codec.Tuple{}, map[string]any{}, 1},
		"a number for args":  codec.Tuple{"f", 1, map[string]any{}},
		"null for args":      codec.Tuple{"f", nil, map[string]any{}},
		"a dict for args":    codec.Tuple{"f", map[string]any{}, map[string]any{}},
		"a list as keywords": codec.Tuple{"f", codec.Tuple{}, []any{}},
		"a number for those": codec.Tuple{"f", codec.Tuple{}, 1},
		"keys of no text":    codec.Tuple{"f", codec.Tuple{}, codec.Dict{{Key: 1, Value: 2}}},
	} {
		if _, v, err := h.batch([]object.Method{"f", "f"},
			[]any{triple("f", 1), call}); object.CodeOf(err) != object.CodeInvalid {
			t.Errorf("a batch with %s in place of a call = %v, %v, want it refused", name, v, err)
		}
	}
	h.call("ran").want(t, int64(4))
	many := make([]any, 3000)
	for i := range many {
		many[i] = i
	}
	_, v, err = h.batch([]object.Method{"f", "f", "f"},
		[]any{triple("f", many...), triple("f", many...), triple("f", many...)})
	if list, _ := v.([]any); err != nil || len(list) != 3 {
		t.Errorf("a batch of three calls of %d arguments = %.200v, %v", len(many), v, err)
	}
}

// TestAttacks runs attacks with patterns, texts and the unwinding of the stack.
func TestAttacks(t *testing.T) {
	for _, body := range []string{
		"return (('a'):rep(300)):find('.-.-.-b')",
		"return (('a'):rep(1e6)):match(('a?'):rep(100) .. 'b')",
		"return (('a'):rep(2e5)):find('.-b')",
		"return (('('):rep(1e6)):gsub('%b()', '')",
		"return ('a'):rep(2e4):gsub('.', ('x'):rep(1e6))",
		"local t = {} for i = 1, 1e5 do t[i] = ('x'):rep(1000) end return table.concat(t)",
		"local t = {} for i = 1, 1e4 do t[i] = i end while true do table.sort(t) end",
		"local t = {} for i = 1, 1e4 do t[i] = i end while true do table.insert(t, 1, 0) table.remove(t, 1) end",
		"while true do ('x'):rep(1e6) end",
		"while true do local t = {}; t[1e6] = 1 end",
		"local function f(n) if n > 0 then return pcall(f, n - 1) end while true do end end return f(150)",
		"local function f(n) if n > 0 then return coroutine.wrap(f)(n - 1) end while true do end end return f(20)",
		"local function f() return coroutine.wrap(f)() end return f()",
		"local i = hearth.int(2) while true do i = i * i end",
		"local s = setmetatable({}, {__index = function(t, k) while true do end end}); return pcall(rawget, s, 1) " +
			"and s.x",
		"while true do hearth.log.info('x') end",
		"return setmetatable(1, {})",
		"return rawset(string, 'x', 1)",
		"return assert(coroutine.wrap(function() return pcall(coroutine.yield, 1) end)())",
	} {
		t.Run(body, func(t *testing.T) {
			a := start(t, method(body)).call("f")
			if a.err == nil && !a.out.Exception {
				t.Errorf("it returned %.100v", a.value)
			}
			if code := object.CodeOf(a.err); a.err != nil &&
				(code != object.CodeExhausted && code != object.CodeDeadline || !a.out.Broken) {
				t.Errorf("%+v, %v; want a spent limit", a.out, a.err)
			}
		})
	}
}

// TestKillIsFinal checks that a state does not run again after it has exceeded a limit.
func TestKillIsFinal(t *testing.T) {
	h := start(t, "local T = hearth.object{}\nfunction T.expose:spin() while true do end end\nfunction T.expose:f() "+
		"return 1 end\nreturn T")
	if a := h.call("spin"); !a.out.Broken || object.CodeOf(a.err) != object.CodeExhausted {
		t.Fatalf("spin: %+v, %v", a.out, a.err)
	}
	if a := h.call("f"); !a.out.Broken || a.err == nil {
		t.Errorf("a call after the kill: %v, %v", a.value, a.err)
	}
	h.s.Close(t.Context())
	h.s.Close(t.Context())
}

// TestUnsendableException checks the exception that replaces one with arguments that cannot be sent.
func TestUnsendableException(t *testing.T) {
	h := start(t, method("error(hearth.exception('ValueError', print))"))
	h.call("f").raises(t, "Pyro5.errors.PyroError", "Error serializing exception")
}

func TestRemoteAttributes(t *testing.T) {
	h := start(t, method("local p = hearth.proxy('acme.other'); p:set_attribute('total', 3); return "+
		"p:get_attribute('total')"))
	var kinds []object.CallKind
	h.e.proxy = func(r *services.ObjectCall) error {
		kinds = append(kinds, r.Kind)
		var b codec.Builder
		if err := r.Args(&b); err != nil || r.Method != "total" {
			t.Errorf("args of %s: %v", r.Method, err)
		}
		if r.Kind == object.Set {
			return r.Result.Null()
		}
		return r.Result.Text([]byte("three"))
	}
	h.call("f").want(t, "three")
	if !slices.Equal(kinds, []object.CallKind{object.Set, object.Get}) {
		t.Errorf("kinds = %v", kinds)
	}
	for _, body := range []string{"hearth.proxy('acme.other').total = 3", "hearth.proxy('acme.other'):_x()",
		"hearth.proxy('Pyro.Daemon')", "hearth.proxy('acme.other').add(1)"} {
		start(t, method(body)).call("f").raises(t, "builtins.RuntimeError", "")
	}
}

func TestHooks(t *testing.T) {
	h := start(t, "local T = hearth.object { instance = 'call' }\nfunction T:close() print('closed') end\nfunction "+
		"T.expose:f() return 1 end\nreturn T")
	h.call("f").want(t, int64(1))
	if diff := cmp.Diff([]string{"info: closed"}, h.e.lines); diff != "" {
		t.Errorf("close of mode call:\n%s", diff)
	}
	p, err := load("local T = hearth.object{}\nfunction T:init() error(hearth.exception('KeyError', 'no')) end\n"+
		"return T", nil, &env{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.NewState(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var e *object.Error
	if err := s.NewInstance(t.Context(), nil); !errors.As(err, &e) || e.Code != object.CodeRaised ||
		e.Class != "KeyError" {
		t.Errorf("init: %v", err)
	}
}

// TestSharedCode runs one program's code in many states at once; it is for the race
// detector.
func TestSharedCode(t *testing.T) {
	p, err := load("local u = require 'u'\n"+method("local n = 0; for i = 1, 1000 do n = u.add(n, i) end; return "+
		"('%d'):format(n):gsub('5', 'x')"),
		map[string]string{"u": "return { add = function(a, b) return a + b end }"}, &env{})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			s, err := p.NewState(context.Background())
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close(context.Background())
			h := &host{t: t, p: p, s: s}
			if err := s.NewInstance(context.Background(), nil); err != nil {
				t.Error(err)
				return
			}
			for range 20 {
				h.call("f").want(t, codec.Tuple{"x00x00", int64(2)})
			}
		})
	}
	wg.Wait()
}

func TestCallAllocates(t *testing.T) {
	h := start(t, counter)
	r, enc := h.request(object.Invoke, "add", []any{1}, nil)
	n := testing.AllocsPerRun(200, func() {
		enc.Reset(nil)
		if _, err := h.s.Call(context.Background(), r); err != nil {
			t.Fatal(err)
		}
	})
	if n > 5 { // most of them are the serializer's
		t.Errorf("a call of add allocates %v times", n)
	}
}

// TestFreshInstanceAllocates limits the allocations of an instance of mode "call", without the call itself.
func TestFreshInstanceAllocates(t *testing.T) {
	h := start(t, strings.Replace(method("return a"), "single", "call", 1))
	if n := testing.AllocsPerRun(100, func() {
		if err := h.s.NewInstance(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}); n > 2 {
		t.Errorf("a fresh instance allocates %v times, want at most 2: does the script run again?", n)
	}
}

// FuzzPattern checks that any pattern on any text ends with a result, an error or a limit. Positions that find returns
// must be inside the text.
func FuzzPattern(f *testing.F) {
	for _, s := range [][2]string{{"hello world", "o w"}, {"key = value", "^(%w+)%s*=%s*(%w+)$"}, {"f(a(b)c)d", "%b()"},
		{"THE fox", "%f[%a]%a+"},
		{"aaaaaaaaaaaaaaaa", ".-.-.-b"}, {"x]y", "[]%]]"}, {"x", "[^"}, {"x", "%"}, {"ab", "()(.)%2"}, {"", "[a-]*$"}} {
		f.Add(s[0], s[1])
	}
	p, err := sandbox.Load(context.Background(), sandbox.Config{ID: "acme.thing", Limits: object.Limits{Steps: 100_000},
		Source: []byte(method(
			"local i, j = string.find(tostring(a), tostring(b)); if i then assert(i >= 1 and j >= i - 1 and j <= " +
				"#tostring(a)) end\nreturn (string.gsub(tostring(a), tostring(b), '%0'))"))})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text, pattern string) {
		s, err := p.NewState(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close(t.Context())
		if err := s.NewInstance(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		h := &host{t: t, p: p, s: s}
		a := h.call("f", []byte(text), []byte(pattern))
		if e, ok := a.value.(*codec.Exception); ok && strings.Contains(fmt.Sprint(e.Args...), "assertion") {
			t.Errorf("find(%q, %q): %v", text, pattern, e.Args)
		}
		if code := object.CodeOf(a.err); a.err != nil && code != object.CodeExhausted {
			t.Errorf("find(%q, %q): %v", text, pattern, a.err)
		}
		if s, ok := a.value.(string); ok && s != text && !strings.HasPrefix(pattern, "^") &&
			!strings.Contains(pattern, "(") {
			t.Errorf("gsub(%q, %q, '%%0') = %q", text, pattern, s)
		}
	})
}
