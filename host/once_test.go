package host_test

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/wire"
)

// onceBox is an object that executes calls with a correlation id once.
const onceBox = `
local s = hearth.store
local Box = hearth.object { instance = "%s", once = true }
function Box.expose:add(k, n) return s.increment(k, n) end
function Box.expose:total(k) return s.get(k) or 0 end
function Box.expose:fail(k) s.increment(k, 1) error("no") end
function Box.get:size() return s.increment("size", 1) end
return Box`

// madeID returns a correlation id for one call of a member.
func madeID(n byte, object, member string) (id [16]byte) {
	id[0], id[7] = n, 0xA5
	sum := sha256.Sum256([]byte(string(id[:8]) + object + "\x00" + member))
	copy(id[8:], sum[:])
	return id
}

// correlated calls a method with a sequence number and, unless corr is zero, with a correlation id. It returns the
// result or the exception as text.
func (r *raw) correlated(seq uint16, corr [16]byte, flags wire.Flags, object, method string, args ...any) string {
	r.t.Helper()
	if _, err := r.nc.Write(r.message(seq, corr, flags, object, method, args...)); err != nil {
		return "! " + err.Error()
	}
	if err := r.in.Read(&r.last); err != nil {
		return "! " + err.Error()
	}
	v, err := codec.Unmarshal(r.ser, r.last.Payload, codec.Limits{})
	if err != nil {
		r.t.Fatal(err)
	}
	if e, ok := v.(*codec.Exception); ok {
		return fmt.Sprint("! ", e.Args)
	}
	return fmt.Sprint(v)
}

func wantText(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want && !(strings.HasPrefix(want, "! ") && strings.HasPrefix(got, "! ") &&
		strings.Contains(got, want[2:])) {
		t.Errorf("%s: got %s, want %s", what, got, want)
	}
}

// TestCorrelationOnce makes calls with correlation ids through the gateway, in both protocols, as Pyro clients do. No
// call has the reply of another one.
func TestCorrelationOnce(t *testing.T) {
	h, _ := startHost(t, strings.Replace(twoKeys(t), `tenant "acme" {}`, `tenant "acme" {
  isolation = "object"
}`, 1), script(t, "acme/once.lua", fmt.Sprintf(onceBox, "single")),
		script(t, "acme/cart.lua", fmt.Sprintf(onceBox, "keyed")),
		script(t, "acme/usual.lua", strings.Replace(fmt.Sprintf(onceBox, "single"), ", once = true", "", 1)))
	addr := h.Addrs()[0]
	for _, proto := range []wire.Protocol{wire.Pyro4, wire.Pyro5} {
		for i, box := range []string{"acme.once", "acme.cart:alice"} {
			t.Run(fmt.Sprintf("%d/%s", proto, box), func(t *testing.T) {
				k := fmt.Sprint("n", proto, i)
				dial := func(key string) *raw { return dialAs(t, addr, key, proto, "serpent") }
				// The first call loads the script, and its setting applies already.
				one := madeID(1+byte(proto), box, "add")
				first := dial("alice-1")
				wantText(t, "first call", first.correlated(1, one, 0, box, "add", k, 1), "1")
				// Not a retry: a client that has the reply, and does not change the id.
				const notRetry = "! belongs to an earlier call"
				wantText(t, "same connection", first.correlated(2, one, 0, box, "add", k, 1), notRetry)
				two := madeID(2+byte(proto), box, "add")
				wantText(t, "after it", first.correlated(3, two, 0, box, "add", k, 1), "2")
				used := dial("alice-1")
				wantText(t, "used connection", used.correlated(1, [16]byte{}, 0, box, "total", k), "2")
				wantText(t, "used connection", used.correlated(2, one, 0, box, "add", k, 1), notRetry)
				// A retry, with the next sequence number, as Pyro makes it, or with any other.
				for _, seq := range []uint16{2, 1, 4711} {
					wantText(t, "retry", dial("alice-1").correlated(seq, one, 0, box, "add", k, 1), "1")
				}
				wantText(t, "other arguments", dial("alice-1").correlated(1, one, 0, box, "add", k, 2),
					"! with other arguments")
				wantText(t, "other method", dial("alice-1").correlated(1, one, 0, box, "total", k),
					"! was not made for")
				other := map[bool]string{true: "acme.once", false: "acme.cart:bob"}[i == 1]
				wantText(t, "other object", dial("alice-1").correlated(1, one, 0, other, "add", k, 1),
					"! was not made for")
				wantText(t, "plain id", dial("alice-1").correlated(1, [16]byte{4: 1}, 0, box, "add", k, 1),
					"! was not made for")
				wantText(t, "another plain id", dial("alice-1").correlated(1, [16]byte{14: 1}, 0, box, "add", k, 1),
					"! was not made for")
				wantText(t, "no id", dial("alice-1").correlated(1, [16]byte{}, 0, box, "add", k, 1), "3")
				// Another principal does not get the reply. Its call is another one.
				wantText(t, "bob", dial("bob-1").correlated(1, one, 0, box, "add", k, 1), "4")
				wantText(t, "bob again", dial("bob-1").correlated(2, one, 0, box, "add", k, 1), "4")
				wantText(t, "alice", dial("alice-1").correlated(2, one, 0, box, "add", k, 1), "1")
				// Exceptions are stored, attributes and batches are calls.
				fails := madeID(3+byte(proto), box, "fail")
				for range 2 {
					wantText(t, "exception", dial("alice-1").correlated(1, fails, 0, box, "fail", k), "! no")
				}
				size := madeID(4+byte(proto), box, "size")
				before := dial("alice-1").correlated(1, size, 0, box, "__getattr__", "size")
				wantText(t, "attribute", dial("alice-1").correlated(2, size, 0, box, "__getattr__", "size"), before)
				batch := madeID(5+byte(proto), box, "")
				for range 2 {
					wantText(t, "batch", dial("alice-1").correlated(1, batch, wire.Batch, box, "<batch>",
						codec.Tuple{"add", codec.Tuple{k, int64(5)}, map[string]any{}},
						codec.Tuple{"total", codec.Tuple{k}, map[string]any{}}), "[9 9]")
				}
				oneway := dial("alice-1")
				oneway.send(wire.Invoke, wire.Oneway, oneway.payload(box, "add", k, 1)) // has an id
				oneway.exchange(wire.Ping, 0, nil)
				wantText(t, "total", dial("alice-1").correlated(1, [16]byte{}, 0, box, "total", k), "9")
			})
		}
	}
	// Without the setting the id means nothing, also one that was made for a call.
	for want := range 3 {
		r := dialAs(t, addr, "alice-1", wire.Pyro5, "json")
		id := madeID(1, "acme.usual", "add")
		wantText(t, "usual", r.correlated(1, id, 0, "acme.usual", "add", "k", 1), fmt.Sprint(want+1))
	}
}

