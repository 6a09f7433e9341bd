package audit_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hearthhost/hearth/audit"
	"github.com/hearthhost/hearth/audit/trail"
	"github.com/hearthhost/hearth/object"
)

// decision is a record of a principal's call.
func decision(who object.Principal, permit bool, id object.ID, m object.Method) *audit.Record {
	return &audit.Record{
		Event:  "call",
		Permit: permit,
		Caller: &object.Caller{Principal: who},
		Object: id,
		Method: m,
		Reason: "a rule",
	}
}

// flood writes n permits of bob for one method, so that files rotate.
func flood(t *testing.T, l *audit.Log, n int) {
	t.Helper()
	for range n {
		if err := l.Write(decision("bob", true, "acme.counter", "add")); err != nil {
			t.Fatal(err)
		}
	}
}

// find returns the texts of the records of a log that a function chooses.
func find(t *testing.T, path string, which func(*trail.Entry) bool) []string {
	t.Helper()
	var out []string
	last := uint64(0)
	for e, err := range trail.Entries(path) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Seq <= last {
			t.Fatalf("record %d follows %d", e.Seq, last)
		}
		last = e.Seq
		if which(e) {
			fields := []string{e.Event, e.Decision, e.Principal, e.Object, e.Method, e.Detail}
			fields = slices.DeleteFunc(fields, func(s string) bool { return s == "" })
			out = append(out, strings.Join(fields, " "))
		}
	}
	return out
}

// TestEvidenceIsKept: a flood of permits rotates files away, and denials, changes and the first permits stay.
func TestEvidenceIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l := open(t, audit.Config{Path: path, Rotate: 4 << 10, Keep: 2})
	for _, r := range []*audit.Record{
		decision("mallory", false, "acme.till", "empty"),
		{Event: "connect", Caller: &object.Caller{Principal: object.Anonymous}, Reason: "denied: a stranger"},
		{Event: "see", Caller: &object.Caller{Principal: "mallory"}, Object: "acme.till", Reason: "denied: not there"},
		decision("alice", true, "acme.counter", "total"),
		decision("alice", true, "acme.counter", "total"),
		decision("alice", true, "acme.counter", "total="),
	} {
		if err := l.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Note("policy changed", "detail", "abc"); err != nil {
		t.Fatal(err)
	}
	flood(t, l, 2000)
	l.Close()
	want := []string{
		"call deny mallory acme.till empty",
		"connect deny anonymous",
		"see deny mallory acme.till",
		"call permit alice acme.counter total",
		"call permit alice acme.counter total=",
		"policy changed abc",
		"call permit bob acme.counter add",
	}
	old := uint64(0)
	got := find(t, path, func(e *trail.Entry) bool {
		old++
		return e.Event != "open" && e.Event != "kept" && e.Event != "stop" && old <= 9
	})
	if len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
		t.Errorf("the oldest records are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if files, err := audit.Files(path); err != nil || len(files) > 4 { // the record of the end may begin another
		t.Errorf("files %v, %v; want two old ones and the last", files, err)
	}
	intact(t, path)

	// The log continues, and so does the file.
	l = open(t, audit.Config{Path: path, Rotate: 4 << 10, Keep: 2})
	if err := l.Write(decision("mallory", false, "acme.till", "sell")); err != nil {
		t.Fatal(err)
	}
	flood(t, l, 500)
	l.Close()
	if got := find(t, path, func(e *trail.Entry) bool { return e.Principal == "mallory" }); len(got) != 3 {
		t.Errorf("of mallory: %q", got)
	}
	intact(t, path)
}

// TestEvidenceHasShares: a flood of denials of one principal, of one tenant's objects or of unknown peers displaces the
// flooder's records only, the oldest repeats first.
func TestEvidenceHasShares(t *testing.T) {
	for name, flooder := range map[string]func(i int) object.Principal{
		"a principal": func(int) object.Principal { return "mallory" },
		"strangers":   func(int) object.Principal { return object.Anonymous },
		"objects":     func(i int) object.Principal { return object.Principal(fmt.Sprintf("object:bad.o%d", i)) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "audit.jsonl")
			l := open(t, audit.Config{Path: path, Rotate: 64 << 10, Keep: 1})
			put := func(r *audit.Record) {
				if err := l.Write(r); err != nil {
					t.Fatal(err)
				}
			}
			for i := range 3 {
				put(decision("alice", false, "acme.till", object.Method(fmt.Sprintf("m%d", i))))
			}
			put(decision(flooder(0), false, "acme.till", "rare"))
			for range 3000 {
				put(decision(flooder(0), false, "acme.till", "again"))
			}
			flood(t, l, 1000)
			if got := find(t, path, func(e *trail.Entry) bool { return e.Method == "rare" }); len(got) != 1 {
				t.Errorf("repeats pushed out a record: %q", got)
			}
			for i := range 5000 {
				put(decision(flooder(i), false, "acme.till", object.Method(fmt.Sprintf("n%d", i))))
				put(decision(flooder(i), true, "acme.till", object.Method(fmt.Sprintf("n%d", i))))
			}
			flood(t, l, 2000)
			l.Close()
			if got := find(t, path, func(e *trail.Entry) bool { return e.Principal == "alice" }); len(got) != 3 {
				t.Errorf("of alice: %q", got)
			}
			newest := func(e *trail.Entry) bool { return e.Method == "n4999" && e.Decision == "deny" }
			if got := find(t, path, newest); len(got) != 1 {
				t.Errorf("the newest of the flood: %q", got)
			}
			intact(t, path)
			info, err := os.Stat(filepath.Join(filepath.Dir(path), "audit-kept.jsonl"))
			if err != nil {
				t.Fatal(err)
			}
			if n := info.Size(); n > 2*audit.MaxShare || n < audit.MaxShare/2 || info.Mode().Perm() != 0o600 {
				t.Errorf("the kept file: %v, %v", info, err)
			}
		})
	}
}

