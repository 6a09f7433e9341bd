package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hearthhost/hearth/audit/trail"
	"github.com/hearthhost/hearth/internal/flock"
	"github.com/hearthhost/hearth/internal/shell"
)

// file is the file that is written and its position in the hash chain. Only sync may run concurrently with the other
// methods.
type file struct {
	cfg     *Config
	f       atomic.Pointer[os.File] // nil after a failure to open it
	size    int64                   // bytes of complete lines
	seq     uint64                  // number of the last record; 0 before the first
	head    [sha256.Size]byte
	out     []byte
	dirty   atomic.Bool
	rotated chan struct{} // holds a token after a rotation
	lease   *os.File      // lock file of the write lease; nil if the log is not shared

	checked time.Time // when the path was last compared with the file
	warned  time.Time // when a failure was last logged
}

func (f *file) headText() string { return hex.EncodeToString(f.head[:]) }

// open opens or creates the file at the path, continues from its last record and writes an "open" record.
func (f *file) open() error {
	if err := os.MkdirAll(filepath.Dir(f.cfg.Path), 0o700); err != nil {
		return fmt.Errorf("making the folder of the audit log: %w", err)
	}
	if from := f.cfg.From; from != nil {
		f.cfg.From = nil // a retry opens by name
		if ok, err := f.openShared(from); ok {
			return err
		}
		from.Close()
	}
	h, err := os.OpenFile(f.cfg.Path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return fmt.Errorf("opening the audit log: %w", err)
	}
	why := "start"
	if err := f.lock(h, &why); err != nil {
		h.Close()
		return fmt.Errorf("audit log %s: %w", f.cfg.Path, err)
	}
	f.f.Store(h)
	if _, err := f.write(f.opening(why)); err != nil {
		return fmt.Errorf("writing the audit log: %w", err)
	}
	return nil
}

// lock locks an opened file and resumes from its last record. It changes why if the last line is incomplete.
func (f *file) lock(h *os.File, why *string) error {
	info, err := h.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("not a regular file")
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("other users may read or write it; run chmod 600 %s", shell.Path(f.cfg.Path))
	}
	if err := flock.TryLock(h); err != nil {
		return errors.New("another host writes it; give each host its own state folder")
	}
	last, torn, err := f.findEnd(h, info.Size())
	if err != nil {
		return err
	}
	if torn {
		*why = "start, after a line that was cut off"
	}
	if last == nil {
		// A new log, or a crash during rotation: the newest rotated file has the last record.
		last, err = f.lastRotated()
		if err != nil {
			return err
		}
	}
	f.resume(last)
	return nil
}

// findEnd sets the position of the next line in a file of size bytes. It returns the last record, nil if the file has
// none, and whether the last line was incomplete. It terminates an incomplete line.
func (f *file) findEnd(h *os.File, size int64) (last *trail.Line, torn bool, err error) {
	last, torn, err = trail.LastRecord(h, size)
	if err != nil {
		return nil, false, err
	}
	f.size = size
	if torn {
		err = f.endLine(h)
	}
	return last, torn, err
}

// resume continues the chain from a record, unless it is nil or older than a record that this host wrote.
func (f *file) resume(last *trail.Line) {
	if last != nil && last.Seq >= f.seq {
		f.seq, f.head = last.Seq, last.Digest
	}
}

// opening returns the "open" record, which begins a file and follows each start.
func (f *file) opening(why string) []byte {
	b := appendEvent(nil, time.Now(), "open")
	b = appendField(b, "why", why)
	b = appendField(b, "prev", f.headText())
	return append(b, '\n')
}

// write chains lines and appends all of them or none. With an error it returns the number of lost lines.
func (f *file) write(lines []byte) (lost uint64, err error) {
	if f.lease != nil {
		return f.writeLeased(lines)
	}
	if now := time.Now(); now.Sub(f.checked) > time.Second {
		f.checked = now
		f.checkPath()
	}
	if f.f.Load() == nil {
		if err := f.open(); err != nil {
			return f.fail(lines, err)
		}
	}
	lost, err = f.chain(lines)
	if err == nil && f.cfg.Rotate > 0 && f.size >= f.cfg.Rotate {
		f.rotate()
	}
	return lost, err
}

// chain is write for an open and checked file.
func (f *file) chain(lines []byte) (lost uint64, err error) {
	seq, head := f.seq, f.head
	f.out = f.out[:0]
	for line := range bytes.Lines(lines) {
		start := len(f.out)
		seq++
		f.out = append(f.out, `{"seq":`...)
		f.out = strconv.AppendUint(f.out, seq, 10)
		f.out = append(f.out, ',')
		f.out = append(f.out, line[:len(line)-1]...)
		head = trail.Link(head, f.out[start:])
		f.out = append(f.out, trail.HashField...)
		f.out = hex.AppendEncode(f.out, head[:])
		f.out = append(f.out, "\"}\n"...)
	}
	h := f.f.Load()
	if err := f.append(h); err != nil {
		// Remove a partial write, so that the next write continues the chain.
		if cut := h.Truncate(f.size); cut != nil {
			err = errors.Join(err, cut)
		}
		return f.fail(lines, err)
	}
	f.seq, f.head = seq, head
	f.size += int64(len(f.out))
	f.dirty.Store(true)
	if !f.warned.IsZero() {
		f.warned = time.Time{}
		f.cfg.Log.Info("audit log is written again", "path", f.cfg.Path, "seq", f.seq)
	}
	if cap(f.out) > 4*maxQueue {
		f.out = nil
	}
	return 0, nil
}

