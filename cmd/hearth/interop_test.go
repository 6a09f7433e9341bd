package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// python is Debian's: its packages have the real Pyro4.
const python = "/usr/bin/python3"

// needPyro4 skips the test where there is no Pyro4 to test with.
func needPyro4(t *testing.T) {
	t.Helper()
	if err := noPyro4(t); err != nil {
		t.Skipf("SKIPPED: no interoperability with the real Pyro4 was tested: %v", err)
	}
}

// noPyro4 is the reason why Pyro4 cannot be used; nil if it can.
func noPyro4(t *testing.T) error {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), python, "-c", "import Pyro4, msgpack, serpent").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s cannot import it (apt-get install python3-pyro4 python3-msgpack python3-serpent): %w\n%s",
			python, err, out)
	}
	return nil
}

// pyro prepares a Python client of testdata/pyro against h. Pyro reads PYRO_ variables,
// so it gets none of ours; the time zone is one in which a mistake about local time shows.
func pyro(t *testing.T, h *liveHost, script string) *exec.Cmd {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "pyro", script))
	check(t, err)
	// By -c, since another user cannot read the sources.
	cmd := exec.CommandContext(t.Context(), python, "-c", string(text))
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/bin:/bin", "TZ=America/New_York", "LANG=C.UTF-8", "PYTHONDONTWRITEBYTECODE=1",
		"HEARTH_TCP=" + h.tcp, "HEARTH_UNIX=" + h.unix}
	return cmd
}

func TestRealPyro4(t *testing.T) {
	needPyro4(t)
	h := startHost(t)
	out, err := pyro(t, h, "test_pyro4.py").CombinedOutput()
	if err != nil {
		t.Fatalf("testdata/pyro/test_pyro4.py: %v\n%s", err, out)
	}
	t.Logf("%s", tail(string(out), 6))
}

// TestRealPyro4TooLarge sends and requests too many bytes with the real Pyro4.
func TestRealPyro4TooLarge(t *testing.T) {
	needPyro4(t)
	policy := strings.Replace(fmt.Sprintf(livePolicy, os.Getuid()), `tenant "demo" {}`, `tenant "demo" {
  object "echo" {
    limits { result = "1KiB" }
  }
}`, 1)
	h := startHostWith(t, policy, nil)
	out, err := pyro(t, h, "too_large.py").CombinedOutput()
	if err != nil {
		t.Fatalf("testdata/pyro/too_large.py: %v\n%s", err, out)
	}
	for _, size := range []string{"max message size exceeded (", "message too large once decompressed ("} {
		h.awaitLog(t.Context(), t, `level=WARN msg="connection closed: a message is too large; `+
			`limits { arguments } of a tenant raises the bound" principal=me`)
		h.awaitLog(t.Context(), t, size)
	}
}

// A client of another OS user is refused on every channel, by the host and not only by
// file permissions: without a rule for strangers they may do nothing.
func TestOtherUserIsRefused(t *testing.T) {
	needPyro4(t)
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		t.Skip("SKIPPED: only root on Linux can run a client as another user")
	}
	const nobody = 65534
	h := startHost(t)
	if err := os.Chmod(h.unix, 0o666); err != nil {
		t.Fatal(err)
	}
	cmd := pyro(t, h, "stranger.py")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("testdata/pyro/stranger.py as uid %d: %v\n%s", nobody, err, out)
	}
	t.Logf("%s", out)

	// The very same client is let in when the user is the right one.
	cmd = pyro(t, h, "stranger.py")
	if out, err := cmd.CombinedOutput(); err == nil {
		t.Errorf("the host refuses its own user too, so that this test proves nothing:\n%s", out)
	}
}
