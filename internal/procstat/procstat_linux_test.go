package procstat

import (
	"bufio"
	"os"
	"os/exec"
	"testing"
	"time"
)

// TestMain runs the test binary as the measured process if a test started it as one. It uses 100 ms of processor time
// and 32 MiB, prints a line, and ends with its input.
func TestMain(m *testing.M) {
	if len(os.Args) < 2 || os.Args[1] != "burn" {
		os.Exit(m.Run())
	}
	hold := make([]byte, 32<<20)
	for r := (sample{}); r.cpu < 100*time.Millisecond; r, _ = takeSample(os.Getpid()) {
		for i := range hold {
			hold[i]++
		}
	}
	_, _ = os.Stdout.WriteString("done\n")
	_, _ = os.Stdin.Read(hold[:1])
}

func TestProcesses(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "burn")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var p Processes
	p.Started(cmd.Process.Pid)
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	live := p.Spent()
	if live.Running != 1 || live.Starts != 1 || live.CPU < 100*time.Millisecond {
		t.Errorf("running: %+v, want one process with its time", live)
	}
	if live.MemoryBytes < 32<<20 || live.PeakBytes < live.MemoryBytes {
		t.Errorf("running: %d bytes, at most %d; want 32 MiB at least", live.MemoryBytes, live.PeakBytes)
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	// Spent may be called between the end of the process and Ended.
	if gone := p.Spent(); gone.CPU < live.CPU || gone.MemoryBytes != 0 {
		t.Errorf("waited for: %+v after %+v", gone, live)
	}
	p.Ended(cmd.Process.Pid, cmd.ProcessState)
	p.Ended(cmd.Process.Pid, cmd.ProcessState) // twice is once
	ended := p.Spent()
	if ended.Running != 0 || ended.MemoryBytes != 0 || ended.CPU < live.CPU || ended.PeakBytes != live.PeakBytes {
		t.Errorf("ended: %+v after %+v", ended, live)
	}
	p.Crashed()
	p.DroppedLines(1)
	if s := p.Spent(); s.Crashes != 1 || s.LogDropped != 1 {
		t.Errorf("counts: %+v", s)
	}
}

// TestReusedNumber: a later process with the number of an ended one is not measured in its place.
func TestReusedNumber(t *testing.T) {
	var p Processes
	p.Started(os.Getpid())
	p.Spent()
	p.running[os.Getpid()].started--
	if s := p.Spent(); s.MemoryBytes != 0 {
		t.Errorf("the memory of another process counts: %+v", s)
	}
}

func TestParseStat(t *testing.T) {
	rest := " S 1 1 1 0 -1 0 0 0 0 0 7 8 9 1 20 0 1 0 4711 0 0"
	for line, want := range map[string]sample{
		"12 (worker)" + rest:             {started: 4711, cpu: 25 * tick},
		"12 (a) R 9 9 (9 9) 9 9)" + rest: {started: 4711, cpu: 25 * tick},
		"12 (short) S 1 1":               {},
		"nothing":                        {},
		"":                               {},
		"12 (w) S 1 1 1 0 -1 0 0 0 0 0 x 8 9 1 20 0 1 0 4711 0": {},
	} {
		r, ok := parseStat([]byte(line))
		if ok != (want != sample{}) || ok && r != want {
			t.Errorf("parseStat(%q) = %+v, %v; want %+v", line, r, ok, want)
		}
	}
}

func TestSelf(t *testing.T) {
	if s := Self(); s.MemoryBytes <= 0 || s.CPU <= 0 || s.PeakBytes < s.MemoryBytes {
		t.Errorf("Self() = %+v", s)
	}
}
