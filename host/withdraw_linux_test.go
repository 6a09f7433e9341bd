package host_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/host"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/transport/signed"
)

const queuePolicy = `
listener "tcp" {
  address  = "127.0.0.1:0"
  identify = ["peer", "hmac"]
}
audit { file = "audit/audit.jsonl" }
principal "owner" { host_user = true }
principal "alice" { keys = ["alice.key"] }
tenant "acme" {
  plugin "queue" {
    unpinned   = true
    unconfined = true
    objects    = ["single", "control"]
  }
}
permit "all" {
  principals = ["owner", "alice"]
  objects    = ["acme.*"]
}
`

const forbidAdd = `
forbid "alice may not call add" {
  principals = ["alice"]
  objects    = ["acme.queue.*"]
  methods    = ["add"]
}
`

// queuePlugin returns an option that adds a plugin to a new host. The plugin records its calls.
func queuePlugin(t *testing.T, aliceKey string) func(*host.Config) {
	t.Helper()
	return func(c *host.Config) {
		path := filepath.Join(c.Policy.Plugins, "acme", "queue")
		build := exec.CommandContext(t.Context(), "go", "build", "-o", path, "../plugins/examples/misbehave")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		key := filepath.Join(filepath.Dir(c.PolicyFile), "alice.key")
		if err := os.WriteFile(key, []byte(aliceKey), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(filepath.Join(filepath.Dir(c.PolicyFile), "audit"), 0o700); err != nil {
			t.Fatal(err)
		}
		c.Shim = []string{os.Args[0], "shim"}
	}
}

// TestCallsQueuedInAPlugin revokes a caller's key, loads a forbid, or closes the caller's connections, while its calls
// wait in a plugin for an object.
// The calls are answered at once and do not run when the object is free. The plugin's record of calls proves it.
func TestCallsQueuedInAPlugin(t *testing.T) {
	t.Parallel()
	const n = 5
	key := "hearth-key-1 alice-1 " + strings.Repeat("A", 43) + " 2026-01-02T03:04:05Z\n"
	for _, name := range []string{"revoked", "forbidden", "client gone"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			state, err := os.MkdirTemp("", "h") //nolint:usetesting // the paths of sockets must be short
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(state) })
			text := fmt.Sprintf("state = %q\n", state) + queuePolicy
			h, dir := startHost(t, text, queuePlugin(t, key))
			owner := dial(t, h.Addrs()[0], client.Config{})
			alice := dial(t, h.Addrs()[0], client.Config{KeyID: "alice-1", Key: signed.Key{}})
			ctx := t.Context()
			call := func(c *client.Client, id, method string, args ...any) chan error {
				done := make(chan error, 1)
				go func() {
					_, err := c.Object(object.ID(id)).Call(ctx, method, args...)
					done <- err
				}()
				return done
			}
			held := call(owner, "acme.queue.single", "hold")
			if err := <-call(owner, "acme.queue.control", "holding"); err != nil {
				t.Fatal(err)
			}
			var waiting []chan error
			for k := range n {
				waiting = append(waiting, call(alice, "acme.queue.single", "add", k))
			}
			until(func() bool { return h.UnfinishedCalls("acme.queue.single", "alice") == n })
			file, content := "alice.key", ""
			if name == "forbidden" {
				file, content = "policy.hcl", text+forbidAdd
			}
			audit := "the call to the plugin is cancelled; whether it was executed is unknown"
			if name == "client gone" {
				audit = "cancelled: client gone"
				_ = alice.Close()
			} else {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
				if err := h.Reload(ctx); err != nil {
					t.Fatal(err)
				}
			}
			for _, w := range waiting {
				err := <-w
				if err == nil {
					t.Error("a waiting call was executed")
				} else if name == "forbidden" && !strings.Contains(err.Error(), "unknown object; ") {
					t.Errorf("a waiting call: %v", err)
				}
			}
			// The revoked client is disconnected before the host sends the cancellation to the plugin.
			until(func() bool { return h.UnfinishedCalls("acme.queue.single", "alice") == 0 })
			select {
			case err := <-held:
				t.Fatalf("the call in front ended: %v", err)
			default:
			}
			if err := <-call(owner, "acme.queue.control", "open"); err != nil {
				t.Fatal(err)
			}
			if err := <-held; err != nil {
				t.Errorf("the call in front: %v", err)
			}
			var want []any
			for k := range int64(n) { // each runs after all earlier calls
				if err := <-call(owner, "acme.queue.single", "add", 100+k); err != nil {
					t.Errorf("a permitted call: %v", err)
				}
				want = append(want, 100+k)
			}
			got, err := owner.Object("acme.queue.control").Call(ctx, "ran")
			if diff := cmp.Diff(any(want), got); err != nil || diff != "" {
				t.Errorf("the plugin ran other calls: %v\n%s", err, diff)
			}
			var audited string
			until(func() bool {
				b, err := os.ReadFile(filepath.Join(dir, "audit", "audit.jsonl"))
				if err != nil {
					t.Fatal(err)
				}
				audited = string(b)
				return strings.Count(audited, audit) >= n
			})
			if strings.Contains(audited, "not begun") {
				t.Errorf("the audit log reports calls as not begun, but that is unknown:\n%s", audited)
			}
		})
	}
}
