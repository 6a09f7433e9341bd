package main_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hearthhost/hearth/client"
)

// tallyPlugin counts in durable state and in memory.
const tallyPlugin = `
import hearth_plugin as hearth
from hearth_plugin import store

@hearth.plugin(mode="single")
class Tally:
    def __init__(self):
        self.n = 0

    @hearth.method
    def add(self):
        self.n += 1
        return [self.n, store.increment("total")]

    @hearth.method
    def fail(self):
        store.put("total", "failed")
        raise ValueError("no")

hearth.serve(Tally)
`

// TestPluginWithState keeps the state of a plugin's object in the SQLite file of its tenant: it survives a kill of the
// plugin, a method that fails stores nothing, and the operator's commands read it.
func TestPluginWithState(t *testing.T) {
	const systemPython = "/usr/bin/python3"
	if out, err := exec.CommandContext(t.Context(), systemPython, "-c",
		"import grpc, cryptography").CombinedOutput(); err != nil {
		t.Skipf("!! STATE OF PLUGINS IS NOT TESTED: apt-get install python3-grpcio python3-cryptography: %v %s", err,
			out)
	}
	runtime := `"/usr"`
	for _, dir := range []string{"/lib", "/lib64"} {
		if _, err := os.Stat(dir); err == nil {
			runtime += fmt.Sprintf(", %q", dir)
		}
	}
	h := startHostWith(t, fmt.Sprintf(`
listener "tcp" { address = "127.0.0.1:0" }
principal "me" { host_user = true }
tenant "demo" {
  plugin "tally" {
    unpinned = true
    runtime  = [%s]
  }
}
permit "the tests may call" {
  principals = ["me"]
  objects    = ["demo.*"]
}
`, runtime), func(dir string) {
		from := t.TempDir()
		sdk, err := os.ReadFile("../../plugins/sdk/python/hearth_plugin.py")
		check(t, err)
		check(t, os.WriteFile(filepath.Join(from, "hearth_plugin.py"), sdk, 0o600))
		check(t, os.WriteFile(filepath.Join(from, "__main__.py"), []byte(tallyPlugin), 0o600))
		check(t, os.MkdirAll(filepath.Join(dir, "plugins", "demo"), 0o755))
		pack := exec.CommandContext(t.Context(), systemPython, "-m", "zipapp", from, "-p", systemPython+" -I", "-o",
			filepath.Join(dir, "plugins", "demo", "tally"))
		if out, err := pack.CombinedOutput(); err != nil {
			t.Fatalf("zipapp: %v\n%s", err, out)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, err := client.New(client.Config{Address: h.tcp})
	check(t, err)
	defer c.Close()
	add := func(want string) {
		t.Helper()
		if got, err := c.Object("demo.tally").Call(ctx, "add"); err != nil || fmt.Sprint(got) != want {
			t.Errorf("add() = %v, %v, want %s", got, err, want)
		}
	}
	add("[1 1]")
	add("[2 2]")
	if _, err := c.Object("demo.tally").Call(ctx, "fail"); err == nil || !strings.Contains(err.Error(), "ValueError") {
		t.Errorf("fail() = %v", err)
	}
	add("[3 3]")
	started := regexp.MustCompile(`msg="plugin started" .*pid=(\d+)`).FindStringSubmatch(h.log.String())
	if started == nil {
		t.Fatalf("no plugin has started:\n%s", h.log.String())
	}
	pid, err := strconv.Atoi(started[1])
	check(t, err)
	check(t, syscall.Kill(pid, syscall.SIGKILL))
	h.awaitLog(ctx, t, "plugin ended")
	add("[1 4]")
	for args, want := range map[string]string{
		"get demo.tally total": "4\n",
		"check demo":           "demo: ok\n",
	} {
		cmd := exec.CommandContext(ctx, h.bin, append([]string{"store"}, strings.Fields(args)...)...)
		cmd.Dir = h.dir
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != want {
			t.Errorf("hearth store %s: %s, %v", args, out, err)
		}
	}
}
