package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Timeouts for the start and the end of a server.
const (
	startTimeout = 60 * time.Second
	stopTimeout  = 20 * time.Second
)

// process is a started server. It has a separate process group, so that an interrupt on the terminal ends the
// comparison first, which then stops its servers.
type process struct {
	name  string
	cmd   *exec.Cmd
	stdin io.WriteCloser
	out   *bufio.Reader // standard output; nil if it goes to the log
	shut  io.Closer     // read end of the pipe of out; nil if it goes to the log
	log   *tail
	ended chan struct{} // closed after the end
	err   error         // result; set before ended is closed
}

// start starts a server. With speaks, its standard output can be read by line; otherwise it goes to the log, like
// standard error. The log is shown after failures. Standard input stays open until stop: some servers end with it if
// this process is killed.
func start(name string, speaks bool, cmd *exec.Cmd) (*process, error) {
	p := &process{name: name, cmd: cmd, log: &tail{}, ended: make(chan struct{})}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stderr = p.log
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	p.stdin = stdin
	var out *io.PipeWriter
	if speaks {
		var r *io.PipeReader
		r, out = io.Pipe()
		p.out, p.shut, cmd.Stdout = bufio.NewReader(r), r, out
	} else {
		cmd.Stdout = p.log
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() { // ends with the process, which stop ends
		p.err = cmd.Wait()
		if out != nil {
			out.Close()
		}
		close(p.ended)
	}()
	return p, nil
}

// startWithAddress starts a server that prints its address.
func startWithAddress(ctx context.Context, name string, cmd *exec.Cmd) (p *process, addr string, err error) {
	p, err = start(name, true, cmd)
	if err != nil {
		return nil, "", err
	}
	addr, err = p.line(ctx)
	if err != nil {
		p.stop()
		return nil, "", err
	}
	return p, addr, nil
}

// line reads a line of the server's output.
func (p *process) line(ctx context.Context) (string, error) {
	type result struct {
		text string
		err  error
	}
	got := make(chan result, 1)
	go func() { // ends with the process
		text, err := p.out.ReadString('\n')
		got <- result{strings.TrimSpace(text), err}
	}()
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	select {
	case r := <-got:
		if r.err != nil {
			return "", fmt.Errorf("%s ended before it printed a line; its last output:\n%s", p.name, p.log)
		}
		return r.text, nil
	case <-ctx.Done():
		return "", fmt.Errorf("waiting for %s: %w; its last output:\n%s", p.name, ctx.Err(), p.log)
	}
}

// await polls until the server is ready. It fails if the server ends first.
func (p *process) await(ctx context.Context, ready func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ready() {
		select {
		case <-tick.C:
		case <-p.ended:
			return fmt.Errorf("%s ended before it was ready (%w); its last output:\n%s", p.name, errors.Join(p.err),
				p.log)
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w; its last output:\n%s", p.name, ctx.Err(), p.log)
		}
	}
	return nil
}

// stop ends the server with SIGTERM, or with SIGKILL after a timeout, and waits.
func (p *process) stop() {
	select {
	case <-p.ended:
		return
	default:
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // the process may have ended already
	if p.shut != nil {
		_ = p.shut.Close() // discard the remaining output
	}
	select {
	case <-p.ended:
	case <-time.After(stopTimeout):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
	_ = p.stdin.Close()
}

// tail is a writer that keeps the last bytes. It is safe for concurrent use.
type tail struct {
	mu sync.Mutex
	b  []byte
}

const tailBytes = 8 << 10

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if len(t.b) > 2*tailBytes {
		t.b = bytes.Clone(t.b[len(t.b)-tailBytes:])
	}
	return len(p), nil
}

// String returns the kept bytes.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b[max(0, len(t.b)-tailBytes):])
}

// freePort returns an unused port of 127.0.0.1, for a server that cannot choose one.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it is closed at once
	if err != nil {
		return "", fmt.Errorf("looking for a free port: %w", err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// baseEnv is the environment of the servers. This process's variables do not affect them.
func baseEnv() []string {
	return []string{"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", "PYTHONDONTWRITEBYTECODE=1",
		"HOME=" + os.TempDir()}
}
