//go:build linux

package main_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hearthhost/hearth/wire"
)

// TestFewDescriptors: a host that may have 300 descriptors, to which one principal opens more connections than
// that and leaves them idle, still calls, answers its operator and reads a policy that takes the principal's
// permits away.
func TestFewDescriptors(t *testing.T) {
	h := echoHost(t, `
limit "no bound of its own" {
  principals  = ["me"]
  connections = 10000
}
`)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	policy := filepath.Join(h.dir, "policy.hcl")
	const command = `ulimit -n 300; exec "$0" serve --policy "$1"`
	serve := exec.CommandContext(context.WithoutCancel(ctx), "sh", "-c", command, h.bin, policy)
	var log lockedBuffer
	serve.Stdout, serve.Stderr, serve.Dir = &log, &log, h.dir
	check(t, serve.Start())
	ended := make(chan error, 1)
	go func() { ended <- serve.Wait() }()
	t.Cleanup(func() {
		check(t, stopHost(serve, ended))
		if t.Failed() {
			t.Logf("log of hearth serve, its end:\n%s", tail(log.String(), 30))
		}
	})
	await(ctx, t, "the host to answer", func() bool {
		got, err := h.callOnce(ctx, "demo.e", "echo", 1)
		return err == nil && got == int64(1)
	})
	connect, err := wire.Append(nil, &wire.Message{Protocol: wire.Pyro5, Type: wire.Connect,
		Serializer: 3, // json
		Payload:    []byte(`{"handshake":"hello","object":"Pyro.Daemon"}`)})
	check(t, err)
	for n := range 400 {
		c, err := net.Dial("unix", h.unix)
		check(t, err)
		t.Cleanup(func() { c.Close() })
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		_, err = c.Write(connect)
		check(t, err)
		var m wire.Message
		if err := wire.NewReader(c, 0).Read(&m); err != nil || m.Type != wire.ConnectOK {
			t.Fatalf("connection %d: %v, %v", n, m.Type, err)
		}
	}
	run := func(args ...string) string {
		cmd := exec.CommandContext(ctx, h.bin, args...)
		cmd.Dir = h.dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("hearth %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	if got, err := h.callOnce(ctx, "demo.e", "echo", 2); err != nil || got != int64(2) {
		t.Errorf("a call of one more connection: %v, %v", got, err)
	}
	run("ls", "--workers", "--policy", policy)
	check(t, os.WriteFile(policy, []byte(`
listener "unix" { address = "unix:h.sock" }
principal "me" { host_user = true }
tenant "demo" {}
`), 0o600))
	run("reload", "--policy", policy)
	if _, err := h.callOnce(ctx, "demo.e", "echo", 3); err == nil {
		t.Error("the permit that was taken away is still in force")
	}
	if strings.Contains(log.String(), "too many open files") {
		t.Error("the host ran out of descriptors")
	}
}
