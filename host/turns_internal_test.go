package host

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/sandbox/supervise"
)

// sharing returns turns, so many at a time, that two tenants make use of.
func sharing(most int) *turns {
	t := new(turns)
	t.init(turnsEach)
	t.most = most
	t.begin(new(turn), "a", 1, time.Now())
	t.begin(new(turn), "b", 1, time.Now()) // shares from now on; nobody holds a's
	t.oldest, t.newest, t.held = nil, nil, 0
	for _, q := range t.queues {
		q.had = 0
	}
	return t
}

// TestTurnsAlone has one tenant call alone: nobody waits, and no turn is held.
func TestTurnsAlone(t *testing.T) {
	var all turns
	all.init(turnsEach)
	for range 10 * all.most {
		all.begin(new(turn), "a", 1, time.Now())
	}
	if all.held != 0 || len(all.queues) != 0 {
		t.Errorf("%d turns are held and there are %d queues, want none: there is nobody to share with", all.held, len(all.queues))
	}
}

// TestTurnsAside has clients of one tenant ask what its objects are, which takes no turns of it;
// whoever asks without end is somebody to share with.
func TestTurnsAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all turns
		all.init(turnsEach)
		call := func(tenant object.Tenant) {
			var one turn
			all.begin(&one, tenant, 1, time.Now())
			all.end(&one, true)
		}
		for range 10 {
			for range maxAside {
				call("a")
				call(own("alice"))
			}
			if all.crowded(time.Now()) {
				t.Fatalf("%d questions beside calls of one tenant make a crowd", maxAside)
			}
			time.Sleep(2 * sharedFor)
		}
		for range maxAside + 1 {
			call("a")
			call(own("alice"))
		}
		if !all.crowded(time.Now()) {
			t.Error("questions without end are shared with nobody")
		}
	})
}

// TestTurnsFlood has one tenant wait with a hundred calls, and another come then: it is next.
func TestTurnsFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := sharing(2)
		begun := make(chan object.Tenant, 200)
		ask := func(tenant object.Tenant, weight float64) *turn {
			one := new(turn)
			go func() {
				all.begin(one, tenant, weight, time.Now())
				begun <- tenant
			}()
			synctest.Wait()
			return one
		}
		first := ask("a", 1)
		second := ask("a", 1)
		rest := make([]*turn, 100)
		for i := range rest {
			rest[i] = ask("a", 1)
		}
		late := ask("b", 1)
		if got := drained(begun); got != "aa" {
			t.Fatalf("%q began while two turns are held, want aa", got)
		}
		all.end(first, true)
		synctest.Wait()
		if got := drained(begun); got != "b" {
			t.Fatalf("%q is next, want b: it has had least", got)
		}
		all.end(second, true)
		all.end(late, true)
		for _, one := range rest {
			synctest.Wait()
			all.end(one, true)
		}
		synctest.Wait()
		if got := drained(begun); got != strings.Repeat("a", 100) {
			t.Errorf("%d of those that waited began, want 100", len(got))
		}
		if all.held != 0 || all.oldest != nil || all.newest != nil || len(all.waiting) != 0 {
			t.Errorf("%d turns are held at the end, and %d queues wait", all.held, len(all.waiting))
		}
	})
}

func drained(c chan object.Tenant) string {
	var b strings.Builder
	for {
		select {
		case tenant := <-c:
			b.WriteString(string(tenant))
		default:
			return b.String()
		}
	}
}

// began is the n-th call of a tenant, which has its turn.
type began struct {
	tenant object.Tenant
	n      int
}

// queued has calls wait, so many of each tenant in turn, behind one turn that is held, and
// returns them in the order in which they then begin. There is one turn at a time.
func queued(all *turns, calls int, weights map[object.Tenant]float64) []began {
	gate := new(turn)
	all.begin(gate, "gate", 1, time.Now())
	var order []began // one goroutine at a time has the turn
	var done sync.WaitGroup
	for n := range calls {
		for tenant, weight := range weights {
			done.Go(func() {
				var one turn
				all.begin(&one, tenant, weight, time.Now())
				order = append(order, began{tenant, n})
				all.end(&one, true)
			})
			synctest.Wait()
		}
	}
	all.end(gate, true)
	done.Wait()
	return order
}

