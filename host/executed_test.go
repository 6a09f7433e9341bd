package host_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/host"
)

const executedPolicy = `
listener "tcp" { address = "127.0.0.1:0" }
principal "owner" { host_user = true }
tenant "acme" {
  limits {
    max_duration = "250ms"
    queue = 6
  }
}
tenant "other" {}
permit "owner" {
  principals = ["owner"]
  objects    = ["acme.*", "other.*"]
}
permit "the work is noted" {
  principals = ["object:acme.work"]
  objects    = ["other.ledger"]
  crosses_tenants = true
}
`

// work notes in another tenant that it has begun, and then does what it is told.
const work = `
local W = hearth.object { instance = "single" }
function W.expose:go(id, what)
  hearth.proxy("other.ledger"):note(id)
  while what == "spin" do end
  local kept = {}
  while what == "hoard" do kept[#kept + 1] = ("x"):rep(1e6) .. #kept end
  if what == "raise" then error("as told") end
  if what == "busy" then local t = os.clock() while os.clock() - t < 0.02 do end end
  return id
end
return W`

const ledgerScript = `
local L = hearth.object { instance = "single" }
function L:init() self.all = {} end
function L.expose:note(id) self.all[#self.all + 1] = id end
function L.expose:noted() return hearth.list(self.all) end
return L`

// TestExecutedIsTrue makes calls that end in all ways: by a result, an error, each limit, a full queue, the
// deadline of the host, another version, and by the death of their worker, which is killed and stopped under them.
// Whatever an answer says of the execution, the record of the object agrees.
func TestExecutedIsTrue(t *testing.T) {
	h, dir := startHost(t, executedPolicy, script(t, "acme/work.lua", work), script(t, "other/ledger.lua", ledgerScript))
	ctx := t.Context()
	c := dial(t, h.Addrs()[0], client.Config{})
	signal := func(sig syscall.Signal) {
		if pid := h.Workers()["acme"]; pid != 0 {
			_ = syscall.Kill(pid, sig)
		}
	}
	events := map[int64]func(){
		20:  func() { signal(syscall.SIGKILL) },
		60:  func() { change(t, h, dir, work+"\n-- another version") },
		90:  func() { signal(syscall.SIGSTOP) },
		120: func() { signal(syscall.SIGKILL) },
		150: func() { change(t, h, dir, work) },
	}
	const callers, calls = 8, 180
	whats := slices.Repeat([]string{"busy", "", "raise"}, 7)
	whats[10], whats[20] = "spin", "hoard"
	answers := make([]error, calls)
	var next atomic.Int64
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			s, err := c.Session(ctx)
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			for id := next.Add(1) - 1; id < calls; id = next.Add(1) - 1 {
				if do := events[id]; do != nil {
					do()
				}
				until(func() bool {
					_, answers[id] = s.Object("acme.work").Call(ctx, "go", id, whats[int(id)%len(whats)])
					text := fmt.Sprint(answers[id]) // while there is no worker, nothing was executed: the caller tries again
					full := strings.Contains(text, "calls are waiting") && id%3 > 0
					return !full && !strings.Contains(text, "is started again in") && !strings.Contains(text, "does not answer")
				})
			}
		})
	}
	all.Wait()
	got, err := c.Object("other.ledger").Call(ctx, "noted")
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for id, err := range answers {
		noted := slices.Contains(got.([]any), any(int64(id)))
		said := executed(err)
		count[said]++
		if said == "?" || said == "no" && noted || (said == "yes" || said == "in part") && !noted {
			t.Errorf("call %d (%s): executed %s, and the object has noted it: %v: %v", id, whats[id%len(whats)], said, noted, err)
		}
	}
	t.Log(count)
	for _, said := range []string{"yes", "no", "in part", "unknown"} {
		if count[said] == 0 {
			t.Errorf("no call was executed %q: %v", said, count)
		}
	}
}

// executed returns what an answer says of whether the call was executed.
func executed(err error) string {
	text := fmt.Sprint(err)
	switch {
	case err == nil, strings.Contains(text, "as told"):
		return "yes"
	case strings.Contains(text, "not executed"):
		return "no"
	case strings.Contains(text, "executed in part"):
		return "in part"
	case strings.Contains(text, "whether it was executed is unknown"):
		return "unknown"
	}
	return "?"
}

// change writes another version of the work, and waits until it serves.
func change(t *testing.T, h *host.Host, dir, source string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "scripts", "acme", "work.lua"), []byte(source), 0o644); err != nil {
		t.Error(err)
	}
	if err := h.Reload(t.Context()); err != nil {
		t.Error(err)
	}
}