// TestKeptFileIsVouchedFor: a kept file that was changed, cut, taken out or exchanged for an older one shows,
// and an update that a crash cut off does not count as that.
func TestKeptFileIsVouchedFor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	keptPath := filepath.Join(filepath.Dir(path), "audit-kept.jsonl")
	grow := func(m object.Method) []byte {
		t.Helper()
		l := open(t, audit.Config{Path: path, Rotate: 4 << 10, Keep: 3})
		if err := l.Write(decision("mallory", false, "acme.till", m)); err != nil {
			t.Fatal(err)
		}
		flood(t, l, 100)
		l.Close()
		b, err := os.ReadFile(keptPath)
		if err != nil {
			t.Fatal(err)
		}
		intact(t, path)
		return b
	}
	older, old := grow("a"), grow("b")
	now := grow("c")
	put := func(name string, b []byte) {
		t.Helper()
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for what, b := range map[string][]byte{
		"one byte":     bytes.Replace(now, []byte("mallory"), []byte("malloru"), 1),
		"the end":      now[:len(now)-5],
		"a line":       now[bytes.IndexByte(now, '\n')+1:],
		"an older one": older,
		"an old one":   old,
		"everything":   nil,
	} {
		if put(keptPath, b); b == nil {
			os.Remove(keptPath)
		}
		r, err := trail.Verify(path)
		if err != nil || len(r.Problems) != 1 || !strings.Contains(r.Problems[0], "audit-kept.jsonl") {
			t.Errorf("%s: %+v, %v", what, r, err)
		}
	}
	put(keptPath, now)
	intact(t, path)

	// A change that was made while no host ran stays visible after the next one.
	put(keptPath, bytes.Replace(now, []byte("mallory"), []byte("malloru"), 1))
	l := open(t, audit.Config{Path: path, Rotate: 4 << 10, Keep: 8})
	if err := l.Write(decision("mallory", false, "acme.till", "d")); err != nil {
		t.Fatal(err)
	}
	flood(t, l, 80)
	l.Close()
	if r, err := trail.Verify(path); err != nil || !strings.Contains(strings.Join(r.Problems, ""), "kept") {
		t.Errorf("changed between two hosts: %+v, %v", r, err)
	}
}

// TestKeptFileCutOff: a host that is killed between the record about the kept file and its renaming.
func TestKeptFileCutOff(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	keptPath := filepath.Join(filepath.Dir(path), "audit-kept.jsonl")
	l := open(t, audit.Config{Path: path, Rotate: 8 << 10, Keep: 1})
	flood(t, l, 200)
	l.Close()
	before, err := os.ReadFile(keptPath)
	if err != nil {
		t.Fatal(err)
	}
	l = open(t, audit.Config{Path: path, Rotate: 8 << 10, Keep: 1})
	if err := l.Write(decision("mallory", false, "acme.till", "x")); err != nil {
		t.Fatal(err)
	}
	flood(t, l, 80)
	l.Close()
	after, err := os.ReadFile(keptPath)
	if err != nil || bytes.Equal(before, after) {
		t.Fatalf("the kept file did not change: %v", err)
	}
	for _, err := range []error{os.WriteFile(keptPath+".new", after, 0o600), os.WriteFile(keptPath, before, 0o600)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if r := intact(t, path); !strings.Contains(strings.Join(r.Notes, "\n"), "cut off") {
		t.Errorf("%+v", r)
	}
	l = open(t, audit.Config{Path: path, Rotate: 8 << 10, Keep: 1})
	flood(t, l, 200)
	l.Close()
	intact(t, path)
}

// TestEvidenceBeforeRemoval: as long as the kept file cannot be written, no old file is removed.
func TestEvidenceBeforeRemoval(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	keptPath := filepath.Join(filepath.Dir(path), "audit-kept.jsonl")
	if err := os.WriteFile(keptPath, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	var log syncLog
	l := open(t, audit.Config{Path: path, Rotate: 4 << 10, Keep: 1, Log: slog.New(slog.NewTextHandler(&log, nil))})
	flood(t, l, 200)
	l.Close()
	if files, err := audit.Files(path); err != nil || len(files) < 5 {
		t.Errorf("files %v, %v; want all", files, err)
	}
	if !strings.Contains(log.String(), "chmod 600 ") {
		t.Errorf("the log:\n%s", log.String())
	}
	if err := os.Remove(keptPath); err != nil {
		t.Fatal(err)
	}
	l = open(t, audit.Config{Path: path, Rotate: 4 << 10, Keep: 1})
	l.Close()
	if files, err := audit.Files(path); err != nil || len(files) > 3 {
		t.Errorf("files %v, %v; want one old one and the last", files, err)
	}
	intact(t, path)
}

// syncLog is a text that several goroutines write.
type syncLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *syncLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *syncLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
