package host

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
	"github.com/hearthhost/hearth/policy"
)

// The files in the state folder that say which host runs there. The lock tells whether one
// does; a file that is not locked was left by one that was killed.
const (
	lockFile    = "host.lock"
	runningFile = "host.json"
)

// Running is what a host says of itself in its state folder.
type Running struct {
	PID     int    `json:"pid"`
	Version string `json:"version"`
	// Upgrades counts the attempts to put another host into its place that have come to an
	// end, from the first of the line on.
	Upgrades uint64 `json:"upgrades"`
	Failure  string `json:"failure,omitempty"` // why the last of them failed; "": it did not
	UID      uint32 `json:"-"`                 // whose host it is
}

// stateLock keeps a second host out of the state folder. It belongs to the open file, so
// that a host and its successor hold it together.
type stateLock struct {
	dir  string
	f    *os.File
	left atomic.Bool // a successor has it
}

// lockPatience is how long another process may look at the lock while a host starts.
const lockPatience = 2 * time.Second

// take locks a state folder, or goes on with a predecessor's lock of it.
func (s *stateLock) take(ctx context.Context, dir string, given *os.File) error {
	path := filepath.Join(dir, lockFile)
	if given != nil {
		ours, err := given.Stat()
		theirs, errPath := os.Lstat(path)
		if err == nil && errPath == nil && os.SameFile(ours, theirs) {
			s.dir, s.f = dir, given
			return nil
		}
		given.Close() // another folder now
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the state folder: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	f, err := safefile.LockFile(ctx, path)
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return fmt.Errorf("another host runs with the state folder %s: give each its own", dir)
	}
	if err != nil {
		return err
	}
	s.dir, s.f = dir, f
	return nil
}

// share returns the lock for a successor.
func (s *stateLock) share() (*os.File, error) {
	fd, err := unix.FcntlInt(s.f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, fmt.Errorf("sharing the lock of the state folder: %w", err)
	}
	return os.NewFile(uintptr(fd), s.f.Name()), nil
}

// release ends the lock, unless a successor has it; forget removes what the host said of
// itself.
func (s *stateLock) release(forget bool) {
	if s.f == nil {
		return
	}
	if forget && !s.left.Load() {
		_ = os.Remove(filepath.Join(s.dir, runningFile))
	}
	s.f.Close()
}

// Announce writes down which host runs here.
func (h *Host) Announce(r Running) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := safefile.Replace(filepath.Join(h.lock.dir, runningFile), append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("writing down which host runs: %w", err)
	}
	return nil
}

// FindRunning returns the host that runs with a policy's state folder, nil if there is none.
func FindRunning(p *policy.Policy) (*Running, error) {
	f, err := os.Open(filepath.Join(p.State, lockFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("the host's state folder %s is for the user who runs it, and root, and nobody else", p.State)
	}
	if err != nil {
		return nil, fmt.Errorf("looking for a host: %w", err)
	}
	defer f.Close()
	locked, err := flock.Locked(f)
	if err != nil {
		return nil, fmt.Errorf("looking for a host: %w", err)
	}
	if !locked {
		return nil, nil
	}
	r, err := readRunning(filepath.Join(p.State, runningFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("a host is starting or ending in %s: try again", p.State)
	}
	return r, err
}

// readRunning reads what a host says of itself; who asks may be another user, root.
func readRunning(path string) (*Running, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0) //nolint:gosec // in the policy's folder
	if err != nil {
		return nil, fmt.Errorf("looking for a host: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	var r Running
	st, ok := info.Sys().(*syscall.Stat_t)
	if err := json.NewDecoder(io.LimitReader(f, 64<<10)).Decode(&r); err != nil || !ok || r.PID <= 1 {
		return nil, fmt.Errorf("%s does not say which host runs: stop it by hand and start it again", path)
	}
	r.UID = st.Uid
	return &r, nil
}
