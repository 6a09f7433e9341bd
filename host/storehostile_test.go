package host_test

import (
	"context"
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/service/store"
)

// Sizes of TestHostileStore. The quotas are as large as the sizes.
var (
	hostileBytes = flag.Int64("store-bytes", 2<<20, "bytes that TestHostileStore writes into one object")
	hostileKeys  = flag.Int("store-keys", 3000, "keys that TestHostileStore lists")
)

const hostilePolicy = `
listener "tcp" { address = "127.0.0.1:0" }
principal "owner" { host_user = true }
tenant "rogue" {
  limits {
    steps        = 2000000
    store        = "%[1]dB"
    object_store = "%[1]dB"
  }
}
tenant "calm" {}
permit "owner may call all" {
  principals = ["owner"]
  objects    = ["*.*"]
}
`

// hostileBox is an object that uses its store as much as it can.
const hostileBox = `
local s = hearth.store
local Box = hearth.object { instance = "%s" }
function Box.expose:fill(from, n) for i = from, from + n - 1 do s.put(("k%%08d"):format(i), i) end end
function Box.expose:large(i, bytes) return s.put("large/" .. i, ("x"):rep(bytes)) end
function Box.expose:ttl(t) return s.put("t", 1, { ttl = t }) end
function Box.expose:ttls()
  local refused = 0
  for _, t in ipairs { 0/0, 1/0, -1/0, 0, -1, -0.0, 1e300, 100 * 366 * 86400, "x", true, {} } do
    if not pcall(s.put, "t", 1, { ttl = t }) then refused = refused + 1 end
  end
  return refused
end
function Box.expose:count(after)
  local n, last = 0
  for k in s.list { prefix = "k", after = after, limit = 1000 } do n, last = n + 1, k end
  return hearth.list { n, last or "" }
end
function Box.expose:count_all() local n = 0 for _ in s.list() do n = n + 1 end return n end
function Box.expose:computes() s.transaction(function() while true do end end) end
function Box.expose:reads() s.transaction(function(tx) while true do tx.get("t") end end) end
function Box.expose:lists()
  s.transaction(function(tx) while true do for k in tx.list() do tx.put("w", k) end end end)
end
function Box.expose:add() return s.increment("n") end
function Box.expose:get(k) return (s.get(k)) end
function Box.expose:delete(k) s.delete(k) end
return Box`

// hostileQuota returns the quota of the objects in bytes.
func hostileQuota() int64 { return *hostileBytes + int64(*hostileKeys)*100 + 64<<10 }

// TestHostileStore uses a store in ways that could harm other objects and tenants: many writes in a call, values up to
// the quota, transactions that do not end, every kind of ttl, and long lists. Limits hold, the object works afterwards,
// and the objects of others answer meanwhile.
func TestHostileStore(t *testing.T) {
	s := &storeHost{t: t, state: filepath.Join(t.TempDir(), "state")}
	s.policy = fmt.Sprintf(hostilePolicy, hostileQuota())
	s.scripts = map[string]string{
		"rogue/single.lua": fmt.Sprintf(hostileBox, "single"),
		"rogue/call.lua":   fmt.Sprintf(hostileBox, "call"),
		"rogue/other.lua":  fmt.Sprintf(hostileBox, "single"),
		"calm/single.lua":  fmt.Sprintf(hostileBox, "single"),
	}
	s.start()
	t.Cleanup(func() { s.end() })
	neighbours := watchNeighbours(s, "calm.single", "rogue.other")
	for _, id := range []string{"rogue.single", "rogue.call"} {
		s.want("<nil>", id, "fill", 0, store.MaxWrites/10)
		s.want("more than 10000 writes…", id, "fill", 0, store.MaxWrites+1)
		s.want("11", id, "ttls")
		s.want("true", id, "ttl", 1e-9)
		s.want("true", id, "ttl", 100*365*86400)
		for _, endless := range []string{"computes", "reads", "lists"} {
			s.want("! …", id, endless)
			s.want("1", id, "get", "t") // its lock is free
		}
	}
	for from := 0; from < *hostileKeys; from += 1000 {
		s.want("<nil>", "rogue.single", "fill", from, min(1000, *hostileKeys-from))
	}
	total, last := 0, ""
	for {
		v, err := s.value("rogue.single", "count", last)
		page, _ := v.([]any)
		if err != nil || len(page) != 2 {
			t.Fatalf("a page: %v, %v", v, err)
		}
		n, _ := page[0].(int64)
		if n == 0 {
			break
		}
		total += int(n)
		last, _ = page[1].(string)
	}
	if want := max(*hostileKeys, store.MaxWrites/10); total != want {
		t.Errorf("%d keys are listed in pages, want %d", total, want)
	}
	got := s.call("rogue.single", "count_all")
	if got != fmt.Sprint(total+1) && !strings.Contains(got, "limit exceeded") {
		t.Errorf("a list of all keys in one call: %s", got)
	}
	const value = 1 << 19
	i := int64(0)
	for s.call("rogue.single", "large", i, value) == "true" {
		i++
	}
	if quota := hostileQuota(); i*value < *hostileBytes || i*value > quota {
		t.Errorf("%d values of %d bytes are stored, the quota is %d bytes", i, value, quota)
	}
	s.want("(object_store)…", "rogue.single", "large", i, value)
	s.want("(store)…", "rogue.other", "large", "more", value)
	s.want("1", "rogue.single", "get", "t")
	s.want("<nil>", "rogue.single", "delete", "large/0")
	s.want("true", "rogue.single", "large", "again", value/2)
	neighbours()
}

// watchNeighbours calls objects until the returned function is called, which fails the test if a call has failed, and
// logs the times.
func watchNeighbours(s *storeHost, ids ...string) func() {
	var over atomic.Bool
	var wg sync.WaitGroup
	for _, id := range ids {
		wg.Go(func() {
			c, err := client.New(client.Config{Address: s.addr})
			if err != nil {
				s.t.Error(err)
				return
			}
			defer c.Close()
			var times []time.Duration
			for want := int64(1); !over.Load() || want < 10; want++ {
				begun := time.Now()
				v, err := c.Object(object.ID(id)).Call(context.Background(), "add")
				if err != nil || v != want {
					s.t.Errorf("%s.add() = %v, %v, want %d", id, v, err, want)
					return
				}
				times = append(times, time.Since(begun))
			}
			slices.Sort(times)
			s.t.Logf("%s: %d increments, p50 %s, p99 %s, longest %s", id, len(times), times[len(times)/2],
				times[len(times)*99/100], times[len(times)-1])
		})
	}
	return func() {
		over.Store(true)
		wg.Wait()
	}
}