// TestCorrelationOnceLost kills the worker, and restarts the host, while a client makes calls and repeats those whose
// reply it has not received. Each is executed once.
func TestCorrelationOnceLost(t *testing.T) {
	s := startStore(t, filepath.Join(t.TempDir(), "state"))
	const calls, box = 40, "shop.once"
	dial := func() *raw { return dialRaw(t, s.addr, wire.Pyro5, "json") }
	for n := range byte(calls) {
		id := madeID(n, box, "add")
		switch n % 16 {
		case 5: // the call may be anywhere when its worker is killed
			pid := s.h.Workers()["shop"]
			go func() { _ = syscall.Kill(pid, syscall.SIGKILL) }()
		case 9: // the reply is lost
			lost := dial()
			if _, err := lost.nc.Write(lost.message(1, id, 0, box, "add", "k", 1)); err != nil {
				t.Fatal(err)
			}
			lost.nc.Close()
		case 13:
			s.end()
			s.start()
		}
		until(func() bool {
			r := dial()
			defer r.nc.Close()
			got := r.correlated(1, id, 0, box, "add", "k", 1)
			if !strings.HasPrefix(got, "! ") {
				wantText(t, "call", got, fmt.Sprint(n+1))
			}
			return !strings.HasPrefix(got, "! ") || t.Failed()
		})
	}
}

