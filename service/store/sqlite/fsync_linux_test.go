package sqlite_test

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/hearthhost/hearth/service/store/sqlite"
)

// breakSync makes fsync and fdatasync of this process fail with EIO from now on.
func breakSync() error {
	number := map[string]uintptr{"amd64": 317, "arm64": 277}[runtime.GOARCH] // of seccomp
	if number == 0 {
		return fmt.Errorf("seccomp is unknown on %s", runtime.GOARCH)
	}
	const (
		load, equal, end = 0x20, 0x15, 0x06 // BPF instructions
		allow, errno     = 0x7fff0000, 0x00050000
		filterMode       = 1
		allThreads       = 1
	)
	filter := []syscall.SockFilter{
		{Code: load}, // the number of the system call
		{Code: equal, K: syscall.SYS_FSYNC, Jt: 2},
		{Code: equal, K: syscall.SYS_FDATASYNC, Jt: 1},
		{Code: end, K: allow},
		{Code: end, K: errno | uint32(syscall.EIO)},
	}
	program := syscall.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	const noNewPrivileges = 38
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if _, _, e := syscall.Syscall6(syscall.SYS_PRCTL, noNewPrivileges, 1, 0, 0, 0, 0); e != 0 {
		return e
	}
	if _, _, e := syscall.Syscall(number, filterMode, allThreads, uintptr(unsafe.Pointer(&program))); e != 0 {
		return e
	}
	return nil
}

func init() { onInput = breakSync }

// TestSyncFails lets fsync fail from a moment on. From then on the writer acknowledges nothing, and reports the batches
// that may be stored. After a restart the store has the acknowledged writes and no part of a batch.
func TestSyncFails(t *testing.T) {
	dir := t.TempDir()
	var ops []*operation
	p := startWriter(t, dir, &ops)
	p.read(t, 40)
	if _, err := p.stdin.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	var failures [clients]int
	for slices.Min(failures[:]) < 2 {
		before := p.own
		p.read(t, 1)
		clear(failures[:])
		for _, why := range p.failed {
			failures[why[0]-'0']++
		}
		for c := range clients {
			if p.own[c] > before[c] && failures[c] > 0 {
				t.Fatal("a commit is acknowledged after fsync has failed")
			}
		}
		if p.own[0] > 100_000 {
			t.Skip("fsync does not fail here")
		}
	}
	p.kill(t)
	unknown := 0
	for _, why := range p.failed {
		switch {
		case strings.Contains(why, "stored: unknown"):
			p.maybe[why[0]-'0']++
			unknown++
		case !strings.Contains(why, "not stored"):
			t.Fatalf("a commit failed by %q", why)
		}
	}
	if unknown == 0 {
		t.Errorf("no commit reports that its outcome is unknown: %q", p.failed)
	}
	e := newEngine(t, sqlite.Config{Dir: dir})
	wantCounters(t, e, p.own, p.maybe)
	commit(t, e, put("acme.a", "after", "1"))
}

// TestOpenWithoutSync opens an existing store and reads from it in a process whose every fsync fails. A commit fails.
func TestOpenWithoutSync(t *testing.T) {
	dir := t.TempDir()
	e, err := sqlite.New(sqlite.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	commit(t, e, add("acme.a", "n", 7))
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), writerVariable+"="+dir, writerVariable+"_NOSYNC=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if want := "7, commit fails: true\n"; err != nil || string(out) != want {
		t.Errorf("the process prints %q, %v, want %q", out, err, want)
	}
}
