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

// Matches reports whether the entry has the event, decision, principal, object and method of a query. Empty fields of
// the query match all entries.
func (e *Entry) Matches(query *Entry) bool {
	same := func(have, sought string) bool { return sought == "" || have == sought }
	return same(e.Event, query.Event) && same(e.Decision, query.Decision) &&
		same(e.Principal, query.Principal) && same(e.Object, query.Object) &&
		(same(e.Method, query.Method) || slices.Contains(e.Methods, query.Method))
}

// Holds reports whether a record of the log has this hash, in hexadecimal.
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

// Entries returns the records of a log, oldest first. The first are the kept records of removed files. Lines that are
// not records are skipped; [Verify] reports them. The error comes last.
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
	begun := false // whether the kept records were read
	first := func(seq uint64) error {
		begun = true
		return eachKept(path, seq, f)
	}
	each := func(_ int, raw []byte, _ bool) bool {
		l, err := ParseLine(raw)
		return err != nil || f(&l.Entry)
	}
	for _, name := range old {
		// A missing file was removed by age. Its evidence is in the kept file, which is read after the next file is
		// open.
		h, err := os.Open(name) //nolint:gosec // the operator names the log
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
		_, err = os.Stat(path) // the error reports the missing file
		return err
	}
	return nil
}

// firstSeq returns the number of the first record of a file, the largest number if the file has no record. It rewinds
// the file.
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

// eachKept calls f with each kept record whose number is below before.
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
