package schedstat

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// TestRead reads the times of two threads, and files that are not as expected.
func TestRead(t *testing.T) {
	for _, test := range []struct {
		name  string
		files map[string]string
		want  Times
		ok    bool
	}{
		{"threads", map[string]string{"7": "1000 20 3\n", "8": "500 6 1\n"}, Times{1500, 26}, true},
		{"no process", nil, Times{}, false},
		{"fields", map[string]string{"7": "1000 20\n"}, Times{}, false},
		{"no numbers", map[string]string{"7": "1000 x 3\n"}, Times{}, false},
		{"no numbers", map[string]string{"7": "x 20 3\n"}, Times{}, false},
	} {
		dir := t.TempDir()
		for tid, text := range test.files {
			task := filepath.Join(dir, "7", "task", tid)
			if err := os.MkdirAll(task, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(task, "schedstat"), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, ok := read(dir, 7); got != test.want || ok != test.ok {
			t.Errorf("%s: %v, %v; want %v, %v", test.name, got, ok, test.want, test.ok)
		}
	}
}

// TestOwn computes for a while and reads the time that this process has used.
func TestOwn(t *testing.T) {
	before, ok := Read(os.Getpid())
	if !ok {
		if runtime.GOOS == "linux" {
			t.Skip("SKIPPED: this kernel has no scheduler statistics")
		}
		t.Skip("scheduler statistics exist on Linux")
	}
	for range 1000 {
		now, ok := Read(os.Getpid())
		if !ok {
			t.Fatal("no times")
		}
		if now.Sub(before).Ran > time.Millisecond {
			return
		}
	}
	t.Error("a process that computes uses no time")
}

// TestSub subtracts times of a process some threads of which have ended.
func TestSub(t *testing.T) {
	if got, want := (Times{9, 3}).Sub(Times{4, 5}), (Times{5, 0}); got != want {
		t.Errorf("%v, want %v", got, want)
	}
}
