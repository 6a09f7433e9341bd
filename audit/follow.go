package audit

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"os"
	"time"
)

// Follow returns the records after seq as they come, until ctx is done: it looks at the
// file that often, and goes on with the next when the host begins one.
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
			h, err := os.Open(f.path)
			if errors.Is(err, os.ErrNotExist) {
				return true, nil
			}
			if err != nil {
				return false, err
			}
			f.f, f.rest = h, nil
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
			l, err := parseLine(bytes.Clone(raw))
			if err != nil || l.Seq <= f.seq {
				continue
			}
			f.seq = l.Seq
			if !yield(&l.Entry, nil) {
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
