//go:build linux

package binary

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestSealed tries to change a hashed executable between the check and the execution.
func TestSealed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(path, []byte("#!/bin/true\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	img, err := Load(path, "")
	if err != nil {
		t.Fatal(err)
	}
	defer img.File.Close()
	if _, err := img.File.WriteAt([]byte("y"), 0); !errors.Is(err, syscall.EPERM) {
		t.Errorf("writing: %v, want EPERM", err)
	}
	if err := img.File.Truncate(0); !errors.Is(err, syscall.EPERM) {
		t.Errorf("truncating: %v, want EPERM", err)
	}
	again, err := os.OpenFile("/proc/self/fd/"+strconv.Itoa(int(img.File.Fd())), os.O_RDWR, 0)
	if err == nil {
		if _, err := again.WriteAt([]byte("y"), 0); !errors.Is(err, syscall.EPERM) {
			t.Errorf("writing through another descriptor: %v, want EPERM", err)
		}
		again.Close()
	}
	if err := os.WriteFile(path, []byte("#!/bin/false\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 11)
	if _, err := img.File.ReadAt(b, 0); err != nil || string(b) != "#!/bin/true" {
		t.Errorf("the copy is %q, %v", b, err)
	}
}

// TestUnpinnedWritable: an executable without a pin is rejected if other users can write it.
func TestUnpinnedWritable(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "plugins")
	path := filepath.Join(dir, "x")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/true\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	sum, err := Sum(path)
	if err != nil {
		t.Fatal(err)
	}
	for at, mode := range map[string]os.FileMode{path: 0o757, dir: 0o777 | os.ModeSticky} {
		if err := os.Chmod(at, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path, ""); err == nil || !strings.Contains(err.Error(), "chmod o-w "+at) {
			t.Errorf("%s of mode %v: %v, want the command that fixes it", at, mode, err)
		}
		img, err := Load(path, sum)
		if err != nil {
			t.Errorf("pinned, %s of mode %v: %v", at, mode, err)
			continue
		}
		img.File.Close()
		if err := os.Chmod(at, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}
