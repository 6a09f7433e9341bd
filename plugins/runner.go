package plugins

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hearthhost/hearth/plugins/rpc"
)

// How long a plugin may take.
const (
	startTimeout = 10 * time.Second
	stopTimeout  = 2 * time.Second
	lastWords    = 200 * time.Millisecond // for its pipes, after its end
	maxPreamble  = 200                    // lines before the handshake
)

// runner is the process of one plugin, as go-plugin wants to have it.
type runner struct {
	cfg *Config
	img *image
	out *output
	env []string
	dir string // where its socket has to be

	stdout, stderr   *io.PipeReader
	toStdout, toEnds *io.PipeWriter

	pid  atomic.Int64  // 0: none yet
	done chan struct{} // closed when the process has been waited for
	end  error         // how it ended; read after done

	mu    sync.Mutex // guards cause
	cause error      // the first reason to end it
}

// passed are the variables that go-plugin's handshake needs; a plugin gets no others.
var passed = []string{"HEARTH_PLUGIN", "PLUGIN_MIN_PORT", "PLUGIN_MAX_PORT", "PLUGIN_PROTOCOL_VERSIONS", "PLUGIN_CLIENT_CERT", "PLUGIN_UNIX_SOCKET_DIR"}

// scrub keeps the variables that are passed.
func scrub(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return !slices.Contains(passed, name)
	})
}

func newRunner(cfg *Config, img *image, out *output, env []string, dir string) *runner {
	r := &runner{cfg: cfg, img: img, out: out, env: scrub(env), dir: dir, done: make(chan struct{})}
	r.stdout, r.toStdout = io.Pipe()
	r.stderr, r.toEnds = io.Pipe()
	return r
}

// Start starts the process and returns when the shim has become the plugin.
func (r *runner) Start(context.Context) error {
	var ours, theirs [3]*os.File // stdout, stderr, status
	defer func() {
		for _, f := range theirs {
			f.Close()
		}
	}()
	for i := range ours {
		var err error
		if ours[i], theirs[i], err = os.Pipe(); err != nil {
			return err
		}
	}
	cmd := exec.Command(r.cfg.Shim[0], r.cfg.Shim[1:]...) //nolint:gosec,noctx // the host's own executable, which lives as long as it is needed
	cmd.Args[0] = string(r.cfg.ID)
	cmd.Env, cmd.Dir = r.env, "/"
	cmd.Stdout, cmd.Stderr = theirs[0], theirs[1]
	cmd.ExtraFiles = []*os.File{r.img.file, theirs[2]}
	cmd.SysProcAttr = attributes()
	started := make(chan error)
	go r.own(cmd, started, ours[0], ours[1])
	err := <-started
	if err != nil {
		ours[0].Close()
		ours[1].Close()
		ours[2].Close()
		r.toStdout.Close()
		r.toEnds.Close()
		return startErrorf(CauseShim, "%v", err)
	}
	go r.relay(ours[0], ours[1])
	theirs[2].Close()
	defer ours[2].Close()
	_ = ours[2].SetReadDeadline(time.Now().Add(startTimeout))
	status, _ := io.ReadAll(io.LimitReader(ours[2], 16))
	if len(status) > 0 {
		n, _ := strconv.Atoi(string(status))
		err := explainExec(r.cfg.Path, r.img.head, syscall.Errno(n))
		r.fail(err)
		return err
	}
	return nil
}

// own starts the process and waits for it, on a thread that is kept for it: the system
// kills the process when the thread that started it ends.
func (r *runner) own(cmd *exec.Cmd, started chan<- error, pipes ...*os.File) {
	runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
	if err := cmd.Start(); err != nil {
		started <- err
		return
	}
	r.pid.Store(int64(cmd.Process.Pid))
	r.cfg.Account.Started(cmd.Process.Pid)
	if r.reason() != nil { // it was not to start any more
		r.killGroup()
	}
	started <- nil
	r.end = cmd.Wait()
	r.cfg.Account.Ended(cmd.Process.Pid, cmd.ProcessState)
	r.killGroup() // whoever it started and left behind
	for _, p := range pipes {
		_ = p.SetReadDeadline(time.Now().Add(lastWords)) // a descendant may still hold the other end
	}
	close(r.done)
}

