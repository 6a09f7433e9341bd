package trail

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Reasons of open records.
const (
	WhyRotation = "rotation"
	WhyReplaced = "the file was removed or replaced"
	WhyChanged  = "the file was changed by another process"
)

// RotatedName returns the name of a rotated file whose last record has the number seq. Names sort like numbers.
func RotatedName(path string, seq uint64) string {
	ext := filepath.Ext(path)
	return fmt.Sprintf("%s-%020d%s", strings.TrimSuffix(path, ext), seq, ext)
}

// Rotated returns the rotated files of a log, oldest first.
func Rotated(path string) ([]string, error) {
	ext := filepath.Ext(path)
	base := strings.TrimSuffix(filepath.Base(path), ext) + "-"
	entries, err := os.ReadDir(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		digits, ok := strings.CutPrefix(strings.TrimSuffix(e.Name(), ext), base)
		if ok && len(digits) == 20 && strings.Trim(digits, "0123456789") == "" && strings.HasSuffix(e.Name(), ext) {
			out = append(out, filepath.Join(filepath.Dir(path), e.Name()))
		}
	}
	slices.Sort(out)
	return out, nil
}

// KeptName returns the path of the kept file of a log.
func KeptName(path string) string {
	ext := filepath.Ext(path)
	return strings.TrimSuffix(path, ext) + "-kept" + ext
}

// NewKeptName returns the path of a kept file until it replaces the previous one.
func NewKeptName(path string) string { return KeptName(path) + ".new" }

// snapshot returns the files of a log at one moment: the rotated files, oldest first, and the current file, open; nil
// if it is missing. A running host may rotate and remove files at the same time.
func snapshot(path string) (old []string, current *os.File, err error) {
	const tries = 100 // a try fails only if the log rotates while the names are listed
	missing := false
	for range tries {
		current, err = os.Open(path) //nolint:gosec // the operator's log
		missing = errors.Is(err, os.ErrNotExist)
		if err != nil && !missing {
			return nil, nil, err
		}
		// The first list has all files that were rotated before current was opened. If current was rotated after the
		// first list, the second list has it.
		for range 2 {
			old, err = Rotated(path)
			if err != nil || missing {
				break
			}
			if sameFile(current, path) {
				return old, current, nil
			}
			if i := slices.IndexFunc(old, func(name string) bool { return sameFile(current, name) }); i >= 0 {
				return old[:i], current, nil
			}
		}
		if !missing {
			current.Close()
		}
		if err != nil {
			return nil, nil, err
		}
	}
	if missing {
		return old, nil, nil
	}
	return nil, nil, fmt.Errorf("%s: files rotate faster than they can be read", path)
}

func sameFile(h *os.File, name string) bool {
	ours, err := h.Stat()
	theirs, errName := os.Stat(name)
	return err == nil && errName == nil && os.SameFile(ours, theirs)
}

var errStopped = errors.New("stopped")

// EachLine calls f with each line of a file: its number from 1, its text without '\n', and whether it ends with '\n'.
// It stops with an error if f returns false.
func EachLine(name string, f func(n int, raw []byte, whole bool) bool) error {
	h, err := os.Open(name) //nolint:gosec // the operator's log
	if err != nil {
		return err
	}
	defer h.Close()
	return ScanLines(h, name, f)
}

// ScanLines is [EachLine] for a reader; name is for error texts.
func ScanLines(from io.Reader, name string, f func(n int, raw []byte, whole bool) bool) error {
	r := bufio.NewReaderSize(from, MaxLine)
	for n := 1; ; n++ {
		raw, err := r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return fmt.Errorf("%s:%d: a line longer than %d bytes", name, n, MaxLine)
		}
		whole := err == nil
		if len(raw) > 0 && !f(n, bytes.Clone(bytes.TrimSuffix(raw, []byte("\n"))), whole) {
			return errStopped
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
