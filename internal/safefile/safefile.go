// Package safefile reads and writes files with secrets.
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

// Read returns the content of a file that nobody but this process's user can read or
// write: at most max bytes. The owner and mode that count are those of the very file
// that is read; a symbolic link to it is fine, and so is any folder that satisfies [Place]:
// where others may rename files, one principal's key would be another's. The error names
// the file and, where a command mends it, the command; it wraps what the file system said.
func Read(path string, max int64) ([]byte, error) { return read(path, max, check) }

// ReadPublic returns the content of a file that others may read, but not everybody write:
// one that says whom to trust. At most max bytes.
func ReadPublic(path string, max int64) ([]byte, error) { return read(path, max, checkPublic) }

func read(path string, max int64, check func(string, fs.FileInfo) error) ([]byte, error) {
	// Not blocking: a pipe of that name must not make us wait.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) //nolint:gosec // the operator names it
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

func checkPublic(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", path)
	}
	if mode := info.Mode().Perm(); mode&0o002 != 0 {
		return fmt.Errorf("%s can be written by everybody (mode %04o): run chmod o-w %s", path, mode, shell.Path(path))
	}
	return way(path)
}

func check(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", path)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to user %d, and only its owner may use it: run chown %d %s, or run this as that user",
			path, st.Uid, os.Geteuid(), shell.Path(path))
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("%s can be read or written by others (mode %04o): run chmod 600 %s", path, mode, shell.Path(path))
	}
	return Place(path)
}

// Create writes a new file, and is an error that wraps fs.ErrExist if there is one. The
// folder is made, for this user alone, if it is missing.
func Create(path string, data []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	tmp, err := temporary(path, data, mode)
	if err != nil {
		return err
	}
	defer os.Remove(tmp)
	// A link and not a rename, which would replace what is there.
	if err := os.Link(tmp, path); errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists and stays as it is: %w", path, fs.ErrExist)
	} else if err != nil {
		return err
	}
	return syncFolder(path)
}

// Replace writes a file in one step: others see the old or the new one, whole.
func Replace(path string, data []byte, mode fs.FileMode) error {
	tmp, err := temporary(path, data, mode)
	if err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		os.Remove(tmp)
		return err
	}
	return syncFolder(path)
}

// temporary writes a file beside path and returns its name.
func temporary(path string, data []byte, mode fs.FileMode) (name string, err error) {
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

// syncFolder makes a new name last.
func syncFolder(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// lockName is the file that is locked for a folder's others.
const lockName = ".lock"

// Lock keeps others who lock the same folder out until unlock: for reading a file,
// changing it and replacing it without losing what somebody else changed meanwhile. It
// leaves an empty file behind, as [LockFile] does.
func Lock(dir string) (unlock func(), err error) {
	f, err := LockFile(context.Background(), filepath.Join(dir, lockName))
	if err != nil {
		return nil, err
	}
	return func() { f.Close() }, nil
}

// LockFile locks a file until it is closed, and creates it first if it is missing. Only this
// process's user can open it, and so hold its lock: a folder, or a file that others may read, can
// be locked for ever by any of them. If ctx ends first the error wraps ctx.Err().
func LockFile(ctx context.Context, path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600) //nolint:gosec // the caller's own
	if err != nil {
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	info, err := f.Stat()
	if err == nil {
		err = check(path, info)
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
