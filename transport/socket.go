package transport

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/hearthhost/hearth/internal/safefile"
)

// Timeouts of Listen for delays that other processes cause.
const (
	lockTimeout = 2 * time.Second // another host starts on the same socket
	dialTimeout = 2 * time.Second // a socket that neither accepts nor rejects
)

// lockSuffix names the file next to a socket that is locked while a host starts. It is not removed: another host may be
// waiting for the lock.
const lockSuffix = ".lock"

// listenUnix binds a Unix socket that all local users may connect to. The kernel reports the user of each connection.
func listenUnix(ctx context.Context, path string) (*Listener, error) {
	ln, release, err := bindUnix(ctx, path, 0o755, 0o666) // safefile.CheckPath rejects replaceable sockets
	if err != nil {
		return nil, err
	}
	return &Listener{net: ln, addr: "unix:" + path, release: release}, nil
}

// bindUnix binds a Unix socket with a mode. It creates a missing folder with another mode. release removes the file,
// unless it was replaced.
func bindUnix(ctx context.Context, path string, folder, mode fs.FileMode) (ln *net.UnixListener, release func() error,
	err error) {
	fail := func(err error) (*net.UnixListener, func() error, error) {
		return nil, nil, fmt.Errorf("listening on unix:%s: %w", path, err)
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, folder); err != nil {
		return fail(err)
	}
	if err := safefile.CheckPath(path); err != nil { // another user could replace the socket
		return fail(err)
	}
	// The lock prevents two starting hosts from taking each other's socket for a dead one.
	patient, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	lock, err := safefile.LockFile(patient, path+lockSuffix)
	if err != nil {
		return fail(err)
	}
	defer lock.Close()
	if err := clearSocket(ctx, path); err != nil {
		return fail(err)
	}
	ln, err = net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return fail(err)
	}
	ln.SetUnlinkOnClose(false) // it would remove the file by name, which may be another host's socket
	made, err := os.Lstat(path)
	if err == nil {
		err = os.Chmod(path, mode)
	}
	if err != nil {
		_ = ln.Close()
		os.Remove(path)
		return fail(err)
	}
	return ln, func() error { return removeSame(path, made) }, nil
}

// clearSocket removes a socket file without a listener. Any other file is an error and is not removed.
func clearSocket(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s exists and is not a socket: remove it or name another path", path)
	}
	d := net.Dialer{Timeout: dialTimeout}
	c, err := d.DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		c.Close()
	case errors.Is(err, syscall.ECONNREFUSED):
		return removeSame(path, info)
	case !errors.Is(err, syscall.EAGAIN): // EAGAIN: it listens, but its queue is full
		return fmt.Errorf("testing whether %s is in use: %w", path, err)
	}
	return fmt.Errorf("another host is serving on %s: %w", path, syscall.EADDRINUSE)
}

// removeSame removes path, unless the file differs from the one that info describes.
func removeSame(path string, info fs.FileInfo) error {
	now, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !os.SameFile(now, info) {
		return nil
	}
	return os.Remove(path)
}
