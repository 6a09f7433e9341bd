package upgrade

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hearthhost/hearth/internal/flock"
	"github.com/hearthhost/hearth/internal/safefile"
)

// The files in the state folder that describe the running host. A locked lock file means that a host runs. A
// killed host leaves both files behind, without the lock.
const (
	lockFile    = "host.lock"
	runningFile = "host.json"
)

// Running describes the host that runs with a state folder.
type Running struct {
	PID     int    `json:"pid"`
	Version string `json:"version"`
	// Upgrades counts finished attempts to upgrade, since the first process of the line.
	Upgrades uint64 `json:"upgrades"`
	Failure  string `json:"failure,omitempty"` // error of the last attempt; "" if it succeeded
	UID      uint32 `json:"-"`                 // owner of the file, and so of the host
}

// StateLock keeps a second host out of a state folder. The lock belongs to the open file: parent and child of an
// upgrade hold it together.
type StateLock struct {
	dir        string
	file       *os.File
	handedOver atomic.Bool
}

// lockTimeout limits the wait for the lock: FindRunning of another process takes it for a moment.
const lockTimeout = 2 * time.Second

// LockState locks a state folder, and creates a missing one. inherited is a parent's lock, nil for none; LockState
// owns it, and uses it if it is the lock of this folder.
func LockState(ctx context.Context, dir string, inherited *os.File) (*StateLock, error) {
	path := filepath.Join(dir, lockFile)
	if inherited != nil {
		ours, err := inherited.Stat()
		theirs, errPath := os.Lstat(path) //nolint:gosec // the policy names the folder
		if err == nil && errPath == nil && os.SameFile(ours, theirs) {
			return &StateLock{dir: dir, file: inherited}, nil
		}
		inherited.Close() // the policy names another state folder now
	}
	if err := os.MkdirAll(dir, 0o700); err != nil { //nolint:gosec // the policy names the folder
		return nil, fmt.Errorf("creating the state folder: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	f, err := safefile.LockFile(ctx, path)
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return nil, fmt.Errorf("another host runs with the state folder %s; use another folder, or stop that host", dir)
	}
	if err != nil {
		return nil, err
	}
	return &StateLock{dir: dir, file: f}, nil
}

// Duplicate returns another descriptor of the lock, for a child. The caller closes it.
func (l *StateLock) Duplicate() (*os.File, error) {
	fd, err := unix.FcntlInt(l.file.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, fmt.Errorf("duplicating the lock of the state folder: %w", err)
	}
	return os.NewFile(uintptr(fd), l.file.Name()), nil
}

// HandOver records that a child owns the state folder from now on.
func (l *StateLock) HandOver() { l.handedOver.Store(true) }

// HandedOver reports whether a child owns the state folder. It is false for a nil lock.
func (l *StateLock) HandedOver() bool { return l != nil && l.handedOver.Load() }

// Release closes the lock. With remove it deletes the description of the running host, unless a child owns the
// folder. It does nothing for a nil lock.
func (l *StateLock) Release(remove bool) {
	if l == nil {
		return
	}
	if remove && !l.HandedOver() {
		_ = os.Remove(filepath.Join(l.dir, runningFile))
	}
	l.file.Close()
}

// Announce writes the description of the running host, which [FindRunning] returns.
func (l *StateLock) Announce(r Running) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := safefile.Replace(filepath.Join(l.dir, runningFile), append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("writing the description of the running host: %w", err)
	}
	return nil
}

// FindRunning returns the host that runs with a state folder, nil if none does.
func FindRunning(dir string) (*Running, error) {
	f, err := os.Open(filepath.Join(dir, lockFile)) //nolint:gosec // the policy names the folder
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("only the host's user and root can read the state folder %s; run this as root", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("finding the running host: %w", err)
	}
	defer f.Close()
	locked, err := flock.Locked(f)
	if err != nil {
		return nil, fmt.Errorf("finding the running host: %w", err)
	}
	if !locked {
		return nil, nil
	}
	r, err := readRunning(filepath.Join(dir, runningFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("a host starts or ends in %s; try again", dir)
	}
	return r, err
}

// readRunning reads the description of a host. The caller may be root and the file another user's, so it follows
// no symbolic link, reads at most 64 KiB, and opens no pipe for long.
func readRunning(path string) (*Running, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0) //nolint:gosec // from the policy
	if err != nil {
		return nil, fmt.Errorf("finding the running host: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	var r Running
	st, ok := info.Sys().(*syscall.Stat_t)
	if err := json.NewDecoder(io.LimitReader(f, 64<<10)).Decode(&r); err != nil || !ok || r.PID <= 1 {
		return nil, fmt.Errorf("%s does not name the running host; stop the host with kill and start it again", path)
	}
	r.UID = st.Uid
	return &r, nil
}
