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

// file is the file that is written, and its place in the chain. But for sync, its methods
// are called by one goroutine at a time.
type file struct {
	cfg   *Config
	f     atomic.Pointer[os.File] // nil after a failure to open it
	size  int64                   // of complete lines
	seq   uint64                  // of the last record, 0 before the first
	head  [sha256.Size]byte
	out   []byte
	dirty atomic.Bool
	aside chan struct{} // holds a token when a file was set aside
	turn  *os.File      // its lock is the turn to write; nil: nobody else writes

	looked time.Time // when the path was last compared with the file
	warned time.Time // when a failure was last logged
}

func (f *file) headText() string { return hex.EncodeToString(f.head[:]) }

// open opens or makes the file at the path, goes on from its last record and writes an
// "open" record.
func (f *file) open() error {
	if err := os.MkdirAll(filepath.Dir(f.cfg.Path), 0o700); err != nil {
		return fmt.Errorf("making the folder of the audit log: %w", err)
	}
	if from := f.cfg.From; from != nil {
		f.cfg.From = nil // a later try opens by name
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
	if err := f.take(h, &why); err != nil {
		h.Close()
		return fmt.Errorf("audit log %s: %w", f.cfg.Path, err)
	}
	f.f.Store(h)
	if _, err := f.write(f.opening(why)); err != nil {
		return fmt.Errorf("writing the audit log: %w", err)
	}
	return nil
}

// take locks a file that was opened and finds its end. why is changed if the end is odd.
func (f *file) take(h *os.File, why *string) error {
	info, err := h.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("not a regular file")
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("others may read or write it: chmod 600 %s", shell.Path(f.cfg.Path))
	}
	if err := flock.TryLock(h); err != nil {
		return errors.New("another host writes it: give each its own state folder")
	}
	last, torn, err := f.end(h, info.Size())
	if err != nil {
		return err
	}
	if torn {
		*why = "start, after a line that was cut off"
	}
	if last == nil {
		// The first of its kind, or the first after a rotation that was cut off: the old
		// file that lies beside knows the end.
		if last, err = f.lastRotated(); err != nil {
			return err
		}
	}
	f.goOnFrom(last)
	return nil
}

// end finds the end of a file of a size, where the next line goes, and the last record, nil if
// there is none. What was torn is ended.
func (f *file) end(h *os.File, size int64) (last *trail.Line, torn bool, err error) {
	if last, torn, err = trail.LastRecord(h, size); err != nil {
		return nil, false, err
	}
	f.size = size
	if torn {
		err = f.endLine(h)
	}
	return last, torn, err
}

// goOnFrom goes on from a record, unless it is nil or a host that runs knows of later ones.
func (f *file) goOnFrom(last *trail.Line) {
	if last != nil && last.Seq >= f.seq {
		f.seq, f.head = last.Seq, last.Digest
	}
}

// opening is the first record of a file, and of each start.
func (f *file) opening(why string) []byte {
	b := appendEvent(nil, time.Now(), "open")
	b = appendField(b, "why", why)
	b = appendField(b, "prev", f.headText())
	return append(b, '\n')
}

// write chains lines and appends them, all or none. It returns how many were lost, with
// an error.
func (f *file) write(lines []byte) (lost uint64, err error) {
	if f.turn != nil {
		return f.writeInTurn(lines)
	}
	if now := time.Now(); now.Sub(f.looked) > time.Second {
		f.looked = now
		f.look()
	}
	if f.f.Load() == nil {
		if err := f.open(); err != nil {
			return f.lose(lines, err)
		}
	}
	if lost, err = f.chain(lines); err == nil && f.cfg.Rotate > 0 && f.size >= f.cfg.Rotate {
		f.rotate()
	}
	return lost, err
}

// chain is write for a file that is open and looked at.
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
		// Take away what was written of it, so that the next try goes on in order.
		if cut := h.Truncate(f.size); cut != nil {
			err = errors.Join(err, cut)
		}
		return f.lose(lines, err)
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

// append writes out behind the complete lines. Go's scheduler knows of the system call, and gives
// the processor to others if the disk hangs.
func (f *file) append(h *os.File) error { return writeAt(h, f.out, f.size) }

// writeAt is a variable for tests.
var writeAt = func(h *os.File, p []byte, at int64) error {
	_, err := h.WriteAt(p, at)
	return err
}

// lose counts lines that cannot be written, and says so, but not for each.
func (f *file) lose(lines []byte, err error) (uint64, error) {
	if now := time.Now(); now.Sub(f.warned) > 10*time.Second {
		f.warned = now
		does := "calls are refused"
		if f.cfg.Drop {
			does = "decisions are counted and not recorded"
		}
		f.cfg.Log.Error("audit log cannot be written", "so", does, "path", f.cfg.Path, "err", err)
	}
	return uint64(bytes.Count(lines, []byte("\n"))), err
}

// look compares the path with the file that is written: somebody may have deleted,
// replaced or cut it. A new file then says so, and goes on with the chain.
func (f *file) look() {
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
		f.cfg.Log.Error("audit log was changed by somebody else", "path", f.cfg.Path, "bytes", ours.Size(), "want", f.size, "head", f.headText())
		// What is there stays as evidence; what was cut off shows in the numbers.
		f.size = ours.Size()
		if err := f.endLine(h); err != nil {
			f.cfg.Log.Error("audit log cannot be written", "path", f.cfg.Path, "err", err)
		}
		_, _ = f.write(f.opening("the file was changed by somebody else"))
		return
	}
	f.cfg.Log.Error("audit log was removed or replaced", "path", f.cfg.Path, "seq", f.seq, "head", f.headText())
	f.f.Store(nil)
	h.Close()
	err = f.begin("the file was removed or replaced")
	if errors.Is(err, fs.ErrExist) {
		// Not ours, so not written to; kept as evidence.
		if err = os.Rename(f.cfg.Path, f.cfg.Path+".foreign-"+strconv.FormatUint(f.seq, 10)); err == nil {
			err = f.begin("the file was removed or replaced")
		}
	}
	if err != nil {
		f.cfg.Log.Error("audit log cannot be made anew", "path", f.cfg.Path, "err", err)
	}
}

// begin makes a new file where none is, which goes on with the chain.
func (f *file) begin(why string) error {
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

// endLine ends a line without end, which stays as evidence, so that others can follow.
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

// rotate sets the file aside under the number of its last record and begins another. If
// that fails, the file grows on.
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
	if err := f.begin("rotation"); err != nil {
		f.cfg.Log.Error("audit log cannot be begun anew", "path", f.cfg.Path, "err", err)
		return // the next write tries again
	}
	select {
	case f.aside <- struct{}{}:
	default: // the keeper has not looked yet
	}
}

// lastRotated returns the last record of the newest file that was set aside.
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
	f.closeTurn()
	h := f.f.Swap(nil)
	if h == nil {
		return nil
	}
	return errors.Join(h.Sync(), h.Close())
}
