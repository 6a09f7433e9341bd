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

// Follow returns the records after seq as they are written, until ctx is done. It polls the file at the interval every
// and follows rotations.
func Follow(ctx context.Context, path string, seq uint64, every time.Duration) iter.Seq2[*Entry, error] {
	return func(yield func(*Entry, error) bool) {
		f := &follower{path: path, seq: seq}
		defer f.close()
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			more, err := f.poll(yield)
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

// follower is a position in a log.
type follower struct {
	path string
	seq  uint64 // number of the last returned record
	f    *os.File
	rest []byte // line without '\n' yet
}

func (f *follower) close() {
	if f.f != nil {
		f.f.Close()
	}
}

// poll returns new records. It reports whether the consumer continues.
func (f *follower) poll(yield func(*Entry, error) bool) (bool, error) {
	for {
		if f.f == nil {
			if more, err := f.next(yield); !more || err != nil || f.f == nil {
				return more, err
			}
		}
		// Compare the path before reading: if another file replaced this one, this is its last read.
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

// next returns new records of rotated files and opens the current file, if it exists. It reports whether the consumer
// continues.
func (f *follower) next(yield func(*Entry, error) bool) (bool, error) {
	old, current, err := snapshot(f.path)
	if err != nil {
		return false, err
	}
	f.f, f.rest = current, nil
	for _, name := range old {
		if filepath.Base(name) <= filepath.Base(RotatedName(f.path, f.seq)) {
			continue // all its records were returned
		}
		err := EachLine(name, func(_ int, raw []byte, _ bool) bool { return f.take(raw, yield) })
		switch {
		case errors.Is(err, errStopped):
			return false, nil
		case err != nil && !errors.Is(err, os.ErrNotExist): // a missing file was removed by age
			return false, err
		}
	}
	return true, nil
}

// take returns the record of a line, if it is a new record. It reports whether the consumer continues.
func (f *follower) take(raw []byte, yield func(*Entry, error) bool) bool {
	l, err := ParseLine(raw)
	if err != nil || l.Seq <= f.seq {
		return true
	}
	f.seq = l.Seq
	return yield(&l.Entry, nil)
}
