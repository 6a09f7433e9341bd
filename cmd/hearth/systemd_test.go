//go:build linux

package main_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hearthhost/hearth/client"
)

// TestServiceManager starts the real binary as systemd does: with an open socket, and with a socket for messages. The
// host reports that it is ready and that it stops, and sends watchdog messages. It rejects a socket that is no
// listener of the policy. The arguments are those of the packaged unit.
func TestServiceManager(t *testing.T) {
	dir, err := os.MkdirTemp("", "hearth") //nolint:usetesting // the names of sockets are short
	check(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	bin := filepath.Join(dir, "hearth")
	buildHearth(t, bin)
	check(t, os.CopyFS(filepath.Join(dir, "scripts"), os.DirFS("../../scripts")))
	var plain net.ListenConfig
	plain.SetMultipathTCP(false) // as systemd's are
	ln, err := plain.Listen(t.Context(), "tcp", "127.0.0.1:0")
	check(t, err)
	defer ln.Close()
	socket, err := ln.(*net.TCPListener).File()
	check(t, err)
	defer socket.Close()
	at := ln.Addr().String()
	policy := func(address string) {
		t.Helper()
		check(t, os.WriteFile(filepath.Join(dir, "policy.hcl"), []byte(`
listener "local" { address = "`+address+`" }
principal "me" { host_user = true }
tenant "demo" {}
permit "all" {
  principals = ["me"]
  objects    = ["demo.*"]
}
`), 0o600))
	}
	told, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	check(t, err)
	defer told.Close()
	check(t, told.SetReadDeadline(time.Now().Add(time.Minute)))
	// As the unit of the packages starts it.
	unit, err := os.ReadFile("../../packaging/hearth.service")
	check(t, err)
	_, start, found := strings.Cut(string(unit), "\nExecStart=/usr/bin/hearth ")
	start, _, _ = strings.Cut(start, "\n")
	if !found || !strings.Contains(start, "/etc/hearth/policy.hcl") {
		t.Fatalf("the unit starts %q", start)
	}
	start = strings.Replace(start, "/etc/hearth/policy.hcl", "policy.hcl", 1)
	// The shell sets its process number, which the test has only after the start.
	command := func(name string) *exec.Cmd {
		c := exec.CommandContext(t.Context(), "/bin/sh", "-c", `LISTEN_PID=$$ WATCHDOG_PID=$$ exec "$0" `+start, bin)
		c.Dir, c.ExtraFiles = dir, []*os.File{socket}
		c.Env = append(os.Environ(), "LISTEN_FDS=1", "LISTEN_FDNAMES="+name,
			"NOTIFY_SOCKET="+filepath.Join(dir, "notify"),
			"WATCHDOG_USEC=200000")
		return c
	}

	policy("127.0.0.1:1")
	out, err := command("local").CombinedOutput()
	if err == nil || !strings.Contains(string(out), at) {
		t.Errorf("a socket with the name of a listener that has another address: %v\n%s", err, out)
	}

	policy(at)
	serve := command("local")
	var log lockedBuffer
	serve.Stdout, serve.Stderr = &log, &log
	check(t, serve.Start())
	ended := make(chan error, 1)
	go func() { ended <- serve.Wait() }()
	t.Cleanup(func() { _ = serve.Process.Kill() })
	hear := func(what string) {
		t.Helper()
		b := make([]byte, 4096)
		for {
			n, err := told.Read(b)
			if err != nil {
				t.Fatalf("no message %s: %v\n%s", what, err, log.String())
			}
			if strings.Contains(string(b[:n]), what) {
				return
			}
		}
	}
	hear("READY=1")
	c, err := client.New(client.Config{Address: at})
	check(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if got, err := c.Object("demo.counter").Call(ctx, "add", 2); err != nil || got != int64(2) {
		t.Errorf("through the passed socket: %v, %v", got, err)
	}
	check(t, c.Close())
	hear("WATCHDOG=1")
	check(t, serve.Process.Signal(syscall.SIGTERM))
	hear("STOPPING=1")
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("hearth serve: %v\n%s", err, log.String())
		}
	case <-ctx.Done():
		t.Fatalf("the host does not end\n%s", log.String())
	}
}
