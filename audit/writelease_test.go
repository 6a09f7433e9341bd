package audit_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hearthhost/hearth/audit"
)

// handOver opens the log of a host for its successor.
func handOver(t *testing.T, old *audit.Log, cfg audit.Config) *audit.Log {
	t.Helper()
	from, err := old.Share()
	if err != nil {
		t.Fatal(err)
	}
	cfg.From = from
	return open(t, cfg)
}

// TestSharedLog hands a log from host to host while many callers write to both hosts. The log has one chain with each
// record once.
func TestSharedLog(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	cfg := audit.Config{Path: path, Rotate: 20 << 10}
	l := open(t, cfg)
	const generations, callers, each = 5, 4, 25
	for range generations {
		next := handOver(t, l, cfg)
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() { write(t, l, 0, each) })
			wg.Go(func() { write(t, next, 0, each) })
		}
		wg.Wait()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		next.EndSharing()
		l = next
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	r := intact(t, path)
	// The first open record, an open and a stop record per host, and the open records of rotations.
	want := uint64(generations*(2*callers*each+2) + 2 + r.Files - 1)
	if r.Records != want || r.First != 1 || r.Last != want || len(r.Notes) != 0 {
		t.Errorf("%+v, want %d records", r, want)
	}
	if r.Files < 2 {
		t.Error("nothing was rotated between the handovers")
	}
	if _, err := os.Stat(path + ".turn"); !os.IsNotExist(err) {
		t.Errorf("the lock file of the write lease remains: %v", err)
	}
}

// TestSharedLogExcludesOthers: a third host cannot open a log that two hosts share, nor after the first one has ended.
func TestSharedLogExcludesOthers(t *testing.T) {
	t.Parallel()
	cfg := audit.Config{Path: filepath.Join(t.TempDir(), "audit.jsonl"), Permits: 1}
	old := open(t, cfg)
	refused := func(when string) {
		if l, err := audit.Open(cfg); err == nil {
			l.Close()
			t.Errorf("%s: a third host opened the log", when)
		}
	}
	next := handOver(t, old, cfg)
	write(t, old, 0, 3)
	refused("while both write")
	if _, err := old.Share(); err == nil {
		t.Error("a third host may share")
	}
	old.Close()
	refused("after the old one has ended")
	next.EndSharing()
	refused("alone")
	write(t, next, 0, 3)
	if err := next.Close(); err != nil {
		t.Fatal(err)
	}
	intact(t, cfg.Path)
}

// TestSuccessorGivesUp: the old host continues without its successor.
func TestSuccessorGivesUp(t *testing.T) {
	t.Parallel()
	cfg := audit.Config{Path: filepath.Join(t.TempDir(), "audit.jsonl"), Permits: 1}
	old := open(t, cfg)
	next := handOver(t, old, cfg)
	write(t, next, 0, 2)
	next.Close()
	old.EndSharing()
	write(t, old, 0, 2)
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	// open; open, 2, stop of the other; 2, stop
	if r := intact(t, cfg.Path); r.Records != 8 || r.Notes != nil {
		t.Errorf("%+v", r)
	}
}

// TestSuccessorDiesWriting: an incomplete line of the other host is noted and is not a break.
func TestSuccessorDiesWriting(t *testing.T) {
	t.Parallel()
	cfg := audit.Config{Path: filepath.Join(t.TempDir(), "audit.jsonl"), Permits: 1}
	old := open(t, cfg)
	next := handOver(t, old, cfg)
	write(t, next, 0, 2)
	f, err := os.OpenFile(cfg.Path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"seq":5,"time":"2027-`); err != nil {
		t.Fatal(err)
	}
	f.Close()
	write(t, old, 0, 2)
	old.Close()
	if r := intact(t, cfg.Path); len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "cut off") {
		t.Errorf("%+v", r)
	}
}

// TestAnotherLogIsNotShared: the new host's policy has another file.
func TestAnotherLogIsNotShared(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	old := open(t, audit.Config{Path: filepath.Join(dir, "a.jsonl")})
	next := handOver(t, old, audit.Config{Path: filepath.Join(dir, "b.jsonl")})
	write(t, next, 0, 2)
	write(t, old, 0, 3)
	old.Close()
	next.Close()
	for name, records := range map[string]uint64{"a.jsonl": 5, "b.jsonl": 4} {
		if r := intact(t, filepath.Join(dir, name)); r.Records != records {
			t.Errorf("%s: %+v", name, r)
		}
	}
}
