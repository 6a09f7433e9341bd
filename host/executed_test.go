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
permit "work may record calls" {
  principals = ["object:acme.work"]
  objects    = ["other.recorder"]
  crosses_tenants = true
}
`

// work is an object that records its start in another tenant and then ends as its argument requires.
const work = `
local W = hearth.object { instance = "single" }
function W.expose:go(id, what)
  hearth.proxy("other.recorder"):record(id)
  while what == "spin" do end
  local kept = {}
  while what == "hoard" do kept[#kept + 1] = ("x"):rep(1e6) .. #kept end
  if what == "raise" then error("requested error") end
  if what == "busy" then local t = os.clock() while os.clock() - t < 0.02 do end end
  return id
end
return W`

const recorderScript = `
local R = hearth.object { instance = "single" }
function R:init() self.all = {} end
function R.expose:record(id) self.all[#self.all + 1] = id end
function R.expose:recorded() return hearth.list(self.all) end
return R`

// TestExecutionStatus makes calls that end in all ways: a result, an error, each limit, a full queue, the host's
// deadline and a new version. Signals also kill and stop the worker during calls. The execution status in each reply
// agrees with the object's record.
func TestExecutionStatus(t *testing.T) {
	workScript := script(t, "acme/work.lua", work)
	h, dir := startHost(t, executedPolicy, workScript, script(t, "other/recorder.lua", recorderScript))
	ctx := t.Context()
	c := dial(t, h.Addrs()[0], client.Config{})
	// The recorder's worker runs before the first call, whose time does not suffice for its start on a loaded machine.
	if _, err := c.Object("other.recorder").Call(ctx, "recorded"); err != nil {
		t.Fatal(err)
	}
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
	endings := slices.Repeat([]string{"busy", "", "raise"}, 7)
	endings[10], endings[20] = "spin", "hoard"
	errs := make([]error, calls)
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
				if event := events[id]; event != nil {
					event()
				}
				until(func() bool {
					_, errs[id] = s.Object("acme.work").Call(ctx, "go", id, endings[int(id)%len(endings)])
					text := fmt.Sprint(errs[id])
					full := strings.Contains(text, "calls are waiting") && id%3 > 0
					// Without a running worker the call was not executed: retry.
					down := strings.Contains(text, "is started again in") || strings.Contains(text, "does not answer")
					return !full && !down
				})
			}
		})
	}
	all.Wait()
	got, err := c.Object("other.recorder").Call(ctx, "recorded")
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for id, err := range errs {
		recorded := slices.Contains(got.([]any), any(int64(id)))
		status := executed(err)
		count[status]++
		if status == "?" || status == "no" && recorded || (status == "yes" || status == "in part") && !recorded {
			t.Errorf("call %d (%s): executed %s, recorded %v: %v", id, endings[id%len(endings)], status, recorded, err)
		}
	}
	t.Log(count)
	for _, status := range []string{"yes", "no", "in part", "unknown"} {
		if count[status] == 0 {
			t.Errorf("no call has the status %q: %v", status, count)
		}
	}
}

// executed returns the execution status in an error: "yes", "no", "in part", "unknown", or "?" without a status.
func executed(err error) string {
	text := fmt.Sprint(err)
	switch {
	case err == nil, strings.Contains(text, "requested error"):
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

// change writes a new version of acme.work and reloads the host.
func change(t *testing.T, h *host.Host, dir, source string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "scripts", "acme", "work.lua"), []byte(source), 0o644); err != nil {
		t.Error(err)
	}
	if err := h.Reload(t.Context()); err != nil {
		t.Error(err)
	}
}
