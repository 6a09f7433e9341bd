package host_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/host"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/wire"
)

// cart is a keyed object.
const cart = `
local Cart = hearth.object { instance = "keyed" }
function Cart:init(key) self.key, self.items = key, {} end
function Cart.expose:add(item) self.items[#self.items + 1] = item return #self.items end
function Cart.oneway:clear() self.items = {} end
function Cart.get:total() return #self.items end
function Cart.set:owner(v) self.key = v end
function Cart.get:owner() return self.key end
function Cart.expose:list()
  local i = 0
  return hearth.stream(function() i = i + 1 return self.items[i] end)
end
function Cart.expose:move(to, item) return hearth.proxy("acme.cart:" .. to):add(item) end
return Cart`

// withCart adds the script of a keyed object to a host.
func withCart(t testing.TB) func(*host.Config) {
	return func(cfg *host.Config) {
		path := filepath.Join(filepath.Dir(cfg.PolicyFile), "scripts", "acme", "cart.lua")
		if err := os.WriteFile(path, []byte(cart), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

const cartPolicy = everything + `
permit "carts call each other" {
  principals = ["object:acme.cart"]
  objects    = ["acme.cart:*"]
}
limit "few calls" {
  principals = ["owner"]
  objects    = ["acme.cart:*"]
  rate       = "1000/s"
}
`

// TestKeyedObject calls a keyed object in each protocol and serializer, with each kind of call.
func TestKeyedObject(t *testing.T) {
	h, _ := startHost(t, cartPolicy, withCart(t))
	for i, proto := range []wire.Protocol{wire.Pyro4, wire.Pyro5} {
		for _, ser := range []string{"serpent", "json", "msgpack"} {
			c := dial(t, h.Addrs()[0], client.Config{Protocol: proto, Serializer: ser})
			ctx := t.Context()
			key := fmt.Sprintf("u%d-%s", i, ser)
			mine := c.Object(object.ID("acme.cart").WithKey(key))
			other := c.Object(object.ID("acme.cart").WithKey(key + ".2"))
			for n := range int64(2) {
				if got, err := mine.Call(ctx, "add", "x"); err != nil || got != n+1 {
					t.Fatalf("%d/%s: add = %v, %v; want %d", proto, ser, got, err, n+1)
				}
			}
			if got, err := other.Call(ctx, "add", "y"); err != nil || got != int64(1) {
				t.Errorf("%d/%s: add of another key = %v, %v; want 1", proto, ser, got, err)
			}
			if got, err := mine.Get(ctx, "owner"); err != nil || got != key {
				t.Errorf("%d/%s: the key = %v, %v", proto, ser, got, err)
			}
			if got, err := mine.Call(ctx, "move", key+".2", "z"); err != nil || got != int64(2) {
				t.Errorf("%d/%s: a call from key to key = %v, %v; want 2", proto, ser, got, err)
			}
			if _, err := mine.Call(ctx, "move", key, "z"); err == nil || !strings.Contains(err.Error(), "call cycle") {
				t.Errorf("%d/%s: a call of itself: %v", proto, ser, err)
			}
			var items []any
			for v, err := range mine.Stream(ctx, "list") {
				if err != nil {
					t.Fatal(err)
				}
				items = append(items, v)
			}
			if len(items) != 2 {
				t.Errorf("%d/%s: the stream has %v", proto, ser, items)
			}
			if err := mine.Set(ctx, "owner", "new"); err != nil {
				t.Errorf("%d/%s: setting an attribute: %v", proto, ser, err)
			}
			if err := mine.Oneway(ctx, "clear"); err != nil {
				t.Error(err)
			}
			meta, err := mine.Metadata(ctx)
			if err != nil || !slices.Contains(meta.Methods, "add") || !slices.Contains(meta.Attrs, "total") {
				t.Errorf("%d/%s: metadata %+v, %v", proto, ser, meta, err)
			}
			if got, err := c.Object(object.NameServer).Call(ctx, "lookup", "acme.cart:"+key); err != nil {
				t.Errorf("%d/%s: lookup = %v, %v", proto, ser, got, err)
			}
		}
	}
	c := dial(t, h.Addrs()[0], client.Config{})
	got, err := c.Object(object.Daemon).Call(t.Context(), "registered")
	ids, _ := got.([]any)
	n := 0
	for _, id := range ids {
		if strings.HasPrefix(fmt.Sprint(id), "acme.cart") {
			n++
		}
	}
	if err != nil || n != 1 || !slices.Contains(ids, any("acme.cart:*")) {
		t.Errorf("registered() = %v, %v; want acme.cart:* once and no key", got, err)
	}
	if status := fmt.Sprint(h.Status()); strings.Contains(status, "acme.cart:") {
		t.Errorf("counters have keys: %s", status)
	}
}

// badKeys are keys that no object has.
var badKeys = []string{
	"", "..", ".", "-a", "a:b", "a/b", "a b", "a\x00", "a@b", "*", "é", "аlice", "a\n", "%61lice",
	strings.Repeat("k", 129), strings.Repeat("k", 1<<20),
}

// plain are the characters that JSON does not escape.
const plain = "abcdefghijklmnopqrstuvwxyzPDB0123456789.:-/@%"

// TestHiddenKeys compares replies about keyed objects that a caller may not call, or that do not exist, byte by byte.
func TestHiddenKeys(t *testing.T) {
	policy := strings.Replace(twoKeys(t), `objects    = ["acme.*"]`, `
  objects    = ["acme.cart:*", "acme.counter", "acme.co*"]
  when       = object.key == caller.principal || object.name == "counter"`, 1)
	h, _ := startHost(t, policy, withCart(t))
	addr := h.Addrs()[0]
	for _, proto := range []wire.Protocol{wire.Pyro4, wire.Pyro5} {
		alice, bob := dialAs(t, addr, "alice-1", proto, "json"), dialAs(t, addr, "bob-1", proto, "json")
		for _, r := range []*raw{alice, bob} {
			who := map[*raw]string{alice: "alice", bob: "bob"}[r]
			r.call("acme.cart:"+who, "add", "x")
			if r.last.Flags&wire.Exception != 0 {
				t.Errorf("%d: %s cannot call its own cart: %q", proto, who, r.last.Payload)
			}
			if got := r.call("Pyro.Daemon", "registered"); !bytes.Contains(got, []byte(`"acme.cart:*"`)) {
				t.Errorf("%d: %s sees %q", proto, who, got)
			}
		}
		missing := bob.call("acme.nosuch", "add", "x")
		unseen := bob.call("Pyro.Daemon", "get_metadata", "acme.nosuch")
		hidden := []string{"acme.cart", "acme.cart:alice", "acme.nosuch:bob", "acme.counter:bob", "acme.echo:bob",
			"nosuch.x:bob", "Pyro.Daemon:bob", "acme:bob", ":bob"}
		for _, key := range badKeys {
			hidden = append(hidden, "acme.cart:"+key, "acme.cart:bob"+key+":")
		}
		for _, id := range hidden {
			if id == "acme.cart:bob" {
				continue
			}
			if got := bob.call(id, "add", "x"); !bytes.Equal(got, missing) {
				t.Errorf("%d: a call of %.40q: %q, of a missing object: %q", proto, id, got, missing)
			}
			if id == "acme.cart:*" || len(id) > 1000 { // bob may call one instance; the host's own objects take less
				continue
			}
			if got := bob.call("Pyro.Daemon", "get_metadata", id); !bytes.Equal(got, unseen) {
				t.Errorf("%d: metadata of %.40q: %.300q, of a missing object: %q", proto, id, got, unseen)
			}
			if strings.Trim(id, plain) != "" { // the reply has the name in JSON
				continue
			}
			lookup := func(id string) string {
				bob.call("Pyro.NameServer", "lookup", id)
				return strings.ReplaceAll(string(bob.last.Payload), id, "NAME")
			}
			if got, want := lookup(id), lookup("acme.nosuch"); got != want {
				t.Errorf("%d: lookup of %q: %q, of a missing object: %q", proto, id, got, want)
			}
		}
		// The items of alice stay hers.
		if got := alice.call("acme.cart:alice", "add", "x"); bytes.Equal(got, missing) {
			t.Errorf("%d: alice: %q", proto, got)
		}
	}
}

// TestKeyedListing lists a keyed object for callers that may call some, one or no keys.
func TestKeyedListing(t *testing.T) {
	for permit, want := range map[string][]any{
		`objects = ["acme.cart:*"]`: {"acme.cart:*"},
		`objects = ["acme.cart:7"]`: {"acme.cart:*"},
		`objects = ["acme.cart*"]`:  {"acme.cart:*"},
		`objects = ["acme.cart"]`:   nil,
		`objects = ["other.x*"]`:    nil,
		`objects = ["acme.cart:*"]
		 when = object.key == "7"`: {"acme.cart:*"},
		`objects = ["acme.cart:*"]
		 when = object.key == "7" && caller.channel == "unix"`: nil,
		`objects = ["acme.cart:*"]
		 methods = ["add"]`: {"acme.cart:*"},
	} {
		text := `
listener "tcp" { address = "127.0.0.1:0" }
principal "owner" { host_user = true }
tenant "acme" {}
tenant "other" {}
permit "some" {
  principals = ["owner"]
  ` + permit + `
}`
		h, _ := startHost(t, text, withCart(t))
		c := dial(t, h.Addrs()[0], client.Config{})
		got, err := c.Object(object.Daemon).Call(t.Context(), "registered")
		all := append([]any{"Pyro.Daemon", "Pyro.NameServer"}, want...)
		if diff := cmp.Diff(any(all), got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", permit, err, diff)
		}
		if want == nil {
			continue
		}
		v, err := c.Object(object.Daemon).Call(t.Context(), "describe", "acme.cart:*")
		if d, ok := v.(map[string]any); err != nil || !ok || d["instance"] != "keyed" || d["id"] != "acme.cart:*" {
			t.Errorf("%s: describe = %v, %v", permit, v, err)
		}
	}
}
