package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// TestMain lets the test binary be the servers and loads that the program starts from itself.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && strings.HasPrefix(os.Args[1], "serve-") || len(os.Args) == 3 && os.Args[1] == leanCommand {
		os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// buildHearth builds the hearth binary to measure.
func buildHearth(t *testing.T) string {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: nothing was compared: Hearth has its walls on Linux only")
	}
	bin := filepath.Join(t.TempDir(), "hearth")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "./cmd/hearth")
	build.Dir = ".." // the module of the product
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building hearth: %v\n%s", err, out)
	}
	return bin
}

// A quick run has a figure, made of right answers, for every subject that is here, and names
// those that are not.
func TestQuick(t *testing.T) {
	cfg := quick(buildHearth(t))
	var log watched
	b, err := measureAll(t.Context(), cfg, &log)
	if err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	for _, name := range subjects {
		t.Run(name, func(t *testing.T) {
			if b.peers[name] == nil {
				if name != namePyro && name != nameRedis {
					t.Fatal("it needs nothing that may be missing, and was not measured")
				}
				if !slices.ContainsFunc(b.skips, func(s string) bool { return strings.HasPrefix(s, name) }) {
					t.Errorf("it was left out without a word: %q", b.skips)
				}
				t.Skipf("SKIPPED: not compared: %q", b.skips)
			}
			for i := range b.rows {
				r := &b.rows[i]
				c := r.cell(name)
				if c == nil || c.why == "n/a" || c.why == whyNoPyro {
					continue
				}
				if len(c.samples) != cfg.rounds || c.samples[0].calls == 0 {
					t.Errorf("%s, %s: %d samples, %q", r.load, r.work, len(c.samples), c.why)
				}
			}
		})
	}
	for _, load := range []string{"plain", "HMAC channel", "mutual TLS", "| 100 |", "| 10 |"} {
		if text := b.table(testTime, machine{}, "test"); !strings.Contains(text, load) {
			t.Errorf("the table has no %q:\n%s", load, text)
		}
	}
}

// watched is a log with a callback per write.
type watched struct {
	mu    sync.Mutex
	text  bytes.Buffer
	wrote func(line string)
}

// Write implements io.Writer.
func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.Write(p)
	if w.wrote != nil {
		w.wrote(string(p))
	}
	return len(p), nil
}

// String is all that was written.
func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// No server outlives a run, also after an interrupt.
func TestInterruptEndsServers(t *testing.T) {
	cfg := quick(buildHearth(t))
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	stopped := errors.New("interrupted")
	pids := regexp.MustCompile(`runs as process (\d+)`)
	// In the middle of measuring: after the first row.
	log := &watched{wrote: func(line string) {
		if strings.HasPrefix(line, oneCaller) {
			cancel(stopped)
		}
	}}
	if _, err := measureAll(ctx, cfg, log); !errors.Is(err, stopped) {
		t.Fatalf("it ended with %v\n%s", err, log.String())
	}
	found := pids.FindAllStringSubmatch(log.String(), -1)
	if len(found) < 3 {
		t.Fatalf("of Hearth, gRPC-go and go-plugin only %d ran:\n%s", len(found), log.String())
	}
	for _, m := range found {
		pid, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("the process that %q is still there: %v", m[0], err)
		}
	}
}

// A wrong answer of a peer ends the run.
func TestWrongAnswer(t *testing.T) {
	w := add
	for _, c := range []caller{&fake{answer: 43}, &fake{err: errors.New("gone")}} {
		if _, err := measure(t.Context(), []caller{&fake{answer: 42}, c}, &w, 1, 0, nil); err == nil {
			t.Errorf("%+v was measured", c)
		}
	}
	s, err := measure(t.Context(), []caller{&fake{answer: 42}, &fake{answer: 42}}, &w, 1, 0, nil)
	if err != nil || s.calls != 2 || len(s.times) != 2 {
		t.Errorf("two callers for no time: %+v, %v; want a call of each", s, err)
	}
	s, err = measure(t.Context(), []caller{&fake{answer: 42}}, &w, 16, 0, nil)
	if err != nil || s.calls != 16 || len(s.times) != 1 {
		t.Errorf("a batch: %+v, %v; want 16 calls in one time", s, err)
	}
}

// fake is a peer that always gives the same answer.
type fake struct {
	answer int64
	err    error
}

func (f *fake) call(_ context.Context, w *work) error {
	return errors.Join(f.err, w.checkSum(f.answer))
}
func (f *fake) batch(ctx context.Context, w *work, n int) error {
	if n < 2 {
		return fmt.Errorf("a batch of %d", n)
	}
	return f.call(ctx, w)
}
func (f *fake) close() {}
