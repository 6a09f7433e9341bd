package trail

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"os"
	"path/filepath"
	"time"
)

// Follow returns the records after seq as they come, until ctx is done: it looks at the
// file that often, and goes on with the next when the host begins one, or several.
func Follow(ctx context.Context, path string, seq uint64, every time.Duration) iter.Seq2[*Entry, error] {
	return func(yield func(*Entry, error) bool) {
		f := &follower{path: path, seq: seq}
		defer f.close()
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			more, err := f.look(yield)
			if err != nil {
				yield(nil, err)
				return
			}
			if !more {
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}
}

// follower is a place in a log.
type follower struct {
	path string
	seq  uint64 // of the last record that was returned
	f    *os.File
	rest []byte // of a line that has no end yet
}

func (f *follower) close() {
	if f.f != nil {
		f.f.Close()
	}
}

// look returns what is new. It reports whether more is wanted.
func (f *follower) look(yield func(*Entry, error) bool) (bool, error) {
	for {
		if f.f == nil {
			if more, err := f.next(yield); !more || err != nil || f.f == nil {
				return more, err
			}
		}
		// Whether the path names another file is asked before the last of this one is read.
		ours, err := f.f.Stat()
		if err != nil {
			return false, err
		}
		theirs, err := os.Stat(f.path)
		replaced := err != nil || !os.SameFile(ours, theirs)
		b, err := io.ReadAll(f.f)
		if err != nil {
			return false, err
		}
		f.rest = append(f.rest, b...)
		for {
			raw, rest, found := bytes.Cut(f.rest, []byte{'\n'})
			if !found {
				break
			}
			f.rest = rest
			if !f.take(bytes.Clone(raw), yield) {
				return false, nil
			}
		}
		if !replaced {
			return true, nil
		}
		f.f.Close()
		f.f = nil
	}
}

// next returns what is new in the files that were set aside since, and opens the one that is
// written, if there is one. It reports whether more is wanted.
func (f *follower) next(yield func(*Entry, error) bool) (bool, error) {
	old, current, err := snapshot(f.path)
	if err != nil {
		return false, err
	}
	f.f, f.rest = current, nil
	for _, name := range old {
		if filepath.Base(name) <= filepath.Base(RotatedName(f.path, f.seq)) {
			continue // its last record is known
		}
		err := EachLine(name, func(_ int, raw []byte, _ bool) bool { return f.take(raw, yield) })
		switch {
		case errors.Is(err, errStopped):
			return false, nil
		case err != nil && !errors.Is(err, os.ErrNotExist): // one that is gone was removed by age
			return false, err
		}
	}
	return true, nil
}

// take returns the record of a line, if it is one and new. It reports whether more is wanted.
func (f *follower) take(raw []byte, yield func(*Entry, error) bool) bool {
	l, err := ParseLine(raw)
	if err != nil || l.Seq <= f.seq {
		return true
	}
	f.seq = l.Seq
	return yield(&l.Entry, nil)
}