// message returns the bytes of a call.
func (r *raw) message(seq uint16, corr [16]byte, flags wire.Flags, object, method string, args ...any) []byte {
	r.t.Helper()
	b, err := wire.Append(nil, &wire.Message{
		Protocol:   r.proto,
		Type:       wire.Invoke,
		Flags:      flags,
		Serializer: pyro.SerializerNumber(r.proto, r.ser),
		Seq:        seq,
		Corr:       corr,
		HasCorr:    corr != [16]byte{},
		Payload:    r.payload(object, method, args...),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return b
}

// TestOnceRequiresOneInstance loads objects with the setting once. Those without one instance are refused.
func TestOnceRequiresOneInstance(t *testing.T) {
	for mode, loads := range map[object.InstanceMode]bool{
		object.Single: true, object.Keyed: true, object.Session: false, object.PerCall: false,
	} {
		h, _ := startHost(t, storePolicy, script(t, "shop/box.lua", fmt.Sprintf(onceBox, mode)))
		id := "shop.box"
		if mode == object.Keyed {
			id += ":a"
		}
		got := dialRaw(t, h.Addrs()[0], wire.Pyro5, "json").correlated(1, [16]byte{}, 0, id, "add", "k", 1)
		if loads {
			wantText(t, string(mode), got, "1")
		} else {
			wantText(t, string(mode), got, `! once belongs to an object with instance = "single" or "keyed"`)
		}
	}
}

// keyedPolicy has one tenant with a process for all of its objects, and one with a process for each.
const keyedPolicy = `
listener "tcp" { address = "127.0.0.1:0" }
principal "owner" { host_user = true }
tenant "shop" {}
tenant "zoo" { isolation = "object" }
permit "owner may call all" {
  principals = ["owner"]
  objects    = ["*.*"]
}
`

// TestKeyedOnce makes calls and batches with idempotency keys of keyed objects, in parallel. The key of a call belongs
// to one key of the object. A batch is executed once as a whole.
func TestKeyedOnce(t *testing.T) {
	box := strings.Replace(fmt.Sprintf(onceBox, "keyed"), ", once = true", "", 1)
	h, _ := startHost(t, keyedPolicy, script(t, "shop/box.lua", box), script(t, "zoo/box.lua", box))
	once := func(id object.ID, key, method string, args ...any) string {
		v, err := dial(t, h.Addrs()[0], client.Config{}).Object(id).CallOnce(t.Context(), key, method, args, nil)
		if err != nil {
			return "! " + err.Error()
		}
		return fmt.Sprint(v)
	}
	// batch adds 1 and 2, and reads the sum. If fails is set, a method in the middle raises an exception.
	batch := func(id object.ID, key string, fails bool) string {
		r := dialRaw(t, h.Addrs()[0], wire.Pyro5, "json")
		add := codec.Tuple{"add", codec.Tuple{"sum", int64(1)}, map[string]any{}}
		second := codec.Tuple{"add", codec.Tuple{"sum", int64(2)}, map[string]any{}}
		if fails {
			second = codec.Tuple{"fail", codec.Tuple{"sum"}, map[string]any{}}
		}
		total := codec.Tuple{"total", codec.Tuple{"sum"}, map[string]any{}}
		b, err := wire.Append(nil, &wire.Message{
			Protocol:    r.proto,
			Type:        wire.Invoke,
			Flags:       wire.Batch,
			Serializer:  pyro.SerializerNumber(r.proto, r.ser),
			Payload:     r.payload(string(id), "<batch>", add, second, total),
			Annotations: []wire.Annotation{{ID: [4]byte{'O', 'N', 'C', 'E'}, Value: []byte(key)}},
		})
		if err != nil {
			return "! " + err.Error()
		}
		if _, err := r.nc.Write(b); err != nil {
			return "! " + err.Error()
		}
		if err := r.in.Read(&r.last); err != nil {
			return "! " + err.Error()
		}
		return string(r.last.Payload)
	}
	for _, family := range []object.ID{"shop.box", "zoo.box"} {
		var all sync.WaitGroup
		for _, key := range []string{"a", "b"} {
			id := family.WithKey(key)
			for range 4 {
				all.Go(func() { wantText(t, string(id), once(id, "k1", "add", "n", 1), "1") })
				all.Go(func() { wantText(t, string(id), batch(id, "k2", false), "[1, 3, 3]") })
			}
		}
		all.Wait()
		for _, key := range []string{"a", "b"} {
			id := family.WithKey(key)
			wantText(t, "another key", once(id, "k3", "add", "n", 1), "2")
			wantText(t, "other arguments", once(id, "k1", "add", "n", 2), "! with other arguments")
			if got := batch(id, "k2", true); !strings.Contains(got, "with other arguments") {
				t.Errorf("%s: another batch with the key: %s", id, got)
			}
			// The writes of the method that fails are dropped, those before it are stored, once.
			first := batch(id, "k4", true)
			if again := batch(id, "k4", true); first != again || !strings.Contains(first, "_ExceptionWrapper") ||
				!strings.HasPrefix(first, "[4, ") {
				t.Errorf("%s: a batch that fails: %s, then %s", id, first, again)
			}
			wantText(t, "sum", once(id, "k5", "total", "sum"), "4")
		}
		wantText(t, "no key", once(family, "k1", "add", "n", 1), "! unknown object")
		wantText(t, "a third key", once(family.WithKey("c"), "k1", "total", "n"), "0")
	}
}
