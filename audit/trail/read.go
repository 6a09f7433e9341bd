package trail

import (
	"errors"
	"io"
	"iter"
	"math"
	"os"
	"slices"
	"strings"
)

// Matches reports whether the entry has every field that want has, of those a query asks
// for: event, decision, principal, object and method.
func (e *Entry) Matches(want *Entry) bool {
	same := func(have, want string) bool { return want == "" || have == want }
	return same(e.Event, want.Event) && same(e.Decision, want.Decision) && same(e.Principal, want.Principal) &&
		same(e.Object, want.Object) && (same(e.Method, want.Method) || slices.Contains(e.Methods, want.Method))
}

// Holds reports whether a record of the log has a hash.
func Holds(path, hash string) (bool, error) {
	for e, err := range Entries(path) {
		if err != nil {
			return false, err
		}
		if e.Hash == strings.ToLower(hash) {
			return true, nil
		}
	}
	return false, nil
}

// Entries returns the records of a log, oldest first: first those that were kept of files that are removed.
// What is no record is left out; [Verify] finds it. The error comes last.
func Entries(path string) iter.Seq2[*Entry, error] {
	return func(yield func(*Entry, error) bool) {
		err := eachEntry(path, func(e *Entry) bool { return yield(e, nil) })
		if err != nil && !errors.Is(err, errStopped) {
			yield(nil, err)
		}
	}
}

// eachEntry calls f with each record of a log. The error is errStopped if f returned false.
func eachEntry(path string, f func(*Entry) bool) error {
	old, current, err := snapshot(path)
	if err != nil {
		return err
	}
	if current != nil {
		defer current.Close()
	}
	begun := false // the kept records have been read
	first := func(seq uint64) error {
		begun = true
		return eachKept(path, seq, f)
	}
	each := func(_ int, raw []byte, _ bool) bool {
		l, err := ParseLine(raw)
		return err != nil || f(&l.Entry)
	}
	for _, name := range old {
		// One that is gone was removed by age. Its evidence is in the kept file, which is read once a file is open
		// that follows it.
		h, err := os.Open(name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if !begun {
			err = first(firstSeq(h))
		}
		if err == nil {
			err = ScanLines(h, name, each)
		}
		h.Close()
		if err != nil {
			return err
		}
	}
	switch {
	case current != nil:
		if !begun {
			err = first(firstSeq(current))
		}
		if err == nil {
			err = ScanLines(current, path, each)
		}
		return err
	case !begun:
		if err := first(math.MaxUint64); err != nil {
			return err
		}
		_, err = os.Stat(path) // which says that it is missing
		return err
	}
	return nil
}

// firstSeq returns the number of the first record of a file that nothing was read of, the largest number if
// there is none. It leaves the file at its beginning.
func firstSeq(h *os.File) uint64 {
	seq := uint64(math.MaxUint64)
	_ = ScanLines(h, "", func(_ int, raw []byte, _ bool) bool {
		l, err := ParseLine(raw)
		if err == nil {
			seq = l.Seq
		}
		return err != nil
	})
	_, _ = h.Seek(0, io.SeekStart)
	return seq
}

// eachKept calls f with each kept record before a number. A log without a kept file has none.
func eachKept(path string, before uint64, f func(*Entry) bool) error {
	h, err := os.Open(KeptName(path))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer h.Close()
	return ScanLines(h, KeptName(path), func(_ int, raw []byte, _ bool) bool {
		l, err := ParseLine(raw)
		return err != nil || l.Seq >= before || f(&l.Entry)
	})
}
