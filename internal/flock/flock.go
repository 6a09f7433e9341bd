// Package flock locks open files with flock(2).
//
// A lock belongs to the open file description. Duplicates of its descriptor share the lock, in this process
// and in others; two separate opens of one file do not. Closing the last duplicate releases the lock, so the
// lock of a killed process never stays behind. Locks are advisory: they exclude only processes that also lock.
//
// All functions retry after EINTR and may be called concurrently.
package flock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// ErrLocked is returned when another open file description holds a conflicting lock.
var ErrLocked = errors.New("another process has locked it")

// retryInterval is the time between two attempts of [LockContext]: flock(2) has no timeout.
const retryInterval = 20 * time.Millisecond

// Lock takes an exclusive lock of f and waits for it without a bound.
func Lock(f *os.File) error { return flock(f, syscall.LOCK_EX) }

// TryLock takes an exclusive lock of f without waiting. It returns [ErrLocked] if the lock is taken.
func TryLock(f *os.File) error { return flock(f, syscall.LOCK_EX|syscall.LOCK_NB) }

// LockContext takes an exclusive lock of f and waits for it until ctx ends. The error then wraps ctx.Err().
func LockContext(ctx context.Context, f *os.File) error {
	for {
		err := TryLock(f)
		if !errors.Is(err, ErrLocked) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", err, ctx.Err())
		case <-time.After(retryInterval):
		}
	}
}

// Unlock releases the lock of f.
func Unlock(f *os.File) error { return flock(f, syscall.LOCK_UN) }

// Locked reports whether another open file description holds an exclusive lock of f's file. It takes a shared
// lock for the duration of the call, so a concurrent [TryLock] can fail.
func Locked(f *os.File) (bool, error) {
	err := flock(f, syscall.LOCK_SH|syscall.LOCK_NB)
	if errors.Is(err, ErrLocked) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return false, Unlock(f)
}

// flock calls flock(2) until no signal interrupts it.
func flock(f *os.File, operation int) error {
	for {
		err := syscall.Flock(int(f.Fd()), operation)
		switch {
		case errors.Is(err, syscall.EWOULDBLOCK):
			return ErrLocked
		case !errors.Is(err, syscall.EINTR):
			return err
		}
	}
}