// TestTurnsByWeight has tenants of weights 3 and 1 wait all the time: they begin 3 to 1, and
// in the order in which they came within each.
func TestTurnsByWeight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := sharing(1)
		order := queued(all, 40, map[object.Tenant]float64{"heavy": 3, "light": 1})
		count := map[object.Tenant]int{}
		for _, b := range order[:40] {
			if b.n != count[b.tenant] {
				t.Fatalf("call %d of %s began when %d of its calls had: %v", b.n, b.tenant, count[b.tenant], order)
			}
			count[b.tenant]++
		}
		if count["heavy"] < 29 || count["heavy"] > 31 {
			t.Errorf("of the first 40 calls %d are of the tenant of weight 3, want 30 or so", count["heavy"])
		}
	})
}

// TestTurnsExpire has calls that wait for their objects: they hold up others for a moment only.
func TestTurnsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := sharing(1)
		slow := new(turn)
		all.begin(slow, "a", 1, time.Now())
		start := time.Now()
		quick := new(turn)
		all.begin(quick, "b", 1, time.Now())
		if waited := time.Since(start); waited > 2*maxTurn {
			t.Errorf("the second call waited for %s, want at most %s", waited, 2*maxTurn)
		}
		all.end(slow, true) // gives nothing back twice
		if all.held != 1 || all.oldest != quick || all.newest != quick {
			t.Errorf("%d turns are held, want the second call's alone", all.held)
		}
		all.end(quick, true)
		if all.held != 0 {
			t.Errorf("%d turns are held at the end", all.held)
		}
	})
}

// TestTurnsUnused has a tenant take turns and give them back unused: they do not count.
func TestTurnsUnused(t *testing.T) {
	all := sharing(1)
	var one turn
	for range 1000 {
		all.begin(&one, "a", 1, time.Now())
		all.end(&one, false)
	}
	if had := all.queues["a"].had; had != 0 {
		t.Errorf("the tenant has had %v turns, want 0", had)
	}
}

// TestTurnsEarlier has a tenant call for long without anybody having to wait, and then one
// that was silent flood the host: what the first had while there was enough is not held
// against it.
func TestTurnsEarlier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := sharing(1)
		var one turn
		for range 1000 {
			all.begin(&one, "early", 1, time.Now())
			all.end(&one, true)
		}
		early := 0
		for _, b := range queued(all, 20, map[object.Tenant]float64{"late": 1, "early": 1})[:10] {
			if b.tenant == "early" {
				early++
			}
		}
		if early < 4 || early > 6 {
			t.Errorf("of the first 10 calls that waited %d are of the tenant that called before, want 5 or so", early)
		}
	})
}

// TestTurnsUnusedWaiting has a turn come back unused while others of its tenant wait: the one
// who has had least is next all the same.
func TestTurnsUnusedWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := sharing(2)
		gate, idle := new(turn), new(turn)
		all.begin(gate, "gate", 1, time.Now())
		all.begin(idle, "d", 1, time.Now())
		begun := make(chan object.Tenant, 5)
		var done sync.WaitGroup
		for tenant, had := range map[object.Tenant]float64{"a": 0.1, "b": 0.5, "c": 0.6, "e": 1.1, "d": 1} {
			all.mu.Lock()
			if q := all.queues[tenant]; q == nil {
				all.queues[tenant] = new(turnQueue)
			}
			all.queues[tenant].had = had
			all.mu.Unlock()
		}
		for _, tenant := range []object.Tenant{"a", "b", "c", "d", "e"} { // d is under b then
			done.Go(func() {
				var one turn
				all.begin(&one, tenant, 1, time.Now())
				begun <- tenant
				all.end(&one, true)
			})
			synctest.Wait()
		}
		all.end(idle, false)
		done.Wait()
		all.end(gate, true)
		if got := drained(begun); got != "dabce" {
			t.Errorf("they began in the order %q, want dabce", got)
		}
	})
}

// TestTurnsAtOnce has many calls of many tenants come at once, some slow: all begin, no more
// than there are turns at a time, and none is left.
func TestTurnsAtOnce(t *testing.T) {
	all := sharing(4)
	var done sync.WaitGroup
	for tenant := range 8 {
		for range 50 {
			done.Go(func() {
				var one turn
				for range 20 {
					all.begin(&one, object.Tenant(fmt.Sprint("t", tenant)), float64(1+tenant), time.Now())
					all.mu.Lock()
					if all.held > 8/tenantsEach*all.most || all.held < 0 {
						t.Errorf("%d turns are held, want at most %d", all.held, 8/tenantsEach*all.most)
					}
					all.mu.Unlock()
					all.end(&one, true)
				}
			})
		}
	}
	done.Wait()
	if all.held != 0 || len(all.waiting) != 0 || all.oldest != nil || all.newest != nil {
		t.Errorf("%d turns are held at the end, and %d queues wait", all.held, len(all.waiting))
	}
}

