package rootfs_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hearthhost/hearth/sandbox/confine/rootfs"
)

// The test binary, started with an argument "inside", replaces its root and prints a description of the new one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "inside" {
		if err := inside(os.Args[2:]); err != nil {
			fmt.Println("error:", err)
		}
		return
	}
	os.Exit(m.Run())
}

// inside enters an empty root, or that of a program with a file of the host.
func inside(files []string) error {
	if len(files) == 0 {
		if err := rootfs.Empty(); err != nil {
			return err
		}
	} else {
		o := rootfs.Options{Files: files, Sockets: "/sockets", TmpBytes: 1 << 20, Script: -1}
		sockets, err := rootfs.Program(o)
		if errors.Is(err, rootfs.ErrPath) {
			return fmt.Errorf("path: %w", err)
		}
		if err != nil {
			return err
		}
		if err := unix.Close(sockets); err != nil {
			return err
		}
		text, err := os.ReadFile(files[0])
		fmt.Printf("read %q %v\n", text, err)
		fmt.Println("change", errors.Is(os.WriteFile(files[0], nil, 0o600), unix.EROFS))
		fmt.Println("tmp", os.WriteFile("/tmp/x", []byte("x"), 0o600))
	}
	entries, err := os.ReadDir("/")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() != "proc" { // only with cgo
			fmt.Println("entry", e.Name())
		}
	}
	fmt.Println("create", errors.Is(os.WriteFile("/x", nil, 0o600), unix.EROFS))
	return nil
}

// enter runs inside in new namespaces and returns its output.
func enter(t *testing.T, files ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", append([]string{"inside"}, files...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSPC) || strings.Contains(string(out), "permitted") {
		t.Skipf("this machine allows no user namespaces: %v %s", err, out)
	}
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func TestEmpty(t *testing.T) {
	if got, want := enter(t), "create true\n"; got != want {
		t.Errorf("an empty root: %q, want %q", got, want)
	}
}

func TestProgram(t *testing.T) {
	const file = "/etc/passwd" // not below /tmp, which the program gets
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got := enter(t, file)
	for _, want := range []string{
		fmt.Sprintf("read %q <nil>", text), "change true", "tmp <nil>",
		"entry dev", "entry etc", "entry sockets", "entry tmp", "create true",
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("the root of a program lacks %q:\n%s", want, got)
		}
	}
	if n := strings.Count(got, "entry "); n != 4 {
		t.Errorf("the root of a program has %d entries, want 4:\n%s", n, got)
	}
	if got := enter(t, "/etc/missing"); !strings.Contains(got, "error: path: showing /etc/missing") {
		t.Errorf("a missing file: %q, want an error about the path", got)
	}
}
