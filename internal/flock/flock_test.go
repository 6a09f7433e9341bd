package flock_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/hearthhost/hearth/internal/flock"
)

// open opens a file. The locks of two results are independent.
func open(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestTryLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first, second := open(t, path), open(t, path)
	if locked, err := flock.Locked(second); locked || err != nil {
		t.Errorf("Locked() before any lock = %t, %v", locked, err)
	}
	if err := flock.TryLock(first); err != nil {
		t.Fatal(err)
	}
	if err := flock.TryLock(second); !errors.Is(err, flock.ErrLocked) {
		t.Errorf("TryLock() of a locked file = %v, want ErrLocked", err)
	}
	if locked, err := flock.Locked(second); !locked || err != nil {
		t.Errorf("Locked() of a locked file = %t, %v", locked, err)
	}
	if err := flock.Unlock(first); err != nil {
		t.Fatal(err)
	}
	if locked, err := flock.Locked(second); locked || err != nil {
		t.Errorf("Locked() after Unlock = %t, %v", locked, err)
	}
	if err := flock.TryLock(first); err != nil {
		t.Errorf("TryLock() after Locked = %v, want its shared lock to be released", err)
	}
}

// TestDuplicateSharesLock: the lock stays until the last duplicate of the descriptor is closed.
func TestDuplicateSharesLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first, second := open(t, path), open(t, path)
	if err := flock.TryLock(first); err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Dup(int(first.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	duplicate := os.NewFile(uintptr(fd), path)
	first.Close()
	if err := flock.TryLock(second); !errors.Is(err, flock.ErrLocked) {
		t.Errorf("TryLock() while a duplicate is open = %v, want ErrLocked", err)
	}
	duplicate.Close()
	if err := flock.TryLock(second); err != nil {
		t.Errorf("TryLock() after the last duplicate was closed = %v", err)
	}
}

func TestLockContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first, second := open(t, path), open(t, path)
	if err := flock.Lock(first); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := flock.LockContext(ctx, second)
	if !errors.Is(err, context.Canceled) || !errors.Is(err, flock.ErrLocked) {
		t.Errorf("LockContext() with an ended context = %v, want context.Canceled and ErrLocked", err)
	}
	done := make(chan error, 1)
	go func() { done <- flock.LockContext(t.Context(), second) }()
	if err := flock.Unlock(first); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("LockContext() after Unlock = %v", err)
	}
}

func TestLockOfClosedFile(t *testing.T) {
	f := open(t, filepath.Join(t.TempDir(), "lock"))
	f.Close()
	if err := flock.TryLock(f); err == nil || errors.Is(err, flock.ErrLocked) {
		t.Errorf("TryLock() of a closed file = %v, want another error than ErrLocked", err)
	}
}