// TestShare: what a caller may not do is of his own share, whether the object is there or not.
func TestShare(t *testing.T) {
	p, err := policy.Parse("policy.hcl", []byte(`
		tenant "acme" { weight = 3 }
		listener "l" { address = "127.0.0.1:0" }
		principal "alice" { uid = 1 }
		principal "mallory" { uid = 2 }
		permit "alice reads" {
			principals = ["alice"]
			objects    = ["acme.*"]
			methods    = ["total"]
		}`), "", 0, func(string) (uint32, error) { return 0, nil })
	if err != nil {
		t.Fatal(err)
	}
	snap := &snapshot{policy: p, tenants: map[object.Tenant]*served{"acme": {objects: map[object.ID]*supervise.Version{"acme.counter": {}}}}}
	h := new(Host)
	h.turns.init(turnsEach)
	h.turns.begin(new(turn), "a", 1, time.Now())
	h.turns.begin(new(turn), "b", 1, time.Now()) // shares from now on
	for _, tc := range []struct {
		who  object.Principal
		call object.Call
		want object.Tenant
	}{
		{"alice", object.Call{ID: "acme.counter", Method: "total"}, "acme"},
		{"alice", object.Call{ID: "acme.counter", Method: "total", Kind: object.Get}, "acme"},
		{"alice", object.Call{ID: "acme.counter", Kind: object.Batch, Batch: []object.Method{"total"}}, "acme"},
		{"alice", object.Call{ID: "acme.counter", Method: "total", Kind: object.Set}, "Pyro.alice"},
		{"alice", object.Call{ID: "acme.counter", Method: "add"}, "Pyro.alice"},
		{"alice", object.Call{ID: "acme.counter", Kind: object.Batch}, "Pyro.alice"},
		{"alice", object.Call{ID: "acme.none", Method: "total"}, "Pyro.alice"},
		{"alice", object.Call{ID: object.NameServer, Method: "list"}, "Pyro.alice"},
		{"mallory", object.Call{ID: "acme.counter", Method: "total"}, "Pyro.mallory"},
		{"mallory", object.Call{ID: "acme.none", Method: "total"}, "Pyro.mallory"},
	} {
		c := &conn{h: h, own: own(tc.who)}
		tc.call.Caller.Principal = tc.who
		c.share(snap, &tc.call)
		h.turns.end(&c.turn, true)
		if c.sharer != tc.want || (tc.want == "acme") != (c.weight == 3) {
			t.Errorf("%s: %s.%s %v %v is of the share %q of weight %v, want %q", tc.who, tc.call.ID, tc.call.Method, tc.call.Kind, tc.call.Batch, c.sharer, c.weight, tc.want)
		}
	}
}

// TestSharer: names that callers make up, and the host's own objects, are of the caller's own share.
func TestSharer(t *testing.T) {
	p, err := policy.Parse("policy.hcl", []byte("tenant \"acme\" { weight = 3 }\nlistener \"l\" { address = \"127.0.0.1:0\" }\n"), "", 0, func(string) (uint32, error) { return 0, nil })
	if err != nil {
		t.Fatal(err)
	}
	snap := &snapshot{policy: p, tenants: map[object.Tenant]*served{"acme": {objects: map[object.ID]*supervise.Version{"acme.counter": {}}}}}
	for id, want := range map[object.ID]struct {
		tenant object.Tenant
		weight float64
	}{
		"acme.counter":    {"acme", 3},
		"acme.none":       {own("alice"), 1},
		"other.counter":   {own("alice"), 1},
		"":                {own("alice"), 1},
		object.Daemon:     {own("alice"), 1},
		object.NameServer: {own("alice"), 1},
	} {
		c := &conn{h: &Host{}, own: own("alice")}
		c.h.turns.init(turnsEach)
		if c.share(snap, &object.Call{ID: id}); c.sharer != want.tenant || c.weight != want.weight {
			t.Errorf("a call of %q is of the share of %s, %v, want %s, %v", id, c.sharer, c.weight, want.tenant, want.weight)
		}
	}
}
