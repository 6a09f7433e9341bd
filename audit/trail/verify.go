package trail

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Report is what [Verify] found.
type Report struct {
	Files   int    `json:"files"`
	Records uint64 `json:"records"`
	First   uint64 `json:"first"` // number of the oldest record
	Last    uint64 `json:"last"`
	Head    string `json:"head"` // the hash of the newest
	// Notes are what an auditor should know and what is no break of the chain: files that
	// were removed by age, lines that a crash cut off, files that vanished while the host
	// wrote them.
	Notes []string `json:"notes,omitempty"`
	// Problems are breaks: what was changed, inserted or taken out, each with its place.
	Problems []string `json:"problems,omitempty"`
}

// maxProblems bounds how many are listed.
const maxProblems = 20

// Verify recomputes the whole chain of a log. The error says that it could not be read; a
// chain that is broken is in the report.
func Verify(path string) (*Report, error) {
	old, current, err := snapshot(path)
	if err != nil {
		return nil, err
	}
	if current != nil {
		defer current.Close()
	}
	v := &verifier{}
	for i, name := range old {
		v.file(name)
		err := EachLine(name, v.line)
		if errors.Is(err, os.ErrNotExist) {
			v.gone(old[:i])
			continue
		}
		if err != nil {
			return nil, err
		}
		v.report.Files++
	}
	v.file(path)
	if current == nil {
		v.note("there is no %s: the log ends with an older file", v.name)
	} else {
		if err := ScanLines(current, path, v.line); err != nil {
			return nil, err
		}
		v.report.Files++
	}
	if v.torn != "" {
		v.note("%s", v.torn)
	}
	if err := v.checkKept(path); err != nil {
		return nil, err
	}
	if v.report.Records == 0 {
		return nil, fmt.Errorf("%s: there is no audit log, or it is empty", path)
	}
	v.report.Head = hex.EncodeToString(v.head[:])
	return &v.report, nil
}

type verifier struct {
	report Report
	name   string
	fresh  bool   // no line of the file was read yet
	begun  bool   // a record was read
	torn   string // a line that is no record, which an open record has to follow
	head   [sha256.Size]byte
	kept   *Entry // the last record that vouches for the kept file
}

// file begins with the next file.
func (v *verifier) file(name string) { v.name, v.fresh = filepath.Base(name), true }

// gone is told of a file that was there a moment ago. A host that runs removes the oldest: if
// all before it are gone too, the log now begins after it, and what was read is no part of it
// any more. Else it was taken out, which the next file shows.
func (v *verifier) gone(before []string) {
	for _, name := range before {
		if _, err := os.Lstat(name); !errors.Is(err, os.ErrNotExist) {
			return
		}
	}
	v.begun, v.torn, v.kept = false, "", nil
	v.report.Files, v.report.Records = 0, 0
}

func (v *verifier) note(format string, args ...any) {
	v.report.Notes = append(v.report.Notes, fmt.Sprintf(format, args...))
}

func (v *verifier) problem(n int, format string, args ...any) {
	if len(v.report.Problems) < maxProblems {
		v.report.Problems = append(v.report.Problems, fmt.Sprintf("%s:%d: ", v.name, n)+fmt.Sprintf(format, args...))
	}
}

func (v *verifier) line(n int, raw []byte, whole bool) bool {
	fresh := v.fresh
	v.fresh = false
	l, err := ParseLine(raw)
	if err != nil {
		if v.torn != "" {
			v.problem(n-1, "not a record")
		}
		v.torn = fmt.Sprintf("%s:%d: a line that was cut off", v.name, n)
		return true
	}
	if !whole {
		v.torn = fmt.Sprintf("%s:%d: the last line has no end yet", v.name, n)
		return true
	}
	if v.torn != "" {
		if l.Event == "open" {
			v.note("%s", v.torn)
		} else {
			v.problem(n-1, "not a record")
		}
		v.torn = ""
	}
	prev := v.head
	if l.Event == "open" {
		v.open(n, l, fresh, &prev)
	} else if fresh {
		v.problem(n, "the file does not begin with an open record: its beginning was taken out")
	}
	if v.begun && l.Seq != v.report.Last+1 {
		v.problem(n, "record %d follows record %d: what was between them is missing", l.Seq, v.report.Last)
	}
	if Link(prev, l.hashed) != l.Digest {
		v.problem(n, "record %d was changed, or what was before it", l.Seq)
	}
	if l.Event == "kept" {
		v.vouched(n, &l.Entry)
	}
	if !v.begun {
		v.begun, v.report.First = true, l.Seq
	}
	v.report.Records++
	v.report.Last, v.head = l.Seq, l.Digest
	return true
}

