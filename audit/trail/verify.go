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

// Report is the result of [Verify].
type Report struct {
	Files   int    `json:"files"`
	Records uint64 `json:"records"`
	First   uint64 `json:"first"` // number of the oldest record
	Last    uint64 `json:"last"`  // number of the newest record
	Head    string `json:"head"`  // hash of the newest record
	// Notes are facts that do not break the chain: files removed by age, lines that a crash cut off, files that
	// disappeared while the host wrote them.
	Notes []string `json:"notes,omitempty"`
	// Problems are breaks of the chain: changed, inserted and removed lines, each with file and line.
	Problems []string `json:"problems,omitempty"`
}

// maxProblems bounds the listed problems.
const maxProblems = 20

// Verify recomputes the whole chain of a log. A broken chain is in the report; the error means that the log cannot be
// read.
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
			v.gone(old[:i]) // the running host has removed it
			continue
		}
		if err != nil {
			return nil, err
		}
		v.report.Files++
	}
	v.file(path)
	if current == nil {
		v.note("%s does not exist: the log ends with an older file", v.name)
	} else {
		if err := ScanLines(current, path, v.line); err != nil {
			return nil, err
		}
		v.report.Files++
	}
	if v.torn != "" { // at the end of the log: a crash, or a write in progress
		v.note("%s", v.torn)
	}
	if err := v.checkKept(path); err != nil {
		return nil, err
	}
	if v.report.Records == 0 {
		return nil, fmt.Errorf("%s: the audit log is missing or empty", path)
	}
	v.report.Head = hex.EncodeToString(v.head[:])
	return &v.report, nil
}

type verifier struct {
	report Report
	name   string
	fresh  bool   // no line of the file was read yet
	begun  bool   // a record was read
	torn   string // place of an incomplete line; only an open record may follow it
	head   [sha256.Size]byte
	kept   *Entry // last record with the sum of the kept file
}

// file starts the next file.
func (v *verifier) file(name string) { v.name, v.fresh = filepath.Base(name), true }

// gone handles a file that disappeared after it was listed. A running host removes the oldest files: if all files in
// before are gone too, the log now starts after this file, and the records read so far do not count. Otherwise the file
// was taken out, and the next file shows the gap.
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

// line checks a line. It continues after problems, to report all of them.
func (v *verifier) line(n int, raw []byte, whole bool) bool {
	fresh := v.fresh
	v.fresh = false
	l, err := ParseLine(raw)
	if err != nil {
		if v.torn != "" { // only one incomplete line can be the result of a crash
			v.problem(n-1, "not a record")
		}
		v.torn = fmt.Sprintf("%s:%d: the line was cut off", v.name, n)
		return true
	}
	if !whole {
		v.torn = fmt.Sprintf("%s:%d: the last line is not complete yet", v.name, n)
		return true
	}
	if v.torn != "" {
		if l.Event == "open" { // a restart after the crash
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
		v.problem(n, "the file does not begin with an open record: its beginning was removed")
	}
	if v.begun && l.Seq != v.report.Last+1 {
		v.problem(n, "record %d follows record %d: the records between them are missing", l.Seq, v.report.Last)
	}
	if Link(prev, l.hashed) != l.Digest {
		v.problem(n, "record %d was changed, or a line before it", l.Seq)
	}
	if l.Event == "kept" {
		v.checkKeptRecord(n, &l.Entry)
	}
	if !v.begun {
		v.begun, v.report.First = true, l.Seq
	}
	v.report.Records++
	v.report.Last, v.head = l.Seq, l.Digest
	return true
}

// open checks an open record, which has the hash that the chain continues from.
func (v *verifier) open(n int, l *Line, fresh bool, prev *[sha256.Size]byte) {
	from, err := hex.DecodeString(l.Prev)
	if err != nil || len(from) != sha256.Size {
		v.problem(n, "the open record has no hash to continue from")
		return
	}
	switch {
	case !v.begun && l.Seq > 1:
		copy(prev[:], from) // older files were removed by age
		v.note("records before %d were removed", l.Seq)
	case !v.begun:
		copy(prev[:], from)
	case [sha256.Size]byte(from) != v.head && l.Seq > v.report.Last+1:
		v.problem(n, "records %d to %d are missing", v.report.Last+1, l.Seq-1)
		v.report.Last = l.Seq - 1
		copy(prev[:], from)
	}
	if !fresh && l.Why == WhyRotation || l.Why == WhyReplaced || l.Why == WhyChanged {
		v.note("%s:%d: %s", v.name, n, l.Why)
	}
}

// checkKeptRecord checks that a kept record continues from the previous one.
func (v *verifier) checkKeptRecord(n int, e *Entry) {
	switch last := v.kept; {
	case last == nil || e.Prev == last.Sum:
	case e.Prev == last.Prev:
		v.note("%s:%d: the change of the kept file in record %d was cut off", v.name, n, last.Seq)
	default:
		v.problem(n, "the kept file was changed between records %d and %d", last.Seq, e.Seq)
	}
	v.kept = e
}

// checkKept compares the kept file with the newest kept record. A running host may change both, so it retries.
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
		sum, _, err = sumOf(KeptName(path))
		if err != nil {
			return err
		}
		if sum != before {
			continue
		}
		switch {
		case newest == nil && sum == "":
			return nil
		case newest == nil:
			v.report.Problems = append(v.report.Problems, name+": the log has no record of this file")
			return nil
		case newest.Sum == sum:
			v.note("%s: %d records of removed files", name, count)
			return nil
		case newest.Prev == sum:
			if next, _, err := sumOf(NewKeptName(path)); err == nil && next == newest.Sum {
				v.note("%s: its change in record %d was cut off or is in progress", name, newest.Seq)
				return nil
			}
		}
	}
	v.report.Problems = append(v.report.Problems,
		name+": the file was changed or removed: the log has another hash of it")
	return nil
}

// newestKept returns the newest kept record, nil if the log has none.
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

// sumOf returns the SHA-256 of a kept file and its number of records; "" if it does not exist.
func sumOf(name string) (sum string, records int, err error) {
	b, err := os.ReadFile(name) //nolint:gosec // the operator names the log
	if errors.Is(err, os.ErrNotExist) {
		return "", 0, nil
	}
	if err != nil {
		return "", 0, err
	}
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:]), bytes.Count(b, []byte{'\n'}), nil
}
