package memfile_test

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hearthhost/hearth/internal/memfile"
)

// The test binary is also the program that is executed from memory.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "program" {
		os.Stdout.WriteString("executed")
		return
	}
	os.Exit(m.Run())
}

// self makes a file of the test binary.
func self(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	fd, err := memfile.New("self", string(text))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// TestSealed tries every way to change a file.
func TestSealed(t *testing.T) {
	fd, err := memfile.New("some", "#!/bin/true\n")
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	seals, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	if err != nil || seals&memfile.Seals != memfile.Seals {
		t.Errorf("seals %#x (%v), want at least %#x", seals, err, memfile.Seals)
	}
	attempts := map[string]func(fd int) error{
		"write":  func(fd int) error { _, err := unix.Pwrite(fd, []byte("x"), 0); return err },
		"append": func(fd int) error { _, err := unix.Pwrite(fd, []byte("x"), 100); return err },
		"shrink": func(fd int) error { return unix.Ftruncate(fd, 0) },
		"grow":   func(fd int) error { return unix.Ftruncate(fd, 1<<20) },
		"punch": func(fd int) error {
			return unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, 4096)
		},
		"map": func(fd int) error {
			_, err := unix.Mmap(fd, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
			return err
		},
		"make a mapping writable": func(fd int) error {
			b, err := unix.Mmap(fd, 0, 4096, unix.PROT_READ, unix.MAP_SHARED)
			if err != nil {
				return err
			}
			defer unix.Munmap(b) //nolint:errcheck // a test's
			return unix.Mprotect(b, unix.PROT_READ|unix.PROT_WRITE)
		},
		"unseal": func(fd int) error { _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, 0); return err },
	}
	reopened, err := unix.Open(memfile.Path(fd), unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err == nil {
		defer unix.Close(reopened)
	}
	for what, attempt := range attempts {
		for _, fd := range []int{fd, reopened} {
			if fd < 0 {
				continue // not root: the file is not writable either
			}
			if err := attempt(fd); !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES) {
				t.Errorf("%s: %v, want it refused", what, err)
			}
		}
	}
	text := make([]byte, 100)
	if n, err := unix.Pread(fd, text, 0); string(text[:max(n, 0)]) != "#!/bin/true\n" {
		t.Errorf("the file has %q afterwards (%v)", text[:max(n, 0)], err)
	}
}

// TestNotInherited: a child process that does not execute the file has no descriptor of it.
func TestNotInherited(t *testing.T) {
	fd := self(t)
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	if err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("flags %#x (%v), want close-on-exec", flags, err)
	}
	cmd := exec.CommandContext(t.Context(), "/bin/ls", "-l", "/proc/self/fd")
	out, err := cmd.Output()
	if err != nil || strings.Contains(string(out), "memfd:") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestAnyNumber executes files with each of the numbers that Go uses in the child process.
func TestAnyNumber(t *testing.T) {
	first := self(t)
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for n := range 24 {
		fd, err := unix.FcntlInt(uintptr(first), unix.F_DUPFD_CLOEXEC, 5+n)
		if err != nil {
			t.Fatal(err)
		}
		inherited, err := memfile.Above(fd, null)
		if err != nil {
			t.Fatal(err)
		}
		if inherited.Fd() <= uintptr(fd) {
			t.Errorf("Above(%d) is %d", fd, inherited.Fd())
		}
		cmd := exec.CommandContext(t.Context(), memfile.Path(fd), "program")
		cmd.ExtraFiles = []*os.File{inherited}
		if out, err := cmd.Output(); err != nil || string(out) != "executed" {
			t.Errorf("descriptor %d: %v, %q", fd, err, out)
		}
		inherited.Close()
		unix.Close(fd)
	}
}

func TestFD(t *testing.T) {
	for path, want := range map[string]int{
		memfile.Path(12):      12,
		"/proc/self/exe":      -1,
		"/proc/self/fd/":      -1,
		"/proc/self/fd/x":     -1,
		"/proc/self/fd/-2":    -1,
		"/proc/self/fd/3/exe": -1,
		"/bin/true":           -1,
	} {
		if got := memfile.FD(path); got != want {
			t.Errorf("FD(%q) = %d, want %d", path, got, want)
		}
	}
}
