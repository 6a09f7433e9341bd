package main_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// liveHost is a running `hearth serve` of the real binary.
type liveHost struct {
	dir   string // working directory, which other users can read
	bin   string // the binary
	pid   int
	tcp   string   // host:port, of the last TCP listener
	ports []string // of all of them, in the policy's order
	unix  string   // path of its socket
	log   *lockedBuffer
}

// livePolicy permits the user of the test to call the objects of demo and example, and none of other.
const livePolicy = `
scripts = "scripts"
state   = "state"

listener "tcp" {
  address  = "127.0.0.1:0"
  identify = ["peer"]
}
listener "socket" {
  address  = "unix:hearth.sock"
  identify = ["peer"]
}

principal "me" { uid = %d }

tenant "demo" {}
tenant "example" {}
tenant "other" {}

permit "the tests may call" {
  principals = ["me"]
  objects    = ["demo.*", "example.*"]
  tracebacks = true
}
permit "the relay may count" {
  principals = ["object:demo.relay"]
  objects    = ["demo.counter"]
}
`

// startHost builds the binary, serves the shipped scripts, testdata/example as tenant
// example and one object of tenant other, and stops it in order when the test ends. It
// is an error if the daemon does not end well.
func startHost(t *testing.T) *liveHost {
	t.Helper()
	h := startHostWith(t, fmt.Sprintf(livePolicy, os.Getuid()), nil)
	if h.tcp == "" || h.unix == "" {
		t.Fatalf("the ready file names no two addresses: tcp %q, unix %q", h.tcp, h.unix)
	}
	return h
}

// startHostWith is startHost with another policy, after prepare has put the files that it
// names into the host's folder.
func startHostWith(t testing.TB, policy string, prepare func(dir string)) *liveHost {
	t.Helper()
	return startHostAs(t, os.Getuid(), policy, prepare)
}

// startHostAs is startHostWith for a host that another user runs.
func startHostAs(t testing.TB, uid int, policy string, prepare func(dir string)) *liveHost {
	t.Helper()
	// Not t.TempDir: a path below it is too long for a socket on some systems, and
	// another user cannot enter it.
	dir, err := os.MkdirTemp("", "hearth") //nolint:usetesting // see above
	check(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	check(t, os.Chmod(dir, 0o755))
	check(t, os.CopyFS(filepath.Join(dir, "scripts"), os.DirFS("../../scripts")))
	check(t, os.CopyFS(filepath.Join(dir, "scripts", "example"), os.DirFS("testdata/example")))
	check(t, os.MkdirAll(filepath.Join(dir, "scripts", "other"), 0o755))
	check(t, os.WriteFile(filepath.Join(dir, "scripts", "other", "secret.lua"),
		[]byte("local S = hearth.object {}\nfunction S.expose:visit() return 1 end\nreturn S\n"), 0o644))
	check(t, os.MkdirAll(filepath.Join(dir, "state"), 0o700))
	check(t, os.WriteFile(filepath.Join(dir, "policy.hcl"), []byte(policy), 0o644))
	if prepare != nil {
		prepare(dir)
	}

	bin := filepath.Join(dir, "hearth")
	buildHearth(t, bin)

	ready := filepath.Join(dir, "ready")
	// Its life ends in the cleanup, after t.Context is done.
	serve := exec.CommandContext(context.WithoutCancel(t.Context()), bin, "serve",
		"--policy", filepath.Join(dir, "policy.hcl"), "--ready-file", ready)
	serve.Dir = dir
	if uid != os.Getuid() {
		check(t, filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
			return errors.Join(err, os.Lchown(path, uid, uid))
		}))
		serve.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	}
	var log lockedBuffer
	serve.Stdout, serve.Stderr = &log, &log
	check(t, serve.Start())
	ended := make(chan error, 1)
	go func() { ended <- serve.Wait() }()
	t.Cleanup(func() {
		if err := stopHost(serve, ended); err != nil {
			t.Errorf("hearth serve: %v", err)
		}
		if t.Failed() {
			t.Logf("log of hearth serve, its end:\n%s", tail(log.String(), 60))
		}
	})
	h := &liveHost{dir: dir, bin: bin, pid: serve.Process.Pid, log: &log}
	for _, addr := range awaitFile(t, ready, ended) {
		if path, ok := strings.CutPrefix(addr, "unix:"); ok {
			h.unix = path
		} else {
			h.tcp = addr
			h.ports = append(h.ports, addr)
		}
	}
	if h.unix != "" && !filepath.IsAbs(h.unix) {
		h.unix = filepath.Join(dir, h.unix)
	}
	return h
}

// await waits until something is so.
func await(ctx context.Context, t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !so() && !t.Failed() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waiting for %s: never", what)
		}
	}
}

// awaitLog waits until the host's log has a text: a line may arrive after the answer to the
// call that it is about.
func (h *liveHost) awaitLog(ctx context.Context, t *testing.T, text string) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !strings.Contains(h.log.String(), text) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Errorf("the log has no line with %q", text)
			return
		}
	}
}

// realBinary builds the real binary once, and returns its content. If this test has an embedded worker program, so has
// the binary.
var realBinary = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "hearth-build")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	bin := filepath.Join(dir, "hearth")
	//nolint:noctx // all tests share it
	build := exec.Command("go", append(append([]string{"build", "-o", bin}, embedFlags()...), ".")...)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	return os.ReadFile(bin)
})

// buildHearth writes the real binary to a file.
func buildHearth(t testing.TB, bin string) {
	t.Helper()
	content, err := realBinary()
	if err != nil {
		t.Fatalf("building hearth: %v", err)
	}
	syscall.ForkLock.RLock() // a process that is started now would have the file open for writing: it could not run
	defer syscall.ForkLock.RUnlock()
	check(t, os.WriteFile(bin, content, 0o755))
}

// awaitFile waits until the daemon wrote the file and returns its lines.
func awaitFile(t testing.TB, path string, ended <-chan error) []string {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(time.Minute)
	for {
		if text, err := os.ReadFile(path); err == nil {
			return strings.Fields(string(text))
		}
		select {
		case <-tick.C:
		case err := <-ended:
			t.Fatalf("hearth serve ended before it was ready: %v", err)
		case <-late:
			t.Fatal("hearth serve was not ready within a minute")
		}
	}
}

// stopHost ends the daemon with SIGTERM and returns its result.
func stopHost(serve *exec.Cmd, ended <-chan error) error {
	if err := serve.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(time.Minute):
		_ = serve.Process.Kill()
		<-ended
		return fmt.Errorf("it did not end within a minute after SIGTERM")
	}
}

func tail(s string, lines int) string {
	all := strings.Split(s, "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// lockedBuffer is a buffer that can be read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
