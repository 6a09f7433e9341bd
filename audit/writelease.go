package audit

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/hearthhost/hearth/internal/flock"
)

// For a while two processes may write one log: a host and the one that takes its place. The
// lock on the file keeps all others out, and both hold it, since it belongs to the open file,
// which one got from the other. Between the two a lock on a file beside it goes to and fro:
// whoever has it reads the last record, if the other wrote since, and goes on from there. So
// there is one chain, without a gap and without a fork. Nobody begins a new file then:
// rotation waits, and so does looking for a file that was removed or changed.

// turnName is the file whose lock is the turn.
func turnName(path string) string { return path + ".turn" }

// Share prepares for a second process that is to write the same log for a while, and returns
// the file that it opens the log with ([Config.From]); the caller closes it. From now on
// each write waits for its turn. [Log.Alone] ends that. Only two may share. It fails while the
// disk hangs.
func (l *Log) Share() (*os.File, error) {
	if !l.lockSoon() {
		return nil, errStalled
	}
	defer l.writing.Unlock()
	if l.file.turn != nil {
		return nil, errors.New("audit log: it is shared already")
	}
	l.file.checkPath()
	h := l.file.f.Load()
	if h == nil {
		return nil, errors.New("audit log: it cannot be written now, and so not shared")
	}
	dup, err := duplicate(h)
	if err != nil {
		return nil, fmt.Errorf("audit log: %w", err)
	}
	if l.file.turn, err = openTurn(l.cfg.Path); err != nil {
		dup.Close()
		return nil, err
	}
	l.handedOver = true
	return dup, nil
}

// lockSoon takes writing, unless a write hangs.
func (l *Log) lockSoon() bool {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(closeTimeout); !l.writing.TryLock(); <-tick.C {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// Alone ends the time in which another process wrote the log too: it has ended, or given up.
func (l *Log) Alone() {
	l.writing.Lock()
	defer l.writing.Unlock()
	l.handedOver = false
	if l.file.turn == nil {
		return
	}
	if done, err := l.file.takeTurn(); err != nil {
		l.cfg.Log.Error("audit log cannot be read", "path", l.cfg.Path, "err", err)
	} else {
		done()
	}
	l.file.closeTurn()
	_ = os.Remove(turnName(l.cfg.Path)) // nobody waits for it
}

// duplicate returns another descriptor of the same open file, and so of its lock.
func duplicate(h *os.File) (*os.File, error) {
	raw, err := h.SyscallConn()
	if err != nil {
		return nil, err
	}
	dup := -1
	errControl := raw.Control(func(fd uintptr) {
		syscall.ForkLock.RLock()
		defer syscall.ForkLock.RUnlock()
		if dup, err = syscall.Dup(int(fd)); err == nil {
			syscall.CloseOnExec(dup)
		}
	})
	if err = errors.Join(errControl, err); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(dup), h.Name()), nil
}

func openTurn(path string) (*os.File, error) {
	f, err := os.OpenFile(turnName(path), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, fmt.Errorf("sharing the audit log: %w", err)
	}
	info, err := f.Stat()
	if err == nil && (!info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0) {
		err = fmt.Errorf("%s must be a file that others cannot open: remove it", f.Name())
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("sharing the audit log: %w", err)
	}
	return f, nil
}

// openShared goes on with the open file of another process that shares it. ok is false if
// that is not the file at the path: the policy names another log now.
func (f *file) openShared(h *os.File) (ok bool, err error) {
	ours, err := h.Stat()
	if err != nil {
		return false, fmt.Errorf("the audit log that was handed over: %w", err)
	}
	theirs, err := os.Lstat(f.cfg.Path)
	if err != nil || !os.SameFile(ours, theirs) {
		return false, nil //nolint:nilerr // whatever is there, it is another log
	}
	if f.turn, err = openTurn(f.cfg.Path); err != nil {
		h.Close()
		return true, err
	}
	f.f.Store(h)
	done, err := f.takeTurn()
	if err == nil {
		_, err = f.chain(f.opening("handed over"))
		done()
	}
	if err != nil {
		f.closeTurn()
		f.f.Store(nil)
		h.Close()
		return true, fmt.Errorf("audit log %s: %w", f.cfg.Path, err)
	}
	return true, nil
}

func (f *file) closeTurn() {
	if f.turn != nil {
		f.turn.Close()
		f.turn = nil
	}
}

// takeTurn waits for the turn and reads what the other has written since.
func (f *file) takeTurn() (done func(), err error) {
	lease := f.turn
	if err := flock.Lock(lease); err != nil {
		return nil, fmt.Errorf("waiting for the turn: %w", err)
	}
	done = func() { _ = flock.Unlock(lease) }
	if err := f.catchUp(); err != nil {
		done()
		return nil, err
	}
	return done, nil
}

// catchUp goes on from the end of the file, wherever that is now.
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
	if torn { // only an open record may follow it
		_, err = f.chain(f.opening("the other host's last line was cut off"))
	}
	return err
}

// writeInTurn is write while the log is shared.
func (f *file) writeInTurn(lines []byte) (lost uint64, err error) {
	done, err := f.takeTurn()
	if err != nil {
		return f.fail(lines, err)
	}
	defer done()
	return f.chain(lines)
}
