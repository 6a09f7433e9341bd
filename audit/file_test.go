package audit_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hearthhost/hearth/audit"
	"github.com/hearthhost/hearth/audit/trail"
)

func TestRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l := open(t, audit.Config{Path: path, Rotate: 2000, Keep: 3})
	write(t, l, 0, 100)
	l.Close()
	files, err := audit.Files(path)
	if err != nil || len(files) < 4 || len(files) > 5 { // the record of the end may begin another
		t.Fatalf("%v, %v", files, err)
	}
	r := intact(t, path)
	if r.First == 1 || len(r.Notes) != 2 ||
		!strings.Contains(r.Notes[0], "were removed") || !strings.Contains(r.Notes[1], "audit-kept.jsonl: ") {
		t.Errorf("%+v", r)
	}
	// Lines taken from the end or the beginning of a file in the middle.
	middle, err := os.ReadFile(files[1])
	if err != nil {
		t.Fatal(err)
	}
	all := bytes.SplitAfter(bytes.TrimSuffix(middle, []byte("\n")), []byte("\n"))
	for what, left := range map[string][][]byte{
		"its last line":     all[:len(all)-1],
		"all but its first": all[:1],
		"its first line":    all[1:],
		"its second line":   slices.Delete(slices.Clone(all), 1, 2),
	} {
		if err := os.WriteFile(files[1], bytes.Join(left, nil), 0o600); err != nil {
			t.Fatal(err)
		}
		if r, err := trail.Verify(path); err != nil || r.Problems == nil {
			t.Errorf("%s is missing in the middle: %+v, %v", what, r, err)
		}
	}
	if err := os.Remove(files[1]); err != nil {
		t.Fatal(err)
	}
	if r, err := trail.Verify(path); err != nil || r.Problems == nil || !strings.Contains(r.Problems[0], "missing") {
		t.Errorf("a file taken out of the middle: %+v, %v", r, err)
	}
}

// TestRestartAfterRotation: the file that is written is missing, as after a crash between
// setting the old one aside and beginning the new one.
func TestRestartAfterRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l := open(t, audit.Config{Path: path})
	write(t, l, 0, 5)
	l.Close()
	if err := os.Rename(path, filepath.Join(filepath.Dir(path), "audit-00000000000000000007.jsonl")); err != nil {
		t.Fatal(err)
	}
	l = open(t, audit.Config{Path: path})
	write(t, l, 5, 6)
	if r := intact(t, path); r.Files != 2 || r.First != 1 || r.Last != 9 {
		t.Errorf("%+v", r)
	}
}

func TestTornLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l := open(t, audit.Config{Path: path})
	write(t, l, 0, 5)
	l.Close()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, cut := range []int{1, 20, 100} {
		if err := os.WriteFile(path, append(bytes.Clone(b), b[len(b)/2:len(b)-cut]...), 0o600); err != nil {
			t.Fatal(err)
		}
		l := open(t, audit.Config{Path: path})
		write(t, l, 5, 6)
		l.Close()
		r, err := trail.Verify(path)
		if err != nil {
			t.Fatal(err)
		}
		if cut != 1 && !slices.ContainsFunc(r.Notes, func(n string) bool { return strings.Contains(n, "cut off") }) {
			t.Errorf("cut %d: %+v", cut, r)
		}
	}
}

func TestNotOurs(t *testing.T) {
	dir := t.TempDir()
	refused := func(path, want string) {
		t.Helper()
		l, err := audit.Open(audit.Config{Path: path, Permits: 1})
		if err == nil {
			l.Close()
			t.Errorf("%s was opened", path)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	path := filepath.Join(dir, "log")
	l := open(t, audit.Config{Path: path})
	refused(path, "another host")
	l.Close()
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	refused(path, "chmod 600")
	if err := os.Symlink(path, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	refused(filepath.Join(dir, "link"), "opening")
	refused(dir, "opening")
	if err := os.WriteFile(filepath.Join(dir, "text"), bytes.Repeat([]byte("not a log\n"), 20_000), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(filepath.Join(dir, "text"), "move the file away")
}

// TestVanished removes, replaces and changes the file under a running log.
func TestVanished(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	for what, harm := range map[string]func() error{
		"removed":  func() error { return os.Remove(path) },
		"replaced": func() error { return errors.Join(os.Remove(path), os.WriteFile(path, []byte("x\n"), 0o600)) },
		"linked":   func() error { return errors.Join(os.Remove(path), os.Symlink("/etc/passwd", path)) },
		"emptied":  func() error { return os.Truncate(path, 0) },
		"cut":      func() error { return os.Truncate(path, 100) },
		"added to": func() error {
			f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteString("{}")
			return errors.Join(err, f.Close())
		},
	} {
		os.RemoveAll(path)
		l := open(t, audit.Config{Path: path})
		write(t, l, 0, 5)
		if err := harm(); err != nil {
			t.Fatal(err)
		}
		l.Look()
		write(t, l, 5, 6)
		l.Close()
		r, err := trail.Verify(path)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		if r.Problems == nil && r.Notes == nil {
			t.Errorf("%s: nothing shows: %+v", what, r)
		}
		if r.Last != 8 { // open, 5, open, 1, stop less
			if r.Last != 9 {
				t.Errorf("%s: the numbers do not continue: %+v", what, r)
			}
		}
	}
}

// TestVanishedUnseen removes the file of an idle log.
func TestVanishedUnseen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l := open(t, audit.Config{Path: path})
	write(t, l, 0, 3)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(path); err == nil {
			break
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("nobody noticed")
		}
	}
	l.Close()
	if r := intact(t, path); r.First != 5 || len(r.Notes) != 2 || !strings.Contains(r.Notes[1], "removed or replaced") {
		t.Errorf("%+v", r)
	}
}
