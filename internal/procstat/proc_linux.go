package procstat

import (
	"bytes"
	"os"
	"strconv"
	"time"
)

// tick is the unit of times in /proc/PID/stat: USER_HZ is 100 wherever Go runs.
const tick = time.Second / 100

// takeSample reads the figures of a process from /proc. ok is false if the process has ended or /proc does not show it.
func takeSample(pid int) (r sample, ok bool) {
	dir := "/proc/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(dir + "/stat") //nolint:gosec // the path holds only a number
	if err != nil {
		return sample{}, false
	}
	if r, ok = parseStat(stat); !ok {
		return sample{}, false
	}
	// A process that is ending has no memory, and these lines are missing.
	if status, err := os.ReadFile(dir + "/status"); err == nil { //nolint:gosec // the path holds only a number
		r.memory, r.peak = kilobytes(status, "\nVmRSS:"), kilobytes(status, "\nVmHWM:")
	}
	return r, true
}

// parseStat parses the line of /proc/PID/stat, see proc_pid_stat(5). The process chooses the name in parentheses, which
// may contain any characters.
func parseStat(line []byte) (r sample, ok bool) {
	i := bytes.LastIndexByte(line, ')')
	if i < 0 {
		return sample{}, false
	}
	f := bytes.Fields(line[i+1:]) // f[0] is the third field, state
	if len(f) < 20 {
		return sample{}, false
	}
	for _, n := range []int{14, 15, 16, 17} { // utime, stime, cutime, cstime
		v, err := strconv.ParseInt(string(f[n-3]), 10, 64)
		if err != nil {
			return sample{}, false
		}
		r.cpu += time.Duration(v) * tick
	}
	started, err := strconv.ParseUint(string(f[22-3]), 10, 64)
	r.started = started
	return r, err == nil
}

// kilobytes returns a field of /proc/PID/status in bytes, 0 if it is missing.
func kilobytes(status []byte, name string) int64 {
	_, rest, found := bytes.Cut(status, []byte(name))
	if !found {
		return 0
	}
	f := bytes.Fields(rest[:min(len(rest), 64)])
	if len(f) == 0 {
		return 0
	}
	n, err := strconv.ParseInt(string(f[0]), 10, 64)
	if err != nil {
		return 0
	}
	return n << 10
}
