//go:build linux

package main_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	hearth "github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/object"
)

var upgrades = flag.Int("upgrades", 2, "number of upgrades of TestUpgradeWithState")

// statePolicy has a listener for each kind of channel.
const statePolicy = `
listener "tcp" { address = "127.0.0.1:0" }
listener "socket" { address = "unix:h.sock" }
listener "signed" {
  address  = "127.0.0.1:0"
  identify = ["hmac"]
  plain    = false
}
listener "tls" {
  address  = "127.0.0.1:0"
  identify = ["cert"]
  plain    = false
  tls {
    cert      = "host.pem"
    key       = "host.key"
    client_ca = "ca.pem"
  }
}
principal "me" {
  host_user = true
  keys      = ["me.key.txt"]
  cert {
    ca          = "ca.pem"
    common_name = "me"
  }
}
tenant "bank" {}
permit "all" {
  principals = ["me"]
  objects    = ["bank.*"]
}
`

// tallyScript counts in durable state. Its instance keeps the total in memory, too, so that two instances that run at
// the same time would lose increments.
const tallyScript = `
local s = hearth.store
local T = hearth.object { instance = "single" }
function T.expose:add(who, spin)
  self.total = (self.total or s.get("total") or 0) + 1
  for i = 1, spin do local x = i * i end
  s.put("total", self.total)
  s.increment("own/" .. who, 1)
  return self.total
end
function T.expose:get(key) return s.get(key) or 0 end
return T
`

// freeScript has overlapping calls.
const freeScript = `
local s = hearth.store
local F = hearth.object { instance = "call" }
function F.expose:add(who) s.increment("own/" .. who, 1) return s.increment("total", 1) end
function F.expose:get(key) return s.get(key) or 0 end
return F
`

// visitScript has one instance for each connection.
const visitScript = `
local V = hearth.object { instance = "session" }
function V.expose:visit() self.n = (self.n or 0) + 1 hearth.store.increment("visits", 1) return self.n end
return V
`

// increment is an acknowledged increment.
type increment struct {
	begin, end time.Time
	value      int64
}

// stateLoad is a load of durable increments.
type stateLoad struct {
	t      *testing.T
	l      *line
	ctx    context.Context
	failed atomic.Int64
	calls  atomic.Int64

	mu    sync.Mutex // guards the fields below
	done  map[object.ID][]increment
	own   map[object.ID]map[string]int64
	worst time.Duration
}

func startStateLine(t *testing.T, args ...string) *line {
	t.Helper()
	return startLine(t, statePolicy, func(dir string) {
		ca := newAuthority(t, dir, "ca")
		ca.issue("host", forServer)
		ca.issue("me", nil)
		writeKeys(t, filepath.Join(dir, "me.key.txt"), "me-1")
		check(t, os.MkdirAll(filepath.Join(dir, "scripts", "bank"), 0o755))
		for name, text := range map[string]string{"tally": tallyScript, "free": freeScript, "visit": visitScript} {
			check(t, os.WriteFile(filepath.Join(dir, "scripts", "bank", name+".lua"), []byte(text), 0o644))
		}
	}, args...)
}

// session opens a connection of a kind: tcp, unix, signed or tls.
func (l *line) session(ctx context.Context, t *testing.T, kind string) *hearth.Session {
	t.Helper()
	p := hearth.Profile{Address: l.tcp, Channel: "plain"}
	switch kind {
	case "unix":
		p.Address = "unix:" + l.path("h.sock")
	case "signed":
		p = hearth.Profile{Address: l.addrs[2], Channel: "hmac", Key: l.path("me.key.txt")}
	case "tls":
		p = hearth.Profile{Address: l.addrs[3], Channel: "tls", CA: l.path("ca.pem"), Cert: l.path("me.pem"),
			CertKey: l.path("me.key")}
	}
	b, err := json.Marshal(p)
	check(t, err)
	path := filepath.Join(t.TempDir(), "profile.json")
	check(t, os.WriteFile(path, b, 0o644))
	loaded, err := hearth.LoadProfile(path)
	check(t, err)
	cfg := hearth.Config{Timeout: time.Minute}
	check(t, loaded.Apply(&cfg))
	c, err := hearth.New(cfg)
	check(t, err)
	t.Cleanup(func() { c.Close() })
	s, err := c.Session(ctx)
	check(t, err)
	return s
}

