package host_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/host"
	"github.com/hearthhost/hearth/object"
)

const storePolicy = `
listener "tcp" { address = "127.0.0.1:0" }
principal "owner" { host_user = true }
tenant "shop" {
  limits {
    store        = "200KiB"
    object_store = "100KiB"
    store_value  = "60KiB"
  }
}
tenant "zoo" {}
permit "owner may call all" {
  principals = ["owner"]
  objects    = ["*.*"]
}
`

// box is an object whose methods are the operations of the store.
const box = `
local s = hearth.store
local Box = hearth.object { instance = "%s" }
function Box.expose:put(k, v) return s.put(k, v) end
function Box.expose:get(k) return (s.get(k)) end
function Box.expose:add(k, n) return s.increment(k, n) end
function Box.expose:delete(k) s.delete(k) end
function Box.expose:keys()
  local all = {}
  for k in s.list() do all[#all + 1] = k end
  return hearth.list(all)
end
function Box.expose:fail(k) s.put(k, "failed") error("no") end
function Box.expose:many(n) for i = 1, n do s.put("k" .. i, i) end end
function Box.expose:endless() s.transaction(function() while true do end end) end
function Box.expose:swap(n) return s.transaction(function(tx)
  tx.put("a", (tx.get("a") or 0) + n)
  tx.put("b", (tx.get("b") or 0) - n)
  return tx.get("a") + tx.get("b")
end) end
return Box`

// storeHost is a host that can be restarted with its state.
type storeHost struct {
	t       testing.TB
	state   string
	policy  string            // "": storePolicy
	scripts map[string]string // nil: boxes
	end     func()
	addr    string
	h       *host.Host
}

// boxes are the scripts of storePolicy.
var boxes = map[string]string{
	"shop/single.lua": fmt.Sprintf(box, "single"),
	"shop/other.lua":  fmt.Sprintf(box, "single"),
	"shop/call.lua":   fmt.Sprintf(box, "call"),
	"shop/once.lua":   fmt.Sprintf(onceBox, "single"),
	"zoo/single.lua":  fmt.Sprintf(box, "single"),
}

func startStore(t testing.TB, state string) *storeHost {
	t.Helper()
	s := &storeHost{t: t, state: state}
	s.start()
	t.Cleanup(func() { s.end() })
	return s
}

// start serves with the state of the former host.
func (s *storeHost) start() {
	s.t.Helper()
	if s.scripts == nil {
		s.policy, s.scripts = storePolicy, boxes
	}
	h, dir := makeHost(s.t, s.policy, func(cfg *host.Config) { cfg.Policy.State = s.state })
	for name, source := range s.scripts {
		path := filepath.Join(dir, "scripts", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(source), 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	if err := h.Listen(ctx); err != nil {
		s.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- h.Serve(ctx) }()
	if err := h.Reload(ctx); err != nil {
		s.t.Fatal(err)
	}
	s.h, s.addr = h, h.Addrs()[0]
	s.end = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	})
}

// call calls a method and returns its result as text, or the error.
func (s *storeHost) call(id, method string, args ...any) string {
	s.t.Helper()
	v, err := s.value(id, method, args...)
	if err != nil {
		return "! " + err.Error()
	}
	return fmt.Sprint(v)
}

// value calls a method and returns its result.
func (s *storeHost) value(id, method string, args ...any) (any, error) {
	s.t.Helper()
	c, err := client.New(client.Config{Address: s.addr})
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	return c.Object(object.ID(id)).Call(context.Background(), method, args...)
}

func (s *storeHost) want(want, id, method string, args ...any) {
	s.t.Helper()
	got := s.call(id, method, args...)
	if got != want && !(strings.HasSuffix(want, "…") && strings.Contains(got, strings.TrimSuffix(want, "…"))) {
		s.t.Errorf("%s.%s%v = %s, want %s", id, method, args, got, want)
	}
}