// open checks an open record, which says on which hash it goes on.
func (v *verifier) open(n int, l *Line, fresh bool, prev *[sha256.Size]byte) {
	said, err := hex.DecodeString(l.Prev)
	if err != nil || len(said) != sha256.Size {
		v.problem(n, "an open record without a hash to go on from")
		return
	}
	switch {
	case !v.begun && l.Seq > 1:
		copy(prev[:], said)
		v.note("records before %d are not here any more", l.Seq)
	case !v.begun:
		copy(prev[:], said)
	case [sha256.Size]byte(said) != v.head && l.Seq > v.report.Last+1:
		v.problem(n, "records %d to %d are missing", v.report.Last+1, l.Seq-1)
		v.report.Last = l.Seq - 1
		copy(prev[:], said)
	}
	if !fresh && l.Why == "rotation" || l.Why == "the file was removed or replaced" || l.Why == "the file was changed by somebody else" {
		v.note("%s:%d: %s", v.name, n, l.Why)
	}
}

// vouched checks that a record about the kept file goes on from the one before.
func (v *verifier) vouched(n int, e *Entry) {
	switch last := v.kept; {
	case last == nil || e.Prev == last.Sum:
	case e.Prev == last.Prev:
		v.note("%s:%d: the change of the kept file in record %d was cut off", v.name, n, last.Seq)
	default:
		v.problem(n, "the kept file was changed between records %d and %d", last.Seq, e.Seq)
	}
	v.kept = e
}

// checkKept compares the kept file with the record that vouches for it. A host that runs may change both.
func (v *verifier) checkKept(path string) error {
	const tries = 10
	name := filepath.Base(KeptName(path))
	var sum string
	for range tries {
		before, count, err := sumOf(KeptName(path))
		if err != nil {
			return err
		}
		newest, err := newestKept(path)
		if err != nil {
			return err
		}
		if sum, _, err = sumOf(KeptName(path)); err != nil {
			return err
		}
		if sum != before {
			continue
		}
		switch {
		case newest == nil && sum == "":
			return nil
		case newest == nil:
			v.report.Problems = append(v.report.Problems, name+": no record of the log vouches for this file")
			return nil
		case newest.Sum == sum:
			v.note("%s: %d records of files that are not here any more", name, count)
			return nil
		case newest.Prev == sum:
			if next, _, err := sumOf(NewKeptName(path)); err == nil && next == newest.Sum {
				v.note("%s: its change in record %d was cut off, or is under way", name, newest.Seq)
				return nil
			}
		}
	}
	v.report.Problems = append(v.report.Problems, name+": it was changed or taken out: the log vouches for another")
	return nil
}

// newestKept returns the newest record that vouches for the kept file, nil if there is none.
func newestKept(path string) (newest *Entry, err error) {
	err = eachEntry(path, func(e *Entry) bool {
		if e.Event == "kept" {
			newest = e
		}
		return true
	})
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return newest, err
}

// sumOf returns the SHA-256 of a kept file, "" if there is none, and how many records it has.
func sumOf(name string) (sum string, records int, err error) {
	b, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return "", 0, nil
	}
	if err != nil {
		return "", 0, err
	}
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:]), bytes.Count(b, []byte{'\n'}), nil
}
