package host_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/host"
	"github.com/hearthhost/hearth/object"
)

// script returns an option that adds a script to a new host.
func script(t *testing.T, name, source string) func(*host.Config) {
	t.Helper()
	return func(c *host.Config) {
		path := filepath.Join(filepath.Dir(c.PolicyFile), "scripts", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(source), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// logTo returns an option that sends a host's log to a buffer.
func logTo(buf *syncBuffer) func(*host.Config) {
	return func(c *host.Config) { c.Log = slog.New(slog.NewTextHandler(buf, nil)) }
}

// syncBuffer is a buffer that is safe for concurrent use.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// until polls a condition every millisecond until it is true.
func until(done func() bool) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !done() {
		<-tick.C
	}
}

// inFlight returns the number of running and waiting calls of an object.
func inFlight(t *testing.T, h *host.Host, id object.ID) uint64 {
	t.Helper()
	u, err := h.Usage(id.Tenant())
	if err != nil {
		t.Fatal(err)
	}
	for _, tenant := range u.Tenants {
		for _, o := range tenant.Objects {
			if o.ID == id {
				return o.InFlight
			}
		}
	}
	return 0
}

const list = `
local List = hearth.object { instance = "single" }
function List:init() self.all = {} end
function List.oneway:add(k) self.all[#self.all + 1] = k end
function List.expose:put(k) self.all[#self.all + 1] = k return #self.all end
function List.expose:take(_) local all = self.all self.all = {} return hearth.list(all) end
function List.expose:hold(_) local gate = hearth.proxy("acme.gate") gate:come() while gate:count() < 2 do end return "held" end
return List`

const listPolicy = everything + `
permit "the list reaches the gate" {
  principals = ["object:acme.list"]
  objects    = ["acme.gate"]
}
`

// TestOnewaysInOrder checks that the oneway calls of one connection to an object with one instance run in the order in
// which they were sent, and before the calls that follow them.
func TestOnewaysInOrder(t *testing.T) {
	h, _ := startHost(t, everything, script(t, "acme/list.lua", list))
	c := dial(t, h.Addrs()[0], client.Config{})
	s, err := c.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var want []any
	for k := range int64(50) {
		want = append(want, k)
	}
	for range 20 {
		for _, k := range want {
			if err := s.Object("acme.list").Oneway(t.Context(), "add", k); err != nil {
				t.Fatal(err)
			}
		}
		got, err := s.Object("acme.list").Call(t.Context(), "take")
		if diff := cmp.Diff(any(want), got); err != nil || diff != "" {
			t.Fatalf("%v\n%s", err, diff)
		}
	}
}

// TestForbidQueuedCall loads a forbid while a call waits in its object's queue. The call does not run, and is answered
// while the call in front still runs.
func TestForbidQueuedCall(t *testing.T) {
	h, dir := startHost(t, listPolicy, script(t, "acme/list.lua", list))
	c := dial(t, h.Addrs()[0], client.Config{})
	ctx := t.Context()
	held := make(chan error, 1)
	go func() {
		_, err := c.Object("acme.list").Call(ctx, "hold")
		held <- err
	}()
	until(func() bool {
		n, err := c.Object("acme.gate").Call(ctx, "count")
		return err == nil && n == int64(1)
	})
	waits := make(chan error, 1)
	go func() {
		_, err := c.Object("acme.list").Call(ctx, "put", 1)
		waits <- err
	}()
	until(func() bool { return inFlight(t, h, "acme.list") == 2 })
	forbid := `forbid "no more" {
  principals = ["owner"]
  objects = ["acme.list"]
  methods = ["put"]
}
`
	if err := os.WriteFile(filepath.Join(dir, "policy.hcl"), []byte(listPolicy+forbid), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := h.Reload(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-waits; err == nil || !strings.Contains(err.Error(), "unknown object") {
		t.Errorf("the queued call: %v", err)
	}
	select {
	case err := <-held:
		t.Fatalf("the call in front ended before the gate opened: %v", err)
	default:
	}
	if _, err := c.Object("acme.gate").Call(ctx, "come"); err != nil {
		t.Fatal(err)
	}
	if err := <-held; err != nil {
		t.Errorf("the call in front: %v", err)
	}
	if got, err := c.Object("acme.list").Call(ctx, "take"); err != nil || len(got.([]any)) != 0 {
		t.Errorf("the object has %v, %v: the forbidden call ran", got, err)
	}
}

// TestInvalidMethodNames checks that private, dotted and empty names give the error of a Python daemon for an object
// that the caller may see. Hidden and missing objects give one and the same error.
func TestInvalidMethodNames(t *testing.T) {
	c := dial(t, start(t, everything), client.Config{})
	for name, want := range map[string]string{
		"_private":  `attempt to access private attribute "_private"`,
		"__class__": `attempt to access private attribute "__class__"`,
		"a.b":       `attempt to access unexposed or unknown remote attribute "a.b"`,
		"":          `attempt to access unexposed or unknown remote attribute ""`,
		"a\x1b[2J":  `attempt to access unexposed or unknown remote attribute "a\x1b[2J"`,
	} {
		_, err := c.Object("acme.echo").Call(t.Context(), name)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "AttributeError") {
			t.Errorf("%q: %v, want an AttributeError: %s", name, err, want)
		}
		var seen []string
		for _, id := range []object.ID{"other.hidden", "other.missing", "acme.missing"} {
			_, err := c.Object(id).Call(t.Context(), name)
			seen = append(seen, err.Error())
		}
		if seen[0] != seen[1] || seen[1] != seen[2] || !strings.Contains(seen[0], "unknown object") {
			t.Errorf("%q of a hidden and of missing objects: %q, want equal errors", name, seen)
		}
	}
}

// TestFailingScriptIsLogged checks that a call that raises an error or exceeds a limit is logged. The line has the
// object, the method, the principal, the position in the script and the call's id.
func TestFailingScriptIsLogged(t *testing.T) {
	var log syncBuffer
	policy := strings.Replace(everything, `tenant "acme" {}`, "tenant \"acme\" {\n limits {\n steps = 100000\n }\n}", 1)
	h, _ := startHost(t, strings.Replace(policy, "tracebacks = true", "", 1),
		script(t, "acme/fails.lua", `local F = hearth.object {}
function F.expose:raise()
  error("no luck\nlevel=ERROR")
end
function F.expose:throw() error(hearth.exception("KeyError", "gone")) end
function F.expose:spin() while true do end end
function F.expose:fine() return 1 end
return F`), logTo(&log))
	c := dial(t, h.Addrs()[0], client.Config{})
	for method, want := range map[string]string{
		"raise":     `acme/fails.lua:3: no luck\nlevel=ERROR`,
		"throw":     `KeyError: gone (acme/fails.lua:5)`,
		"spin":      `limit exceeded: 100000 steps`,
		`"a batch"`: `call 2 of 3, throw: KeyError: gone (acme/fails.lua:5)`,
	} {
		if method == `"a batch"` {
			batch := c.Object("acme.fails").Batch()
			batch = batch.Add("fine", nil, nil).Add("throw", nil, nil).Add("fine", nil, nil)
			results, err := batch.Run(t.Context())
			if err != nil || results[1].Err == nil {
				t.Fatalf("%v, %v", results, err)
			}
		} else if _, err := c.Object("acme.fails").Call(t.Context(), method); err == nil {
			t.Fatalf("%s did not fail", method)
		}
		line := ""
		until(func() bool { // another goroutine writes it
			for l := range strings.Lines(log.String()) {
				if strings.Contains(l, "method="+method+" ") && strings.Contains(l, "call failed") {
					line = l
				}
			}
			return line != ""
		})
		for _, part := range []string{"tenant=acme", "object=acme.fails", "principal=owner", want, "call="} {
			if !strings.Contains(line, part) {
				t.Errorf("%s: the log line %q does not contain %s; whole log:\n%s", method, line, part, log.String())
			}
		}
	}
}

// TestDenialNamesTheInnerObject checks the error when an object calls another that it may not call. The error names the
// other object and does not reveal whether it exists.
func TestDenialNamesTheInnerObject(t *testing.T) {
	h, _ := startHost(t, everything, script(t, "acme/outer.lua", `local O = hearth.object {}
function O.expose:go(id) return hearth.proxy(id):hi() end
return O`))
	c := dial(t, h.Addrs()[0], client.Config{})
	for _, id := range []string{"other.hidden", "other.missing"} {
		_, err := c.Object("acme.outer").Call(t.Context(), "go", id)
		want := `unknown object "` + id + `", called by acme.outer`
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
