package sqlite_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/hearthhost/hearth/service/store"
	"github.com/hearthhost/hearth/service/store/sqlite"
)

// The test's program is also the writer that tests kill: with this variable it serves the store in that folder.
const writerVariable = "HEARTH_TEST_STORE_WRITER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerVariable); dir != "" {
		if os.Getenv(writerVariable+"_NOSYNC") != "" {
			if err := readWithoutSync(dir); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			return
		}
		if err := runWriter(dir, os.Getenv(writerVariable+"_FILESIZE")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// clients is the number of goroutines of a writer process. Each has separate keys and one that all share.
const clients = 8

// runWriter increments keys from several goroutines until it is killed. For each operation it writes a line before and
// a line after to the standard output: "begin <client>" and "end <client> <shared value>" or "failed <client> <error>".
func runWriter(dir, fileSize string) error {
	if fileSize != "" {
		var n uint64
		if _, err := fmt.Sscan(fileSize, &n); err != nil {
			return err
		}
		// A write beyond the limit fails instead of ending the process: Go programs ignore SIGXFSZ.
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: n, Max: n}); err != nil {
			return err
		}
	}
	e, err := sqlite.New(sqlite.Config{Dir: dir})
	if err != nil {
		return err
	}
	var mu sync.Mutex
	line := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf(format+"\n", args...)
	}
	filler := `"` + strings.Repeat("x", 2000) + `"`
	for c := range clients {
		go func() {
			for i := 0; ; i++ {
				line("begin %d", c)
				b := add("acme.a", "shared", 1)
				b.Writes = append(b.Writes, add("acme.a", fmt.Sprint(c), 1).Writes...)
				b.Writes = append(b.Writes, put("acme.a", fmt.Sprintf("filler/%d/%d", c, i%50), filler).Writes...)
				r, err := e.Commit(context.Background(), b)
				if err != nil {
					line("failed %d %v", c, err)
					continue
				}
				line("end %d %d", c, r.Integers[0])
			}
		}()
	}
	if n, _ := os.Stdin.Read(make([]byte, 1)); n == 1 && onInput != nil {
		if err := onInput(); err != nil {
			return err
		}
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // until the parent closes it
	return nil
}

// onInput is called in a writer process when its standard input has a byte; nil: nothing happens.
var onInput func() error

// operation is one increment of the shared key.
type operation struct {
	client int
	begin  int64
	end    int64 // 0: the process ended before
	value  int64
	failed bool
}

// process is a running writer with the lines that it has written.
type process struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines *bufio.Scanner

	own    [clients]int64 // increments that each client has got acknowledged
	maybe  [clients]int64 // 1 while an increment is not acknowledged, by client
	open   [clients]*operation
	ops    *[]*operation
	failed []string
}

func startWriter(t *testing.T, dir string, ops *[]*operation, env ...string) *process {
	t.Helper()
	p := &process{ops: ops, cmd: exec.CommandContext(t.Context(), os.Args[0])}
	p.cmd.Env = append(append(os.Environ(), writerVariable+"="+dir), env...)
	p.cmd.Stderr = os.Stderr
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdin = stdin
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.lines = bufio.NewScanner(stdout)
	return p
}

// clock numbers the events of a test.
var clock int64

// read reads lines until n operations have ended or the process has.
func (p *process) read(t *testing.T, n int) {
	t.Helper()
	for n > 0 && p.lines.Scan() {
		clock++
		var client int
		var value int64
		verb, rest, _ := strings.Cut(p.lines.Text(), " ")
		switch verb {
		case "begin":
			if _, err := fmt.Sscan(rest, &client); err != nil {
				t.Fatal(err)
			}
			p.maybe[client] = 1
			p.open[client] = &operation{client: client, begin: clock}
			*p.ops = append(*p.ops, p.open[client])
		case "end":
			if _, err := fmt.Sscan(rest, &client, &value); err != nil {
				continue // the kill has cut the line
			}
			op := p.open[client]
			op.end, op.value = clock, value
			p.own[client]++
			p.maybe[client] = 0
			n--
		case "failed":
			if _, err := fmt.Sscan(rest, &client); err != nil {
				t.Fatal(err)
			}
			p.failed = append(p.failed, rest)
			p.open[client].failed = true
			p.maybe[client] = 0 // a test that expects another outcome reads failed
			n--
		}
	}
}

// kill ends the process and reads the rest of its lines.
func (p *process) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.read(t, 1<<30)
	_ = p.cmd.Wait() // killed
}

