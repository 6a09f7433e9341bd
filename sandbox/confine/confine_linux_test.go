package confine_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/hearthhost/hearth/sandbox/confine"
)

// The test binary is its own worker: it confines itself as a worker does and then does
// what its socket says.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 1 && os.Args[1] == "worker":
		os.Exit(inside())
	case len(os.Args) > 1 && os.Args[1] == "host":
		os.Exit(shortLivedHost())
	}
	os.Exit(m.Run())
}

// worker is a confined process and the test's end of its socket.
type worker struct {
	*confine.Worker
	cmd  *exec.Cmd
	conn *os.File
	in   *bufio.Reader
}

// begin starts a worker.
func begin(t *testing.T, spec confine.Spec) (*worker, error) {
	t.Helper()
	w, err := launch(spec)
	if err == nil {
		t.Cleanup(func() {
			w.conn.Close()
			_ = w.cmd.Process.Kill()
			_ = w.Wait()
		})
	}
	return w, err
}

func launch(spec confine.Spec) (*worker, error) {
	ours, theirs, err := pair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	cmd := exec.Command(os.Args[0], "worker")
	cmd.Env = []string{}
	cmd.Dir = "/"
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{theirs}
	cw, err := confine.Start(cmd, spec)
	if err != nil {
		ours.Close()
		return nil, err
	}
	return &worker{Worker: cw, cmd: cmd, conn: ours, in: bufio.NewReader(ours)}, nil
}

// ask tells the worker to do something and returns what it says about it; "gone" if it
// ended instead.
func (w *worker) ask(t *testing.T, what string) string {
	t.Helper()
	_ = w.conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := fmt.Fprintln(w.conn, what); err != nil {
		return "gone"
	}
	line, err := w.in.ReadString('\n')
	if os.IsTimeout(err) {
		t.Fatalf("%s: no answer", what)
	}
	if err != nil {
		return "gone"
	}
	return strings.TrimSpace(line)
}

func pair() (ours, theirs *os.File, err error) {
	fds, err := socketpair()
	if err != nil {
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs"), nil
}

// inside is the worker's side: after confinement it answers each line of its socket.
func inside() int {
	if _, err := confine.Enter(); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		return 1
	}
	f := os.NewFile(3, "link")
	conn, err := net.FileConn(f)
	if err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		return 1
	}
	f.Close()
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		name, arg, _ := strings.Cut(lines.Text(), " ")
		a, ok := attacks[name]
		if !ok {
			fmt.Fprintln(conn, "no such attack")
			continue
		}
		fmt.Fprintln(conn, strings.ReplaceAll(a(arg), "\n", " "))
	}
	return 0
}

func TestEveryLayerHolds(t *testing.T) {
	w, err := begin(t, confine.Spec{})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range w.Layers {
		t.Log(l)
		if !l.Holds && l.Asked {
			t.Errorf("%s", l)
		}
	}
	if len(w.Layers) != len(confine.Names()) {
		t.Errorf("%d layers are reported, want %d", len(w.Layers), len(confine.Names()))
	}
	if got := w.ask(t, "echo hello"); got != "hello" {
		t.Errorf("the worker answers %q, want hello", got)
	}
}

func shortLivedHost() int { return 0 }
