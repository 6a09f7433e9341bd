package audit_test

import (
	"bytes"
	"errors"
	"log/slog"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hearthhost/hearth/audit"
	"github.com/hearthhost/hearth/audit/trail"
)

// lines is a log that can be read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.b.String(), text)
}

// await waits until something is so.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !so(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("waiting for %s: never", what)
		}
	}
}

// TestDiskHangs: while a write hangs the watchdog logs it, decisions that wait are let go as not executed and new ones
// do not wait; posted records are queued. When the disk answers again, all records are in the log, in one chain.
func TestDiskHangs(t *testing.T) {
	hang, goOn, restore := audit.HangWrites()
	defer restore()
	log := new(lines)
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l, err := audit.Open(audit.Config{Path: path, Permits: 1, Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	defer goOn()
	hang()
	first := make(chan error, 1)
	permit := record(1)
	permit.Permit = true
	go func() { first <- l.Write(permit) }() // it writes for all
	await(t, "a line about the write", func() bool {
		return log.has("level=WARN") && log.has("audit log: write has not finished for ")
	})
	if l.Stalled() == 0 {
		t.Error("Stalled() = 0 while a write hangs")
	}
	await(t, "a refusal", func() bool {
		// One that leads the next batch would wait, as the first does.
		refused := make(chan error, 1)
		go func() { refused <- l.Write(permit) }()
		select {
		case err := <-refused:
			return errors.Is(err, audit.ErrUnwritten)
		case <-time.After(30 * time.Millisecond):
			return false
		}
	})
	l.PostNote("policy changed", "detail", "while it hung")
	denial := record(2)
	denial.Permit = false
	if err := l.Write(denial); err != nil { // it does not wait
		t.Errorf("a denial: %v", err)
	}
	if _, err := l.Share(); err == nil {
		t.Error("it was shared while a write hung")
	}
	select {
	case err := <-first:
		t.Errorf("the write that hangs: %v", err)
	default:
	}
	goOn()
	if err := <-first; err != nil {
		t.Errorf("the write that hung: %v", err)
	}
	await(t, "the log to take decisions again", func() bool { return l.Write(permit) == nil })
	await(t, "a line about the end", func() bool {
		return log.has("level=INFO") && log.has("audit log: write has finished")
	})
	await(t, "the end of the stall", func() bool { return l.Stalled() == 0 })
	if err := l.Note("mark"); err != nil {
		t.Fatal(err)
	}
	if r, err := trail.Verify(path); err != nil || len(r.Problems) > 0 {
		t.Errorf("Verify() = %+v, %v", r, err)
	}
	found := map[string]bool{}
	for e, err := range trail.Entries(path) {
		if err != nil {
			t.Fatal(err)
		}
		found[e.Event+e.Decision] = true
	}
	for _, want := range []string{"callpermit", "calldeny", "policy changed", "mark"} {
		if !found[want] {
			t.Errorf("no %s in the log: %v", want, found)
		}
	}
}

// TestLateDecisions: of decisions that wait for a write which hangs, those whose records are collected are refused, and
// the log counts them.
func TestLateDecisions(t *testing.T) {
	hang, goOn, restore := audit.HangWrites()
	defer restore()
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l, err := audit.Open(audit.Config{Path: path, Permits: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	defer goOn()
	hang()
	const callers = 20
	results := make(chan error, callers)
	for range callers {
		go func() {
			r := record(1)
			r.Permit = true
			results <- l.Write(r)
		}()
	}
	for range callers - 2 { // but one that writes, and one that leads the next batch
		if err := <-results; !errors.Is(err, audit.ErrUnwritten) {
			t.Errorf("Write() = %v", err)
		}
	}
	goOn()
	permitted := uint64(0)
	for range 2 {
		if err := <-results; err == nil {
			permitted++
		}
	}
	for range 2 { // the second is in a batch behind that of the late ones
		if err := l.Note("mark"); err != nil {
			t.Fatal(err)
		}
	}
	var records, late uint64
	for e, err := range trail.Entries(path) {
		if err != nil {
			t.Fatal(err)
		}
		switch e.Event {
		case "call":
			records++
		case "late":
			n, err := e.Count.Int64()
			if err != nil {
				t.Fatal(err)
			}
			late += uint64(n)
		}
	}
	if records != permitted+late || late == 0 {
		t.Errorf("%d records of %d permitted calls, %d reported late", records, permitted, late)
	}
}

// TestCloseWhileDiskHangs: the end of the host does not wait for the disk.
func TestCloseWhileDiskHangs(t *testing.T) {
	hang, goOn, restore := audit.HangWrites()
	defer restore()
	l, err := audit.Open(audit.Config{Path: filepath.Join(t.TempDir(), "audit.jsonl"), Permits: 1})
	if err != nil {
		t.Fatal(err)
	}
	hang()
	first := make(chan error, 1)
	go func() { first <- l.Write(record(1)) }()
	await(t, "the write to hang", func() bool { return l.Stalled() > 0 })
	if err := l.Close(); err == nil {
		t.Error("Close() = nil while a write hangs")
	}
	goOn()
	<-first
	_ = l.Close()
}