// add makes one increment.
func (w *stateLoad) add(s *hearth.Session, id object.ID, who string, args ...any) bool {
	op := increment{begin: time.Now()}
	v, err := s.Object(id).Call(w.ctx, "add", append([]any{who}, args...)...)
	op.end = time.Now()
	if err != nil {
		w.failed.Add(1)
		w.t.Errorf("%s: an increment of %s after %s: %v", who, id, op.end.Sub(op.begin), err)
		return false
	}
	w.calls.Add(1)
	_, err = fmt.Sscan(fmt.Sprint(v), &op.value)
	check(w.t, err)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done[id] = append(w.done[id], op)
	w.own[id][who]++
	w.worst = max(w.worst, op.end.Sub(op.begin))
	return true
}

// run increments until stop is closed. Every tenth call is longer than the time between two looks at a store.
func (w *stateLoad) run(s *hearth.Session, who string, stop <-chan struct{}) {
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		spin := 0
		if i%10 == 0 {
			spin = 300_000
		}
		if !w.add(s, "bank.tally", who, spin) || !w.add(s, "bank.free", who) {
			return
		}
	}
}

// verify compares the durable counters with the acknowledged increments, and checks that the history of each object is
// linearizable: the values are distinct, and an increment that began after the end of another one has a greater value.
func (w *stateLoad) verify() {
	t := w.t
	s := w.l.session(w.ctx, t, "tcp")
	defer s.Close()
	read := func(id object.ID, key string) (n int64) {
		v, err := s.Object(id).Call(w.ctx, "get", key)
		check(t, err)
		_, err = fmt.Sscan(fmt.Sprint(v), &n)
		check(t, err)
		return n
	}
	for id, ops := range w.done {
		if n := read(id, "total"); n != int64(len(ops)) {
			t.Errorf("%s counts %d, acknowledged are %d", id, n, len(ops))
		}
		for who, n := range w.own[id] {
			if got := read(id, "own/"+who); got != n {
				t.Errorf("%s counts %d of %s, acknowledged are %d", id, got, who, n)
			}
		}
		slices.SortFunc(ops, func(a, b increment) int { return int(a.value - b.value) })
		latest := time.Time{} // greatest begin of the increments with smaller values
		for i, op := range ops {
			if op.value != int64(i+1) {
				t.Fatalf("%s: increment %d returned %d", id, i+1, op.value)
			}
			if op.end.Before(latest) {
				t.Fatalf("%s: the increment that returned %d ended before one with a smaller value began", id, op.value)
			}
			if op.begin.After(latest) {
				latest = op.begin
			}
		}
	}
}

// TestUpgradeWithState upgrades a host while clients of every channel increment durable counters, each on one
// connection. No call fails, and each acknowledged increment is stored once.
func TestUpgradeWithState(t *testing.T) {
	l := startStateLine(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(*upgrades+3)*time.Minute)
	defer cancel()
	w := &stateLoad{t: t, l: l, ctx: ctx, done: map[object.ID][]increment{},
		own: map[object.ID]map[string]int64{"bank.tally": {}, "bank.free": {}}}
	stop := make(chan struct{})
	var load sync.WaitGroup
	var idle []*hearth.Session
	for i, kind := range []string{"tcp", "tcp", "unix"} {
		s := l.session(ctx, t, kind)
		load.Go(func() { w.run(s, fmt.Sprint(kind, i), stop) })
		s = l.session(ctx, t, kind)
		w.add(s, "bank.tally", "idle", 0)
		idle = append(idle, s)
	}
	more := func(n int64) {
		for want := w.calls.Load() + n; w.calls.Load() < want && w.failed.Load() == 0; time.Sleep(time.Millisecond) {
		}
	}
	for range *upgrades {
		// The old process relays these until they end.
		var round sync.WaitGroup
		end := make(chan struct{})
		for _, kind := range []string{"signed", "tls"} {
			s := l.session(ctx, t, kind)
			round.Go(func() {
				defer s.Close()
				w.run(s, kind, end)
			})
		}
		more(30)
		old := l.pid(t)
		begun := time.Now()
		l.mustUpgrade(t)
		took := time.Since(begun)
		more(60)
		for _, s := range idle {
			w.add(s, "bank.tally", "idle", 0)
		}
		close(end)
		round.Wait()
		awaitEnd(t, old)
		w.mu.Lock()
		worst := w.worst
		w.mu.Unlock()
		t.Logf("upgraded in %s; %d calls, longest %s", took.Round(time.Millisecond), w.calls.Load(),
			worst.Round(time.Millisecond))
		if t.Failed() {
			break
		}
	}
	close(stop)
	load.Wait()
	if n := strings.Count(l.log(t), "store handed to the new process"); n < *upgrades && !t.Failed() {
		t.Errorf("%d stores were handed over in %d upgrades", n, *upgrades)
	}
	w.verify()
}
