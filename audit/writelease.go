package audit

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/hearthhost/hearth/internal/flock"
)

// During an upgrade two processes write one log: a host and its successor. The lock on the log file excludes all other
// processes. Both hold it, because it belongs to the open file that the successor got from the host. A write lease, the
// lock on a second file, alternates between the two. The holder of the lease first reads the last record, if the other
// process has written, and continues from it. So there is one chain without gaps and forks. While the log is shared, no
// new file is started: rotation and the check of the path wait.

// leaseName returns the path of the lock file of the write lease. Two versions of hearth may share a log, so the suffix
// must not change.
func leaseName(path string) string { return path + ".turn" }

// Share prepares the log for a second process and returns the file for its [Config.From]; the caller closes the file.
// From now on each write waits for the write lease, until [Log.EndSharing]. Only two processes can share a log. Share
// fails while the disk hangs.
func (l *Log) Share() (*os.File, error) {
	if !l.lockWriting() {
		return nil, errStalled
	}
	defer l.writing.Unlock()
	if l.file.lease != nil {
		return nil, errors.New("audit log: it is already shared")
	}
	l.file.checkPath()
	h := l.file.f.Load()
	if h == nil {
		return nil, errors.New("audit log: it cannot be shared, because it cannot be written now")
	}
	dup, err := duplicate(h)
	if err != nil {
		return nil, fmt.Errorf("audit log: %w", err)
	}
	l.file.lease, err = openLease(l.cfg.Path)
	if err != nil {
		dup.Close()
		return nil, err
	}
	l.handedOver = true
	return dup, nil
}

// lockWriting locks l.writing, unless a write hangs.
func (l *Log) lockWriting() bool {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(closeTimeout); !l.writing.TryLock(); <-tick.C {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// EndSharing ends the sharing of the log: the other process has ended or given up.
func (l *Log) EndSharing() {
	l.writing.Lock()
	defer l.writing.Unlock()
	l.handedOver = false
	if l.file.lease == nil {
		return
	}
	if done, err := l.file.acquireLease(); err != nil {
		l.cfg.Log.Error("audit log cannot be read", "path", l.cfg.Path, "err", err)
	} else {
		done()
	}
	l.file.closeLease()
	_ = os.Remove(leaseName(l.cfg.Path)) // no other process uses it now
}

// duplicate returns another descriptor of the same open file, which shares its lock.
func duplicate(h *os.File) (*os.File, error) {
	raw, err := h.SyscallConn()
	if err != nil {
		return nil, err
	}
	dup := -1
	errControl := raw.Control(func(fd uintptr) {
		syscall.ForkLock.RLock()
		defer syscall.ForkLock.RUnlock()
		dup, err = syscall.Dup(int(fd))
		if err == nil {
			syscall.CloseOnExec(dup)
		}
	})
	err = errors.Join(errControl, err)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(dup), h.Name()), nil
}

func openLease(path string) (*os.File, error) {
	f, err := os.OpenFile(leaseName(path), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, fmt.Errorf("sharing the audit log: %w", err)
	}
	info, err := f.Stat()
	if err == nil && (!info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0) {
		err = fmt.Errorf("%s must be a file that other users cannot open; remove it", f.Name())
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("sharing the audit log: %w", err)
	}
	return f, nil
}

// openShared continues the open file of another process. ok is false if the path names another file: the policy has
// another log now.
func (f *file) openShared(h *os.File) (ok bool, err error) {
	ours, err := h.Stat()
	if err != nil {
		return false, fmt.Errorf("the audit log that was handed over: %w", err)
	}
	theirs, err := os.Lstat(f.cfg.Path)
	if err != nil || !os.SameFile(ours, theirs) {
		return false, nil //nolint:nilerr // in all other cases the path names another log
	}
	f.lease, err = openLease(f.cfg.Path)
	if err != nil {
		h.Close()
		return true, err
	}
	f.f.Store(h)
	done, err := f.acquireLease()
	if err == nil {
		_, err = f.chain(f.opening("handed over"))
		done()
	}
	if err != nil {
		f.closeLease()
		f.f.Store(nil)
		h.Close()
		return true, fmt.Errorf("audit log %s: %w", f.cfg.Path, err)
	}
	return true, nil
}

func (f *file) closeLease() {
	if f.lease != nil {
		f.lease.Close()
		f.lease = nil
	}
}

// acquireLease waits for the write lease and reads the records that the other process has written since.
func (f *file) acquireLease() (done func(), err error) {
	lease := f.lease
	if err := flock.Lock(lease); err != nil {
		return nil, fmt.Errorf("waiting for the write lease: %w", err)
	}
	done = func() { _ = flock.Unlock(lease) }
	if err := f.catchUp(); err != nil {
		done()
		return nil, err
	}
	return done, nil
}

// catchUp continues from the current end of the file.
func (f *file) catchUp() error {
	h := f.f.Load()
	if h == nil {
		return errors.New("the file is not open")
	}
	info, err := h.Stat()
	if err != nil {
		return err
	}
	if info.Size() == f.size {
		return nil
	}
	last, torn, err := f.findEnd(h, info.Size())
	if err != nil {
		return err
	}
	f.resume(last)
	if torn { // only an open record may follow an incomplete line
		_, err = f.chain(f.opening("the other host's last line was cut off"))
	}
	return err
}

// writeLeased is write for a shared log.
func (f *file) writeLeased(lines []byte) (lost uint64, err error) {
	done, err := f.acquireLease()
	if err != nil {
		return f.fail(lines, err)
	}
	defer done()
	return f.chain(lines)
}
