// Package schedstat reads how much processor time the kernel has given to a process, and for how long the process had
// to wait for it. It exists on Linux with scheduler statistics, which distributions enable.
package schedstat

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Times are processor times of a process since its start.
type Times struct {
	Ran time.Duration // of all threads
	// Waited is the time for which threads could run but had no processor: the sum over all threads.
	Waited time.Duration
}

// Sub returns the times since an earlier reading. They are lower bounds: a thread that has ended since does not count.
func (t Times) Sub(before Times) Times {
	return Times{max(0, t.Ran-before.Ran), max(0, t.Waited-before.Waited)}
}

// Read returns the times of a process. ok is false if the kernel does not report them.
func Read(pid int) (t Times, ok bool) { return read("/proc", pid) }

func read(proc string, pid int) (t Times, ok bool) {
	threads, err := filepath.Glob(filepath.Join(proc, strconv.Itoa(pid), "task", "*", "schedstat"))
	if err != nil {
		return t, false
	}
	for _, file := range threads {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		fields := strings.Fields(string(text))
		if len(fields) != 3 {
			return Times{}, false
		}
		ran, err1 := strconv.ParseInt(fields[0], 10, 64)
		waited, err2 := strconv.ParseInt(fields[1], 10, 64)
		if err1 != nil || err2 != nil {
			return Times{}, false
		}
		t.Ran += time.Duration(ran)
		t.Waited += time.Duration(waited)
		ok = true
	}
	return t, ok
}
