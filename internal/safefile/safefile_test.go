package safefile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hearthhost/hearth/internal/safefile"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "secret")
	if err := os.WriteFile(path, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err := safefile.Read(path, 4); string(b) != "text" || err != nil {
		t.Errorf("Read() = %q, %v", b, err)
	}
	if err := os.Symlink(path, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if _, err := safefile.Read(filepath.Join(dir, "link"), 4); err != nil {
		t.Errorf("through a link: %v", err)
	}
	if _, err := safefile.Read(path, 3); err == nil {
		t.Error("a file that is too large was read")
	}
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o620, 0o602, 0o610, 0o644} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := safefile.Read(path, 4); err == nil || !strings.Contains(err.Error(), "chmod 600 "+path) {
			t.Errorf("mode %o: %v, want the command that repairs it", mode, err)
		}
		if _, err := safefile.Read(filepath.Join(dir, "link"), 4); err == nil {
			t.Errorf("mode %o: read through a link", mode)
		}
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		if err := os.Chown(path, 65534, -1); err != nil {
			t.Fatal(err)
		}
		if _, err := safefile.Read(path, 4); err == nil || !strings.Contains(err.Error(), "chown 0 "+path) {
			t.Errorf("a file of another user: %v, want the command that repairs it", err)
		}
	} else {
		t.Log("SKIPPED: a file of another user: only root can make one")
	}
	if _, err := safefile.Read(dir, 4); err == nil {
		t.Error("a folder was read")
	}
	if _, err := safefile.Read(filepath.Join(dir, "none"), 4); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := safefile.Read(pipe, 4); err == nil {
		t.Error("a pipe was read")
	}
}

func TestCreateAndReplace(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "folder")
	path := filepath.Join(dir, "secret")
	if err := safefile.Create(path, []byte("one"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := safefile.Create(path, []byte("two"), 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("creating it again: %v, want fs.ErrExist", err)
	}
	if b, err := safefile.Read(path, 9); string(b) != "one" || err != nil {
		t.Errorf("Read() = %q, %v", b, err)
	}
	if err := safefile.Replace(path, []byte("three"), 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err := safefile.Read(path, 9); string(b) != "three" || err != nil {
		t.Errorf("Read() = %q, %v", b, err)
	}
	names, err := os.ReadDir(dir)
	if err != nil || len(names) != 1 {
		t.Errorf("files left: %v, %v", names, err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the new folder: %v, %v", info.Mode(), err)
	}
}

// TestLockOfFolder: a user who can read a folder can lock the folder itself. That must not
// block its owner.
func TestLockOfFolder(t *testing.T) {
	dir := t.TempDir()
	held, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(held.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		unlock, err := safefile.Lock(dir)
		if err == nil {
			unlock()
		}
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("Lock() = %v", err)
		}
	case <-time.After(10 * time.Second): // a guard: Lock has no time limit
		t.Error("a user who can read the folder blocks its owner")
	}
	held.Close()
	info, err := os.Stat(filepath.Join(dir, ".lock"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the lock: %v, %v; want a file that only its owner can open", info, err)
	}
	if err := os.Chmod(filepath.Join(dir, ".lock"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := safefile.Lock(dir); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a lock that others can open: %v", err)
	}
}

// TestReadPublic: a file of trusted authorities may be world-readable, not world-writable.
func TestReadPublic(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(path, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, ok := range map[fs.FileMode]bool{0o600: true, 0o644: true, 0o664: true, 0o666: false, 0o602: false} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		b, err := safefile.ReadPublic(path, 4)
		if ok != (err == nil) || ok && string(b) != "text" || !ok && !strings.Contains(err.Error(), "chmod o-w "+path) {
			t.Errorf("mode %o: %q, %v", mode, b, err)
		}
	}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := safefile.ReadPublic(pipe, 4); err == nil {
		t.Error("a pipe was read")
	}
}
