package luafuzz

import (
	"bufio"
	_ "embed" // the Lua sources below
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// Prelude is the Lua source of the trace helpers. Run as a chunk, it returns a function
// that takes a program and its chunk name and returns the program's trace.
//
//go:embed prelude.lua
var Prelude string

//go:embed reference.lua
var referenceSource string

// PUC is the interpreter that is the reference: Debian's package lua5.1.
const PUC = "lua5.1"

// referenceTime bounds one program; only C functions that loop for long reach it.
const referenceTime = 5 * time.Second

// programsPerProcess bounds the effects of one program on later ones.
const programsPerProcess = 1000

// A Reference runs programs in PUC Lua 5.1, many in one process. The zero value is ready.
// Not safe for concurrent use.
type Reference struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	runs   int
	timer  *time.Timer // of the run that was started
	failed error       // of sending its program
}

// An UnfitError reports a program that the reference did not run to its end: its trace proves nothing.
type UnfitError struct{ Reason string }

func (e *UnfitError) Error() string { return "program is unfit for a comparison: " + e.Reason }

// FindPUC returns the path of the reference interpreter, or an error that names the package to install.
func FindPUC() (string, error) {
	path, err := exec.LookPath(PUC)
	if err != nil {
		return "", fmt.Errorf("finding %s: %w; install Debian's package lua5.1", PUC, err)
	}
	return path, nil
}

// Run returns the trace of source. The error is an *UnfitError if the program exceeds the
// reference's bounds or ends its process.
func (r *Reference) Run(source, chunkname string) (string, error) {
	if err := r.Start(source, chunkname); err != nil {
		return "", err
	}
	return r.Wait()
}

// Start starts a run of source. [Reference.Wait] must follow.
func (r *Reference) Start(source, chunkname string) error {
	if r.runs == programsPerProcess {
		r.Close()
	}
	if r.cmd == nil {
		if err := r.start(); err != nil {
			return err
		}
	}
	r.runs++
	process := r.cmd.Process
	r.timer = time.AfterFunc(referenceTime, func() { _ = process.Kill() })
	r.failed = r.send(source, chunkname)
	return nil
}

// Wait returns the trace of the run that [Reference.Start] started, and the errors of [Reference.Run].
func (r *Reference) Wait() (string, error) {
	trace, verdict, err := r.receive()
	r.timer.Stop()
	if err != nil {
		r.Close()
		return "", &UnfitError{"the process of " + PUC + " ended: " + err.Error()}
	}
	if verdict != "ok" {
		return trace, &UnfitError{verdict + ": " + trace}
	}
	return trace, nil
}

// Close ends the reference's process. A later Run starts another.
func (r *Reference) Close() {
	if r.cmd == nil {
		return
	}
	_ = r.in.Close()
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait() // the process was killed: its status is known
	r.cmd, r.runs = nil, 0
}

func (r *Reference) start() error {
	path, err := FindPUC()
	if err != nil {
		return err
	}
	// 2 GiB of address space: a program that asks for more gets "not enough memory".
	const limited = `ulimit -v 2097152; exec "$0" -e "$1"`
	//nolint:gosec,noctx // a fixed program; Close ends it
	cmd := exec.Command("/bin/sh", "-c", limited, path, referenceSource)
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", path, err)
	}
	r.cmd = cmd
	r.in, r.out = in, bufio.NewReaderSize(out, 1<<16)
	if err := r.send(Prelude, "=prelude"); err != nil {
		r.Close()
		return fmt.Errorf("starting %s: %w", path, err)
	}
	return nil
}

func (r *Reference) send(source, chunkname string) error {
	_, err := io.WriteString(r.in, strconv.Itoa(len(source))+" "+chunkname+"\n"+source)
	return err
}

func (r *Reference) receive() (trace, verdict string, err error) {
	if r.failed != nil {
		return "", "", r.failed
	}
	head, err := r.out.ReadString('\n')
	if err != nil {
		return "", "", err
	}
	verdict, count, _ := strings.Cut(strings.TrimSuffix(head, "\n"), " ")
	size, err := strconv.Atoi(count)
	if err != nil || size < 0 {
		return "", "", errors.New("unexpected answer " + strconv.Quote(head))
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(r.out, text); err != nil {
		return "", "", err
	}
	return string(text), verdict, nil
}