// wantCounters compares the counters of the clients with acknowledged increments: each has been counted, and one that
// was not acknowledged may have been.
func wantCounters(t *testing.T, e store.Engine, own, maybe [clients]int64) (now [clients]int64) {
	t.Helper()
	sum := int64(0)
	for c := range clients {
		now[c] = readInt(t, e, fmt.Sprint(c))
		if now[c] < own[c] || now[c] > own[c]+maybe[c] {
			t.Errorf("client %d has %d increments, want %d or %d", c, now[c], own[c], own[c]+maybe[c])
		}
		sum += now[c]
	}
	if shared := readInt(t, e, "shared"); shared != sum {
		t.Errorf("the shared counter is %d, and the others are %d together: a batch is stored in part", shared, sum)
	}
	return now
}

func readInt(t *testing.T, e store.Engine, key string) (n int64) {
	t.Helper()
	it, err := e.Get(t.Context(), "acme.a", key)
	if err != nil {
		t.Fatal(err)
	}
	if it.Version != 0 {
		if _, err := fmt.Sscan(string(it.Value), &n); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// TestKill kills a writer process again and again. No acknowledged write is lost, no batch is stored in part, and the
// history of all processes is linearizable.
func TestKill(t *testing.T) {
	rounds := 20
	if testing.Short() {
		rounds = 3
	}
	dir := t.TempDir()
	var ops []*operation
	var own [clients]int64
	for range rounds {
		p := startWriter(t, dir, &ops)
		p.own = own
		p.read(t, 1+rand.IntN(60))
		p.kill(t)
		e, err := sqlite.New(sqlite.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		own = wantCounters(t, e, p.own, p.maybe)
		if damage, err := e.Check(t.Context(), "acme"); err != nil || len(damage) > 0 {
			t.Fatalf("integrity: %v, %v", damage, err)
		}
		clock++
		ops = append(ops, &operation{client: clients, begin: clock, end: clock + 1, value: -readInt(t, e, "shared")})
		clock++
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	wantLinearizable(t, ops)
}

// counter is the model of the shared key: an input of true increments it, false reads it.
var counter = porcupine.Model{
	Init: func() any { return int64(0) },
	Step: func(state, input, output any) (bool, any) {
		n, increment, got := state.(int64), input.(bool), output.(int64)
		if increment {
			return got == n+1 || got == unknown, n + 1
		}
		return got == n, n
	},
}

// unknown is the output of an operation whose process ended.
const unknown = -1

func wantLinearizable(t *testing.T, ops []*operation) {
	t.Helper()
	var history []porcupine.Operation
	for i, op := range ops {
		x := porcupine.Operation{ClientId: i, Input: true, Call: op.begin, Output: op.value, Return: op.end}
		switch {
		case op.failed:
			continue // nothing is stored: see wantCounters
		case op.client == clients:
			x.Input, x.Output = false, -op.value
		case op.end == 0:
			x.Output, x.Return = int64(unknown), 1<<60
		}
		history = append(history, x)
	}
	if r := porcupine.CheckOperationsTimeout(counter, known(history), 30*time.Second); r != porcupine.Ok {
		t.Errorf("the history of %d operations is not linearizable: %v", len(history), r)
	}
}

// known leaves out the operations of killed processes that had no effect: the checker cannot leave out an operation.
// The value that a later read returned shows how many had one.
func known(history []porcupine.Operation) (kept []porcupine.Operation) {
	var open []porcupine.Operation
	count := int64(0)
	for _, op := range history {
		switch {
		case op.Input == false:
			missing := op.Output.(int64) - count
			for _, o := range open {
				if missing > 0 {
					missing--
					count++
					o.Return = op.Call // the process ended before the read
					kept = append(kept, o)
				}
			}
			open = nil
			kept = append(kept, op)
		case op.Output == int64(unknown):
			open = append(open, op)
		default:
			count++
			kept = append(kept, op)
		}
	}
	return kept
}

// TestCopies stops a writer at random times and copies its files, as a power failure does. Each copy holds all
// acknowledged writes, also if the end of the WAL, which was not acknowledged, is cut off or damaged.
func TestCopies(t *testing.T) {
	dir := t.TempDir()
	var ops []*operation
	p := startWriter(t, dir, &ops)
	defer p.kill(t)
	for round := range 15 {
		p.read(t, 1+rand.IntN(100))
		if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		own, maybe := p.own, p.maybe
		for c := range maybe {
			maybe[c] = 1 << 30 // lines that are not read yet
		}
		copied := filepath.Join(t.TempDir(), fmt.Sprint(round))
		copyStore(t, dir, copied)
		if err := p.cmd.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		e := newEngine(t, sqlite.Config{Dir: copied})
		wantCounters(t, e, own, maybe)
		if damage, err := e.Check(t.Context(), "acme"); err != nil || len(damage) > 0 {
			t.Fatalf("integrity: %v, %v", damage, err)
		}
	}
}

// copyStore copies the files of tenant acme without the shared memory, which a power failure loses.
func copyStore(t *testing.T, from, to string) {
	t.Helper()
	if err := os.MkdirAll(to, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"acme.db", "acme.db-wal"} {
		b, err := os.ReadFile(filepath.Join(from, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestTornWAL commits batches and records the length of the WAL after each. A copy whose WAL has any garbage behind
// that length holds the batch, and nothing of the next one unless it is complete.
func TestTornWAL(t *testing.T) {
	dir := t.TempDir()
	e := newEngine(t, sqlite.Config{Dir: dir})
	commit(t, e, add("acme.a", "n", 1))
	wal := e.Path("acme") + "-wal"
	for i := int64(2); i < 12; i++ {
		commit(t, e, add("acme.a", "n", 1))
		durable, err := os.Stat(wal)
		if err != nil {
			t.Fatal(err)
		}
		commit(t, e, put("acme.a", "next", `"`+strings.Repeat("x", 5000)+`"`), add("acme.a", "n", 1))
		i++
		copied := filepath.Join(t.TempDir(), "copy")
		copyStore(t, dir, copied)
		path := filepath.Join(copied, "acme.db-wal")
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		cut := int(durable.Size()) + rand.IntN(len(b)-int(durable.Size()))
		for at := cut; at < len(b); at++ {
			b[at] = byte(rand.Uint32())
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		torn := newEngine(t, sqlite.Config{Dir: copied})
		if n := readInt(t, torn, "n"); n != i-1 {
			t.Errorf("the counter is %d after the WAL was damaged at byte %d, want %d", n, cut, i-1)
		}
	}
}

// TestFileTooLarge limits the size of the writer's files, as a full disk does. The writer reports failures and nothing
// else, reads continue, and the acknowledged writes are stored.
func TestFileTooLarge(t *testing.T) {
	dir := t.TempDir()
	var ops []*operation
	p := startWriter(t, dir, &ops, writerVariable+"_FILESIZE=400000")
	for len(p.failed) < 20 {
		p.read(t, 1)
		if p.own[0] > 100_000 {
			t.Fatal("the limit has no effect")
		}
	}
	p.kill(t)
	for _, why := range p.failed {
		switch {
		case strings.Contains(why, "stored: unknown"):
			p.maybe[why[0]-'0']++
		case !strings.Contains(why, "not stored"):
			t.Fatalf("a commit failed by %q", why)
		}
	}
	e := newEngine(t, sqlite.Config{Dir: dir})
	wantCounters(t, e, p.own, p.maybe)
	commit(t, e, put("acme.a", "after", "1"))
}

// TestDamagedPages damages a file. The errors name it, and other tenants are not affected.
func TestDamagedPages(t *testing.T) {
	dir := t.TempDir()
	e, err := sqlite.New(sqlite.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 300 {
		commit(t, e, put("acme.a", fmt.Sprint(i), `"`+strings.Repeat("x", 1000)+`"`))
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(e.Path("acme"))
	if err != nil {
		t.Fatal(err)
	}
	for at := 4096 * 5; at < len(b); at++ {
		b[at] = 0xAA
	}
	if err := os.WriteFile(e.Path("acme"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	e = newEngine(t, sqlite.Config{Dir: dir})
	_, err = e.Get(t.Context(), "acme.a", "1")
	if _, more := e.Commit(t.Context(), put("acme.a", "1", "2")); err == nil {
		err = more
	}
	if err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a damaged file: %v", err)
	}
	commit(t, e, put("zoo.a", "1", "2"))
}

// readWithoutSync prints a value of the store in a folder, and whether a commit fails, while every fsync fails.
func readWithoutSync(dir string) error {
	if err := onInput(); err != nil {
		return err
	}
	e, err := sqlite.New(sqlite.Config{Dir: dir})
	if err != nil {
		return err
	}
	it, err := e.Get(context.Background(), "acme.a", "n")
	if err != nil {
		return err
	}
	_, err = e.Commit(context.Background(), add("acme.a", "n", 1))
	fmt.Printf("%s, commit fails: %t\n", it.Value, err != nil)
	return nil
}
