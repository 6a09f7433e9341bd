package audit_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/hearthhost/hearth/audit"
)

func TestFailingSink(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l := open(t, audit.Config{Path: path})
	write(t, l, 0, 2)
	mend := l.Break()
	if err := l.Write(record(2)); !errors.Is(err, audit.ErrUnwritten) {
		t.Errorf("a disk that fails: %v", err)
	}
	mend()
	write(t, l, 3, 5)
	if r := intact(t, path); r.Records != 5 {
		t.Errorf("%+v", r)
	}
}

func TestDropAndCount(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l := open(t, audit.Config{Path: path, Drop: true})
	write(t, l, 0, 2)
	if err := l.Note("mark"); err != nil { // and all before it is written
		t.Fatal(err)
	}
	mend := l.Break()
	write(t, l, 2, 5) // no error
	if err := l.Note("mark"); err == nil {
		t.Fatal("a note on a disk that fails")
	}
	mend()
	l.Close()
	// Two, the mark, the line about the dropped, and the end.
	if written, lost := l.Counts(); written != 5 || lost != 4 {
		t.Errorf("Counts() = %d written, %d lost; want 5 and 4", written, lost)
	}
	intact(t, path)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(b, []byte(`"event":"dropped","count":4`)) || bytes.Contains(b, []byte(`"m3"`)) {
		t.Errorf("%s", b)
	}
}

// TestHangingSink: while a disk hangs, a bounded number of records waits. Later records are refused, or counted if the
// policy allows dropping; callers do not wait for counted records.
func TestHangingSink(t *testing.T) {
	for _, drop := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "audit.jsonl")
		l := open(t, audit.Config{Path: path, Drop: drop})
		goOn := l.Hang()
		const bytes = 1 << 20 // of the queue
		var wg sync.WaitGroup
		refused := make(chan error, 1)
		begun, written := 0, 0
		long := record(1)
		long.Reason = strings.Repeat("x", 1000)
		var results []chan error
		for begun < 2*bytes/1000 {
			begun++
			if drop {
				if err := l.Write(long); err != nil {
					t.Fatalf("record %d: %v", begun, err)
				}
				continue
			}
			result := make(chan error, 1)
			results = append(results, result)
			wg.Go(func() {
				err := l.Write(long)
				result <- err
				if err != nil {
					select {
					case refused <- err:
					default:
					}
				}
			})
		}
		if !drop {
			if err := <-refused; !errors.Is(err, audit.ErrUnwritten) { // while the disk still hangs
				t.Errorf("beyond the queue: %v", err)
			}
		}
		goOn()
		wg.Wait()
		for _, r := range results {
			if <-r == nil {
				written++
			}
		}
		for n, _ := l.Counts(); n == 0; n, _ = l.Counts() { // until there is room for the end
			runtime.Gosched()
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		n, lost := l.Counts()
		if drop {
			written = begun - int(lost)
		}
		// Some of the waiting callers may have come after the disk recovered.
		if written == 0 || written >= begun || drop && written > bytes/1000+1 {
			t.Errorf("drop %v: %d of %d records were written", drop, written, begun)
		}
		intact(t, path)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(string(b), `"event":"call"`); got != written {
			t.Errorf("drop %v: %d calls are in the log, %d were reported; %d records, %d lost",
				drop, got, written, n, lost)
		}
		if said := strings.Contains(string(b), fmt.Sprintf(`"event":"dropped","count":%d`, lost)); said != drop {
			t.Errorf("drop %v: the log reports the missing records: %v", drop, said)
		}
	}
}
