// Package safefile reads and writes files that other users must not change: secrets, private keys, certificates,
// profiles. Its checks reject files that another user can read, write or replace. Every such error names the file
// and the command that repairs it.
package safefile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/hearthhost/hearth/internal/flock"
	"github.com/hearthhost/hearth/internal/shell"
)

// Read returns the content of a secret file, at most max bytes. Only this process's user may be able to read or
// write the file: it checks the owner and the mode of the opened file, after symbolic links were followed. The
// path must satisfy [CheckPath]: where other users can rename files, they could swap the keys of two principals.
// Errors of the file system are wrapped.
func Read(path string, max int64) ([]byte, error) { return read(path, max, checkSecret) }

// ReadPublic returns the content of a file that every user may read, such as a list of trusted authorities, at
// most max bytes. The file and the folders above it must not be world-writable.
func ReadPublic(path string, max int64) ([]byte, error) { return read(path, max, checkPublic) }

func read(path string, max int64, check func(string, fs.FileInfo) error) ([]byte, error) {
	// O_NONBLOCK: opening a named pipe without a writer must not block.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) //nolint:gosec // a path of the operator
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if err := check(path, info); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, max+1))
	if err == nil && int64(len(b)) > max {
		err = fmt.Errorf("%s is larger than %d bytes", path, max)
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

// checkPublic checks a file for [ReadPublic].
func checkPublic(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return notRegular(path)
	}
	if err := CheckMode(path, info); err != nil {
		return err
	}
	return checkParents(path)
}

// checkSecret checks a file for [Read]. Root too must own its files: chown is easy, and a file of another user is
// a mistake.
func checkSecret(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return notRegular(path)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to uid %d, and only its owner may use it; "+
			"run chown %d %s, or run this as that user", path, st.Uid, os.Geteuid(), shell.Path(path))
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("other users can read or write %s (mode %04o); run chmod 600 %s",
			path, mode, shell.Path(path))
	}
	return CheckPath(path)
}

func notRegular(path string) error { return fmt.Errorf("%s is not a regular file", path) }

// Create writes a new file. If the file exists, it does not change it and returns an error that wraps
// fs.ErrExist. A missing folder is created with mode 0700.
func Create(path string, data []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	tmp, err := writeTemp(path, data, mode)
	if err != nil {
		return err
	}
	defer os.Remove(tmp)
	// link(2) fails if path exists. rename(2) would replace the file.
	if err := os.Link(tmp, path); errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists and was not changed: %w", path, fs.ErrExist)
	} else if err != nil {
		return err
	}
	return syncFolder(path)
}

// Replace writes a file atomically: readers see the whole old file or the whole new one.
func Replace(path string, data []byte, mode fs.FileMode) error {
	tmp, err := writeTemp(path, data, mode)
	if err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		os.Remove(tmp)
		return err
	}
	return syncFolder(path)
}

// writeTemp writes a temporary file into the folder of path, syncs it to disk and returns its name.
func writeTemp(path string, data []byte, mode fs.FileMode) (name string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	return f.Name(), errors.Join(err, f.Close())
}

// syncFolder syncs the folder of path to disk, so that a new name survives a crash.
func syncFolder(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// lockName is the file in a folder that [Lock] locks.
const lockName = ".lock"

// Lock locks a folder against other callers of Lock until unlock, without a time limit. Callers that read a file,
// change it and replace it lose no concurrent change. It leaves an empty file in the folder, as [LockFile] does.
func Lock(dir string) (unlock func(), err error) {
	f, err := LockFile(context.Background(), filepath.Join(dir, lockName))
	if err != nil {
		return nil, err
	}
	return func() { f.Close() }, nil
}

// LockFile locks a file until it is closed, and creates a missing one. Only this process's user may be able to
// open the file: any user who can open a file or a folder can hold its lock without end. If ctx ends first, the
// error wraps ctx.Err().
func LockFile(ctx context.Context, path string) (*os.File, error) {
	const flags = os.O_RDWR | os.O_CREATE | syscall.O_NOFOLLOW | syscall.O_NONBLOCK
	f, err := os.OpenFile(path, flags, 0o600) //nolint:gosec // a path of the caller
	if err != nil {
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	info, err := f.Stat()
	if err == nil {
		err = checkSecret(path, info)
	}
	if err == nil {
		err = flock.LockContext(ctx, f)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	return f, nil
}
