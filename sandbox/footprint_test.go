package sandbox_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox"
)

// instanceBudget bounds the bytes of the process that a small keyed instance takes after a call.
const instanceBudget = 24 << 10

// TestInstancesAreSmall measures the memory of 2,000 keyed instances, each of which has run a call.
func TestInstancesAreSmall(t *testing.T) {
	p, err := sandbox.Load(t.Context(), sandbox.Config{ID: "acme.cart", Source: []byte(`
local Cart = hearth.object { doc = "A shopping cart for each user.", instance = "keyed" }
function Cart:init(key) self.owner, self.items = key, {} end
function Cart.expose:add(item)
  self.items[#self.items + 1] = ("%s-%d"):format(item, math.floor(#self.items + 0.5))
  return table.concat(self.items, " ")
end
return Cart`)})
	if err != nil {
		t.Fatal(err)
	}
	const n = 2000
	states := make([]*sandbox.State, n)
	before := heap()
	for i := range states {
		s, err := p.NewState(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s.SetKey(fmt.Sprint("key", i))
		if err := s.NewInstance(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		enc := codec.ByID(codec.Serpent).NewEncoder(nil)
		_, err = s.Call(t.Context(), &sandbox.Request{
			Kind: object.Invoke, Method: "add", Result: enc, ResetResult: func() {},
			Args: func(to object.Sink) error {
				return first(to.Begin(object.TupleKind, 1), to.Text([]byte("apple")), to.End(), to.Null())
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		s.Sent()
		states[i] = s
	}
	each := (heap() - before) / n
	t.Logf("%d bytes for each instance; Held counts %d", each, states[n-1].Held())
	if each > instanceBudget {
		t.Errorf("an instance takes %d bytes, want at most %d", each, instanceBudget)
	}
	runtime.KeepAlive(states)
}
