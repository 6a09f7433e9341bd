package host_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/host"
	"github.com/hearthhost/hearth/host/hosttest"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/plugins/launch"
	"github.com/hearthhost/hearth/sandbox/worker"
	"github.com/hearthhost/hearth/wire"
)

var goroutines = flag.Bool("goroutines", false, "test the host without an event loop")

// TestMain also runs the test binary as a worker and as a shim.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "worker" {
		os.Exit(worker.Main("hearth worker"))
	}
	if len(os.Args) > 1 && os.Args[1] == "shim" {
		os.Exit(launch.Shim())
	}
	flag.Parse()
	if *goroutines {
		host.DisableLoops()
	}
	os.Exit(m.Run())
}

const everything = `
listener "tcp" { address = "127.0.0.1:0" }
principal "owner" { host_user = true }
tenant "acme" {}
tenant "other" {}
permit "owner may call acme" {
  principals = ["owner"]
  objects    = ["acme.*"]
  tracebacks = true
}
permit "relay may call the counter" {
  principals = ["object:acme.relay"]
  objects    = ["acme.counter"]
  methods    = ["add"]
}
`

// crossing is a single-instance object. Its method cross waits until two instances of it run, then calls the other.
const crossing = `
local X = hearth.object { instance = "single" }
function X.expose:hello() return "hi" end
function X.expose:back(to) return hearth.proxy(to):hello() end
function X.expose:cross(to)
  local gate = hearth.proxy("acme.gate")
  gate:come()
  while gate:count() < 2 do end
  return hearth.proxy(to):hello()
end
function X.expose:around(over, to) return hearth.proxy(over):back(to) end
return X`

var scripts = map[string]string{
	"acme/counter.lua": `
local Counter = hearth.object { doc = "Counts.", instance = "single" }
function Counter:init() self.n = 0 end
-- Adds k.
function Counter.expose:add(k) self.n = self.n + k; return self.n end
function Counter.oneway:reset() self.n = 0 end
function Counter.get:total() return self.n end
function Counter.set:total(v) self.n = v end
return Counter`,
	"acme/echo.lua": `
local Echo = hearth.object { instance = "call" }
function Echo.expose:echo(v) return v end
function Echo.expose:count(n)
  local i = 0
  return hearth.stream(function() i = i + 1; if i <= n then return i end end)
end
function Echo.expose:fail() error(hearth.exception("KeyError", "gone")) end
function Echo.expose:controls(n) return ("\1"):rep(n) end
function Echo.expose:spin() while true do end end
function Echo.expose:nest() local function f() return 1 + f() end return f() end
function Echo.expose:coroutines() local t = {} for i = 1, 50 do t[i] = coroutine.create(function() end) end end
function Echo.expose:hoard() local t = {} while true do t[#t + 1] = ("x"):rep(1e6) .. #t end end
return Echo`,
	"acme/keeper.lua": `
local Keeper = hearth.object { instance = "single" }
function Keeper:init() self.kept = {} end
function Keeper.expose:keep(k, v) self.kept[k] = v; return v end
function Keeper.expose:all() return self.kept end
return Keeper`,
	"acme/relay.lua": `
local Relay = hearth.object { instance = "call" }
function Relay.expose:add(k) return hearth.proxy("acme.counter"):add(k) end
function Relay.expose:forbidden(k) return hearth.proxy("acme.echo"):echo(k) end
return Relay`,
	"acme/session.lua": `
local S = hearth.object { instance = "session" }
function S:init() self.n = 0 end
function S.expose:next() self.n = self.n + 1; return self.n end
return S`,
	"acme/gate.lua": `
local Gate = hearth.object { instance = "single" }
function Gate:init() self.n = 0 end
function Gate.expose:come() self.n = self.n + 1 end
function Gate.expose:count() return self.n end
return Gate`,
	"acme/left.lua":    crossing,
	"acme/right.lua":   crossing,
	"acme/broken.lua":  `this is not Lua`,
	"other/hidden.lua": `local H = hearth.object {} function H.expose:hi() return "hi" end return H`,
}

// start serves the scripts with a policy and returns the address. It drains the host at the end of the test.
func start(t testing.TB, policyText string) string {
	t.Helper()
	h, _ := startHost(t, policyText)
	return h.Addrs()[0]
}

// startHost is like start and returns the host and its folder.
func startHost(t testing.TB, policyText string, with ...func(*host.Config)) (*host.Host, string) {
	t.Helper()
	h, dir := makeHost(t, policyText, with...)
	hosttest.Serve(t, h)
	return h, dir
}

// makeHost is like startHost for a host that does not listen yet.
func makeHost(t testing.TB, policyText string, with ...func(*host.Config)) (*host.Host, string) {
	t.Helper()
	return hosttest.Make(t, scripts, policyText, with...)
}