// append writes f.out after the complete lines. WriteAt releases the processor while a disk hangs: the Go scheduler
// sees the system call.
func (f *file) append(h *os.File) error { return writeAt(h, f.out, f.size) }

// writeAt is a variable for tests.
var writeAt = func(h *os.File, p []byte, at int64) error {
	_, err := h.WriteAt(p, at)
	return err
}

// fail counts lines that cannot be written and logs the error at most once in 10 seconds.
func (f *file) fail(lines []byte, err error) (uint64, error) {
	if now := time.Now(); now.Sub(f.warned) > 10*time.Second {
		f.warned = now
		effect := "calls are refused"
		if f.cfg.Drop {
			effect = "decisions are counted and not recorded"
		}
		f.cfg.Log.Error("audit log cannot be written", "effect", effect, "path", f.cfg.Path, "err", err)
	}
	return uint64(bytes.Count(lines, []byte("\n"))), err
}

// checkPath compares the path with the open file, which another process may have deleted, replaced or changed. The log
// then continues in a new file, whose open record has the reason.
func (f *file) checkPath() {
	h := f.f.Load()
	if h == nil {
		return
	}
	ours, err := h.Stat()
	theirs, errPath := os.Lstat(f.cfg.Path)
	switch {
	case err == nil && errPath == nil && os.SameFile(ours, theirs) && ours.Size() == f.size:
		return
	case err == nil && errPath == nil && os.SameFile(ours, theirs):
		f.cfg.Log.Error("audit log was changed by another process",
			"path", f.cfg.Path, "bytes", ours.Size(), "want", f.size, "head", f.headText())
		// The changed file stays as evidence. The record numbers show removed lines.
		f.size = ours.Size()
		if err := f.endLine(h); err != nil {
			f.cfg.Log.Error("audit log cannot be written", "path", f.cfg.Path, "err", err)
		}
		_, _ = f.write(f.opening(trail.WhyChanged))
		return
	}
	f.cfg.Log.Error("audit log was removed or replaced", "path", f.cfg.Path, "seq", f.seq, "head", f.headText())
	f.f.Store(nil)
	h.Close()
	err = f.create(trail.WhyReplaced)
	if errors.Is(err, fs.ErrExist) {
		// Another process created the file at the path. It is kept as evidence under another name.
		err = os.Rename(f.cfg.Path, f.cfg.Path+".foreign-"+strconv.FormatUint(f.seq, 10))
		if err == nil {
			err = f.create(trail.WhyReplaced)
		}
	}
	if err != nil {
		f.cfg.Log.Error("audit log cannot be created again", "path", f.cfg.Path, "err", err)
	}
}

// create creates the file at the path and continues the chain in it. It fails if the file exists.
func (f *file) create(why string) error {
	h, err := os.OpenFile(f.cfg.Path, os.O_RDWR|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	if err := flock.TryLock(h); err != nil {
		h.Close()
		return err
	}
	f.f.Store(h)
	f.size = 0
	_, _ = f.write(f.opening(why))
	return nil
}

// endLine terminates an incomplete last line, so that lines can follow. The line stays as evidence.
func (f *file) endLine(h *os.File) error {
	last := []byte{'\n'}
	if f.size > 0 {
		if _, err := h.ReadAt(last, f.size-1); err != nil {
			return err
		}
	}
	if last[0] == '\n' {
		return nil
	}
	_, err := h.WriteAt([]byte{'\n'}, f.size)
	f.size++
	return err
}

// rotate renames the file to the number of its last record and starts a new file. If that fails, the file keeps
// growing.
func (f *file) rotate() {
	h := f.f.Load()
	_ = h.Sync()
	if err := os.Rename(f.cfg.Path, trail.RotatedName(f.cfg.Path, f.seq)); err != nil {
		f.cfg.Log.Error("audit log cannot be rotated", "path", f.cfg.Path, "err", err)
		return
	}
	f.cfg.Log.Info("audit log rotated", "path", f.cfg.Path, "seq", f.seq, "head", f.headText())
	f.f.Store(nil)
	h.Close()
	if err := f.create(trail.WhyRotation); err != nil {
		f.cfg.Log.Error("new audit log cannot be created after rotation", "path", f.cfg.Path, "err", err)
		return // the next write tries again
	}
	select {
	case f.rotated <- struct{}{}:
	default: // keep has not read the last token yet
	}
}

// lastRotated returns the last record of the newest rotated file, nil if there are no rotated files.
func (f *file) lastRotated() (*trail.Line, error) {
	old, err := trail.Rotated(f.cfg.Path)
	if err != nil || len(old) == 0 {
		return nil, err
	}
	h, err := os.Open(old[len(old)-1])
	if err != nil {
		return nil, err
	}
	defer h.Close()
	info, err := h.Stat()
	if err != nil {
		return nil, err
	}
	last, _, err := trail.LastRecord(h, info.Size())
	return last, err
}

func (f *file) sync() {
	if h := f.f.Load(); h != nil && f.dirty.Swap(false) {
		_ = h.Sync()
	}
}

func (f *file) close() error {
	f.closeLease()
	h := f.f.Swap(nil)
	if h == nil {
		return nil
	}
	return errors.Join(h.Sync(), h.Close())
}