// relay takes what the process prints until it ends.
func (r *runner) relay(stdout, stderr *os.File) {
	var wg sync.WaitGroup
	wg.Go(func() {
		eachLine(stderr, maxLineBytes, func(s string) { r.out.line(slog.LevelInfo, r.cfg.ID, s, "stderr") })
		stderr.Close()
	})
	shaken, lines := false, 0
	eachLine(stdout, 16<<10, func(s string) {
		if shaken {
			r.out.line(slog.LevelInfo, r.cfg.ID, s, "stdout")
			return
		}
		switch err := checkHandshake(s, r.dir); {
		case err == nil:
			shaken = true
			_, _ = io.WriteString(r.toStdout, s+"\n")
		case !errors.Is(err, errGarbage):
			r.fail(err)
			r.toStdout.Close()
			shaken = true
		default:
			r.out.line(slog.LevelInfo, r.cfg.ID, s, "stdout")
			if lines++; lines == maxPreamble {
				r.fail(startErrorf(CauseNotPlugin, "%s prints, and never the handshake; %s", r.cfg.Path, r.out.tail()))
			}
		}
	})
	stdout.Close()
	wg.Wait()
	r.toStdout.Close()
	r.toEnds.Close()
}

// errGarbage is what a line is that is no handshake.
var errGarbage = errors.New("not a handshake")

// checkHandshake reads the line with which a plugin says where it listens. errGarbage is
// the answer to a line that is nothing like it.
func checkHandshake(line, dir string) error {
	f := strings.Split(strings.TrimSpace(line), "|")
	if len(f) < 5 {
		return errGarbage
	}
	core, err := strconv.Atoi(f[0])
	if err != nil {
		return errGarbage
	}
	if core != 1 || f[1] != strconv.Itoa(rpc.Version) {
		return startErrorf(CauseVersion, "it speaks versions %s of the handshake and %q of the protocol, and this host 1 and %d: build it with the host's SDK", f[0], f[1], rpc.Version)
	}
	switch {
	case f[4] != "grpc":
		return startErrorf(CauseNotPlugin, "it wants to speak %q, and hearth speaks grpc", f[4])
	case f[2] != "unix" || filepath.Dir(f[3]) != dir || filepath.Clean(f[3]) != f[3]:
		return startErrorf(CauseNotPlugin, "it listens on %s %q, and not in the folder that it was given", f[2], f[3])
	case len(f) < 6 || len(f[5]) < 50:
		return startErrorf(CauseNotPlugin, "it sent no certificate: build it with AutoMTLS")
	}
	return nil
}

// fail ends the process. The first cause stays.
func (r *runner) fail(cause error) {
	r.mu.Lock()
	if r.cause == nil {
		r.cause = cause
	}
	r.mu.Unlock()
	select {
	case <-r.done: // its number may be another's by now
	default:
		r.killGroup()
	}
}

// reason returns why the process ended, or is about to.
func (r *runner) reason() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cause
}

func (r *runner) killGroup() {
	if pid := r.pid.Load(); pid > 0 {
		_ = syscall.Kill(-int(pid), syscall.SIGKILL)
	}
}

// exit describes how the process ended.
func (r *runner) exit() error {
	<-r.done
	if r.end == nil {
		return errors.New("exit status 0")
	}
	return r.end
}

// Wait is part of go-plugin's Runner, as are the following.
func (r *runner) Wait(context.Context) error { <-r.done; return r.end }

// Kill ends the process and what it started, and waits for it.
func (r *runner) Kill(context.Context) error {
	if r.pid.Load() == 0 {
		return nil
	}
	select {
	case <-r.done: // its number may be another's by now
	default:
		r.killGroup()
		<-r.done
	}
	return nil
}

// Stdout returns the handshake and nothing else.
func (r *runner) Stdout() io.ReadCloser { return r.stdout }

// Stderr returns nothing: it is in the log already.
func (r *runner) Stderr() io.ReadCloser { return r.stderr }

// Name returns the plugin's id.
func (r *runner) Name() string { return string(r.cfg.ID) }

// ID returns the process id.
func (r *runner) ID() string { return strconv.FormatInt(r.pid.Load(), 10) }

// Diagnose has nothing to say that the log has not.
func (r *runner) Diagnose(context.Context) string { return "" }

// PluginToHost translates nothing.
func (r *runner) PluginToHost(network, addr string) (string, string, error) {
	if network != "unix" {
		return "", "", fmt.Errorf("network %q", network)
	}
	return network, addr, nil
}

// HostToPlugin translates nothing.
func (r *runner) HostToPlugin(network, addr string) (string, string, error) {
	return network, addr, nil
}