func dial(t testing.TB, addr string, cfg client.Config) *client.Client {
	t.Helper()
	cfg.Address = addr
	c, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestCalls(t *testing.T) {
	addr := start(t, everything)
	for _, proto := range []wire.Protocol{wire.Pyro4, wire.Pyro5} {
		for _, ser := range []string{"serpent", "json", "msgpack"} {
			t.Run(fmt.Sprintf("%d/%s", proto, ser), func(t *testing.T) {
				c := dial(t, addr, client.Config{Protocol: proto, Serializer: ser})
				ctx := t.Context()
				counter := c.Object("acme.counter")
				if err := counter.Set(ctx, "total", 0); err != nil {
					t.Fatal(err)
				}
				for _, want := range []int64{5, 10} {
					if got, err := counter.Call(ctx, "add", 5); err != nil || got != want {
						t.Fatalf("add(5) = %v, %v; want %d", got, err, want)
					}
				}
				if got, err := counter.Get(ctx, "total"); err != nil || got != int64(10) {
					t.Errorf("total = %v, %v; want 10", got, err)
				}
				echo := c.Object("acme.echo")
				want := []any{int64(1), "two", nil, map[string]any{"k": 1.5}}
				got, err := echo.Call(ctx, "echo", want)
				if diff := cmp.Diff(any(want), got); err != nil || diff != "" {
					t.Errorf("echo: %v\n%s", err, diff)
				}
				var items []any
				for v, err := range echo.Stream(ctx, "count", 3) {
					if err != nil {
						t.Fatal(err)
					}
					items = append(items, v)
				}
				if diff := cmp.Diff([]any{int64(1), int64(2), int64(3)}, items); diff != "" {
					t.Errorf("stream:\n%s", diff)
				}
				if got, err := c.Object("acme.relay").Call(ctx, "add", 1); err != nil || got != int64(11) {
					t.Errorf("relay.add(1) = %v, %v; want 11", got, err)
				}
			})
		}
	}
}

// TestProxiesAreData sends proxies and URIs to an object and to built-in objects. A Pyro peer would connect to their
// address; the host does not.
func TestProxiesAreData(t *testing.T) {
	target, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	uri := "PYRO:victim@" + target.Addr().String()
	addr := start(t, everything)
	classes := map[wire.Protocol]string{wire.Pyro4: "Pyro4.core.Proxy", wire.Pyro5: "Pyro5.client.Proxy"}
	for proto, class := range classes {
		for _, ser := range []string{"serpent", "json", "msgpack"} {
			c := dial(t, addr, client.Config{Protocol: proto, Serializer: ser})
			proxy := map[string]any{"__class__": class, "state": []any{uri, []any{}, []any{}, []any{}, "hello", nil}}
			got, err := c.Object("acme.echo").Call(t.Context(), "echo", proxy)
			if diff := cmp.Diff(any(proxy), got); err != nil || diff != "" {
				t.Errorf("%d/%s: %v\n%s", proto, ser, err, diff)
			}
			for _, arg := range []any{proxy, uri} {
				builtins := map[string]object.ID{"lookup": object.NameServer, "get_metadata": object.Daemon}
				for method, id := range builtins {
					if got, err := c.Object(id).Call(t.Context(), method, arg); err == nil {
						t.Errorf("%d/%s: %s(%v) = %v, want an error", proto, ser, method, arg, got)
					}
				}
			}
		}
	}
	// The first connection that the target accepts is the test's: the host made none before.
	direct, err := net.Dial("tcp", target.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer direct.Close()
	first, err := target.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if first.RemoteAddr().String() != direct.LocalAddr().String() {
		t.Error("the host connected to the address in an argument")
	}
}

func TestExceptionsHaveTheirClass(t *testing.T) {
	h, dir := startHost(t, everything)
	c := dial(t, h.Addrs()[0], client.Config{})
	_, err := c.Object("acme.echo").Call(t.Context(), "fail")
	wantRemote(t, err, "builtins.KeyError", "gone")
	trace := ""
	if re := new(client.RemoteError); errors.As(err, &re) {
		trace = strings.Join(re.Traceback, "")
	}
	if !strings.Contains(trace, " acme/echo.lua:") || strings.Contains(trace, dir) {
		t.Errorf("the traceback is %q: want the script's name and no path of the host", trace)
	}
	_, err = c.Object("acme.relay").Call(t.Context(), "forbidden", 1)
	wantRemote(t, err, "", "unknown object")
}

func wantRemote(t *testing.T, err error, class, message string) {
	t.Helper()
	var re *client.RemoteError
	if !errors.As(err, &re) || class != "" && re.Class != class || !strings.Contains(re.Message(), message) {
		t.Errorf("error = %v (%T), want %s: %s", err, err, class, message)
	}
}

// TestMissingAndDeniedErrors compares the errors for missing objects, denied objects and denied methods: all are equal.
func TestMissingAndDeniedErrors(t *testing.T) {
	only := `
listener "tcp" { address = "127.0.0.1:0" }
principal "owner" { host_user = true }
tenant "acme" {}
tenant "other" {}
permit "one method" {
  principals = ["owner"]
  objects = ["acme.counter"]
  methods = ["add"]
}`
	c := dial(t, start(t, only), client.Config{})
	ctx := t.Context()
	var first string
	for _, call := range [][2]string{
		{"acme.nosuch", "add"}, {"other.hidden", "hi"}, {"other.hidden", "nosuch"}, {"nosuch.thing", "x"},
		{"acme.counter", "reset"}, {"other.hidden", "_private"}, {"other.hidden", "a.b"}, {"acme.nosuch", "__init__"},
		{"acme.echo", "echo"}, {"", ""}, {"other.hidden", "аdd"},
	} {
		_, err := c.Object(object.ID(call[0])).Call(ctx, call[1])
		if err == nil {
			t.Errorf("%s.%s succeeded", call[0], call[1])
			continue
		}
		if first == "" {
			first = err.Error()
		}
		if err.Error() != first {
			t.Errorf("%s.%s: %q differs from %q", call[0], call[1], err, first)
		}
	}
	got, err := c.Object(object.Daemon).Call(ctx, "registered")
	if diff := cmp.Diff(any([]any{"Pyro.Daemon", "Pyro.NameServer", "acme.counter"}), got); err != nil || diff != "" {
		t.Errorf("registered(): %v\n%s", err, diff)
	}
	meta, err := c.Object("acme.counter").Metadata(ctx)
	if diff := cmp.Diff([]string{"add"}, meta.Methods); err != nil || diff != "" {
		t.Errorf("metadata: %v\n%s", err, diff)
	}
}

func TestSessionPerConnection(t *testing.T) {
	c := dial(t, start(t, everything), client.Config{})
	ctx := t.Context()
	a, err := c.Session(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := c.Session(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for i := range int64(3) {
		if got, err := a.Object("acme.session").Call(ctx, "next"); err != nil || got != i+1 {
			t.Fatalf("a: next() = %v, %v; want %d", got, err, i+1)
		}
	}
	if got, err := b.Object("acme.session").Call(ctx, "next"); err != nil || got != int64(1) {
		t.Errorf("b: next() = %v, %v; want 1: the connections share a session", got, err)
	}
}

func TestConcurrentCallsOfASingleInstance(t *testing.T) {
	c := dial(t, start(t, everything), client.Config{})
	const callers, each = 16, 25
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range each {
				if _, err := c.Object("acme.counter").Call(t.Context(), "add", 1); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if got, err := c.Object("acme.counter").Get(t.Context(), "total"); err != nil || got != int64(callers*each) {
		t.Errorf("total = %v, %v; want %d", got, err, callers*each)
	}
}

func TestBrokenScriptError(t *testing.T) {
	c := dial(t, start(t, everything), client.Config{})
	_, err := c.Object("acme.broken").Call(t.Context(), "x")
	wantRemote(t, err, "", "acme/broken.lua")
}

func TestLimitEndsEndlessScript(t *testing.T) {
	c := dial(t, start(t, everything), client.Config{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := c.Object("acme.echo").Call(ctx, "spin")
	wantRemote(t, err, "", "limit")
	if got, err := c.Object("acme.echo").Call(ctx, "echo", 1); err != nil || got != int64(1) {
		t.Errorf("after a limit: echo(1) = %v, %v", got, err)
	}
}

// TestMemoryLimitEndsOnlyTheCall exceeds a script's memory limit: another object of the same worker keeps its state.
func TestMemoryLimitEndsOnlyTheCall(t *testing.T) {
	addr := start(t, limited("object \"echo\" {\n limits { memory = \"16MiB\" }\n}"))
	c := dial(t, addr, client.Config{Timeout: time.Minute})
	if _, err := c.Object("acme.counter").Call(t.Context(), "add", 7); err != nil {
		t.Fatal(err)
	}
	_, err := c.Object("acme.echo").Call(t.Context(), "hoard")
	wantRemote(t, err, "", "limit exceeded: 16 MiB of memory; the call was executed in part")
	if got, err := c.Object("acme.counter").Get(t.Context(), "total"); err != nil || got != int64(7) {
		t.Errorf("after the limit of another object: total = %v, %v; want 7", got, err)
	}
}

func benchmark(b *testing.B, callers int, obj object.ID, method string) {
	c := dial(b, start(b, everything), client.Config{MaxConns: callers})
	o := c.Object(obj)
	if _, err := o.Call(b.Context(), method, 1); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetParallelism(max(callers/2, 1))
	b.ResetTimer()
	if callers == 1 {
		for b.Loop() {
			if _, err := o.Call(b.Context(), method, 1); err != nil {
				b.Fatal(err)
			}
		}
		return
	}
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := o.Call(context.Background(), method, 1); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkEcho1(b *testing.B)  { benchmark(b, 1, "acme.echo", "echo") }
func BenchmarkEcho64(b *testing.B) { benchmark(b, 64, "acme.echo", "echo") }
func BenchmarkAdd1(b *testing.B)   { benchmark(b, 1, "acme.counter", "add") }
func BenchmarkAdd64(b *testing.B)  { benchmark(b, 64, "acme.counter", "add") }