// TestDurableState stores values, restarts the host and reads them. Each object has separate state.
func TestDurableState(t *testing.T) {
	s := startStore(t, filepath.Join(t.TempDir(), "state"))
	s.want("true", "shop.single", "put", "k", "single")
	s.want("true", "shop.other", "put", "k", "other")
	s.want("true", "zoo.single", "put", "k", "zoo")
	s.want("1", "shop.call", "add", "n", 1)
	s.want("! …", "shop.single", "fail", "k")
	s.end()
	s.start()
	s.want("single", "shop.single", "get", "k")
	s.want("other", "shop.other", "get", "k")
	s.want("zoo", "zoo.single", "get", "k")
	s.want("2", "shop.call", "add", "n", 1)
	s.want("0", "shop.call", "swap", 5)
	s.want("[a b n]", "shop.call", "keys")
}

// TestStoreLimits exceeds the limits of the policy. Each error names the limit, reads and deletes continue, and other
// objects and tenants are not affected.
func TestStoreLimits(t *testing.T) {
	s := startStore(t, filepath.Join(t.TempDir(), "state"))
	large := strings.Repeat("x", 50<<10)
	s.want("at most 61440 (store_value)…", "shop.single", "put", "k", large+large)
	s.want("true", "shop.single", "put", "a", large)
	s.want("the state of the object takes more than 102400 bytes (object_store)…", "shop.single", "put", "b", large)
	s.want("true", "shop.other", "put", "a", large)
	s.want("true", "shop.call", "put", "a", large)
	s.want("true", "shop.other", "put", "b", large[:40<<10])
	s.want("the state of the tenant takes more than 204800 bytes (store)…", "shop.call", "put", "b", large[:40<<10])
	s.want("true", "zoo.single", "put", "a", large)
	s.want("[a]", "shop.single", "keys")
	s.want("<nil>", "shop.single", "delete", "a")
	s.want("true", "shop.single", "put", "b", large)
	s.want("more than 10000 writes…", "shop.single", "many", 10001)
	s.want("limit exceeded…", "shop.single", "endless")
	s.want("[b]", "shop.single", "keys")
}

// TestParallelIncrements increments one key by calls that overlap, and by calls of an object with one instance. None is
// lost.
func TestParallelIncrements(t *testing.T) {
	s := startStore(t, filepath.Join(t.TempDir(), "state"))
	for _, id := range []string{"shop.call", "shop.single"} {
		var wg sync.WaitGroup
		var failed atomic.Int64
		begun := time.Now()
		const clients, calls = 20, 10
		for range clients {
			wg.Go(func() {
				c, err := client.New(client.Config{Address: s.addr})
				if err != nil {
					t.Error(err)
					return
				}
				defer c.Close()
				for range calls {
					if _, err := c.Object(object.ID(id)).Call(t.Context(), "add", "n", 1); err != nil {
						failed.Add(1)
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		t.Logf("%s: %.0f increments a second", id, clients*calls/time.Since(begun).Seconds())
		s.want(fmt.Sprint(clients*calls), id, "get", "n")
	}
}

// TestOnce repeats calls with an idempotency key. Each is executed once, also after a restart of the host.
func TestOnce(t *testing.T) {
	s := startStore(t, filepath.Join(t.TempDir(), "state"))
	call := func(id object.ID, key, method string, args ...any) string {
		t.Helper()
		c, err := client.New(client.Config{Address: s.addr})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		v, err := c.Object(id).CallOnce(t.Context(), key, method, args, nil)
		if err != nil {
			return "! " + err.Error()
		}
		return fmt.Sprint(v)
	}
	want := func(want, got string) {
		t.Helper()
		if got != want && !(strings.HasPrefix(want, "! ") && strings.Contains(got, want[2:])) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() { want("1", call("shop.single", "k1", "add", "n", 1)) })
	}
	wg.Wait()
	want("2", call("shop.single", "k2", "add", "n", 1))
	want("! no", call("shop.single", "k3", "fail", "x"))
	s.end()
	s.start()
	want("1", call("shop.single", "k1", "add", "n", 1))
	want("! no", call("shop.single", "k3", "fail", "x"))
	want("! with other arguments", call("shop.single", "k1", "add", "n", 2))
	want("! with other arguments", call("shop.single", "k1", "get", "n"))
	want("1", call("shop.other", "k1", "add", "n", 1)) // another object
	want("! one instance", call("shop.call", "k1", "add", "n", 1))
	want("! does not take an idempotency key", call("Pyro.NameServer", "k1", "ping"))
	want("! idempotency key has", call("shop.single", strings.Repeat("k", 200), "add", "n", 1))
	s.want("2", "shop.single", "get", "n")
}
