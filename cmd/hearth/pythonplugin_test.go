package main_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hearthhost/hearth/client"
)

// TestPythonPlugin serves the example in Python, as the documentation packs it, to the real
// Pyro4 client: values, streams, errors, and a call that it makes to a script as its own principal.
// Then the policy names other objects of the plugin, and these are served instead.
func TestPythonPlugin(t *testing.T) {
	needPyro4(t)
	const systemPython = "/usr/bin/python3"
	if out, err := exec.CommandContext(t.Context(), systemPython, "-c",
		"import grpc, cryptography").CombinedOutput(); err != nil {
		t.Skipf("!! PLUGINS IN PYTHON ARE NOT TESTED: apt-get install python3-grpcio python3-cryptography: %v %s", err,
			out)
	}
	const policy = `
listener "tcp" { address = "127.0.0.1:0" }
principal "me" { host_user = true }
tenant "demo" {
  secret "smtp" {
    file    = "smtp.secret"
    objects = ["demo.snake"]
  }
  plugin "snake" {
    unpinned = true
    runtime  = [%s]
    %s
  }
}
permit "the tests, and the greeter, may call" {
  principals = ["me", "object:demo.snake"]
  objects    = ["demo.*"]
}
`
	runtime := `"/usr"`
	for _, dir := range []string{"/lib", "/lib64"} {
		if _, err := os.Stat(dir); err == nil { // some machines have one of them
			runtime += fmt.Sprintf(", %q", dir)
		}
	}
	h := startHostWith(t, fmt.Sprintf(policy, runtime, ""), func(dir string) {
		from := t.TempDir()
		for to, source := range map[string]string{"hearth_plugin.py": "sdk/python/hearth_plugin.py",
			"__main__.py": "examples/python/greeter.py"} {
			text, err := os.ReadFile(filepath.Join("../../plugins", source))
			check(t, err)
			check(t, os.WriteFile(filepath.Join(from, to), text, 0o600))
		}
		check(t, os.WriteFile(filepath.Join(dir, "smtp.secret"), []byte("open sesame"), 0o600))
		check(t, os.MkdirAll(filepath.Join(dir, "plugins", "demo"), 0o755))
		pack := exec.CommandContext(t.Context(), systemPython, "-m", "zipapp", from, "-p", systemPython+" -I", "-o",
			filepath.Join(dir, "plugins", "demo", "snake"))
		if out, err := pack.CombinedOutput(); err != nil {
			t.Fatalf("zipapp: %v\n%s", err, out)
		}
	})
	if out, err := pyro(t, h, "pythonplugin.py").CombinedOutput(); err != nil {
		t.Fatalf("testdata/pyro/pythonplugin.py: %v\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	h.awaitLog(ctx, t, "the secret is [secret smtp]")
	if strings.Contains(h.log.String(), "open sesame") {
		t.Error("the log holds a secret")
	}
	check(t, os.WriteFile(filepath.Join(h.dir, "policy.hcl"),
		[]byte(fmt.Sprintf(policy, runtime, `objects = ["counter"]`)), 0o600))
	h.awaitLog(ctx, t, "plugin changed")
	c, err := client.New(client.Config{Address: h.tcp})
	check(t, err)
	defer c.Close()
	if got, err := c.Object("demo.snake.counter").Call(ctx, "increment"); err != nil || got != int64(1) {
		t.Errorf("the object that the policy names now: %v, %v", got, err)
	}
	if got, err := c.Object("demo.snake").Call(ctx, "hello", "x"); err == nil ||
		!strings.Contains(err.Error(), "unknown object") {
		t.Errorf("the object that it names no longer: %v, %v", got, err)
	}
}
