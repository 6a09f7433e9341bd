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

// How long Listen waits for what other processes might hold up.
const (
	lockPatience = 2 * time.Second // another host that starts on the same socket
	dialPatience = 2 * time.Second // a socket that neither takes nor refuses
)

// lockSuffix names the file beside a socket that is locked while a host starts. It is not removed:
// another host may be waiting for its lock.
const lockSuffix = ".lock"

// listenUnix binds a Unix socket that every user of the machine may connect to: the
// kernel tells who each of them is.
func listenUnix(ctx context.Context, path string) (*Listener, error) {
	ln, release, err := bindUnix(ctx, path, 0o755, 0o666) // safefile.CheckPath keeps others from swapping it
	if err != nil {
		return nil, err
	}
	return &Listener{net: ln, addr: "unix:" + path, release: release}, nil
}

// bindUnix binds a Unix socket of a mode, in a folder that is made with one if it is
// missing. release removes the file if it is still this one.
func bindUnix(ctx context.Context, path string, folder, mode fs.FileMode) (ln *net.UnixListener, release func() error,
	err error) {
	fail := func(err error) (*net.UnixListener, func() error, error) {
		return nil, nil, fmt.Errorf("listening on unix:%s: %w", path, err)
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, folder); err != nil {
		return fail(err)
	}
	if err := safefile.CheckPath(path); err != nil { // or else somebody could stand in for the host
		return fail(err)
	}
	// Two hosts that start at once must not each take the other's socket for a dead one.
	patient, cancel := context.WithTimeout(ctx, lockPatience)
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
	ln.SetUnlinkOnClose(false) // by name it might remove another host's socket
	made, err := os.Lstat(path)
	if err == nil {
		err = os.Chmod(path, mode)
	}
	if err != nil {
		_ = ln.Close()
		os.Remove(path)
		return fail(err)
	}
	return ln, func() error { return removeOwn(path, made) }, nil
}

// clearSocket removes a socket file that nobody listens on. Anything else in its place
// is an error, and stays.
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
	d := net.Dialer{Timeout: dialPatience}
	c, err := d.DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		c.Close()
	case errors.Is(err, syscall.ECONNREFUSED):
		return removeOwn(path, info)
	case !errors.Is(err, syscall.EAGAIN): // EAGAIN: it listens, and has too much to do
		return fmt.Errorf("finding out whether %s is in use: %w", path, err)
	}
	return fmt.Errorf("another host is serving on %s: %w", path, syscall.EADDRINUSE)
}

// removeOwn removes path if it is still the file that info describes.
func removeOwn(path string, info fs.FileInfo) error {
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
