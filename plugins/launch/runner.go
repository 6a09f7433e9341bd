// Package launch runs the process of a plugin: the shim, its isolation, the handshake line, its output and its end.
// [Runner] implements the interface that go-plugin requires of a process.
package launch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hearthhost/hearth/internal/procstat"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/plugins/binary"
	"github.com/hearthhost/hearth/plugins/rpc"
	"github.com/hearthhost/hearth/sandbox/confine"
)

// Timeouts and bounds of a plugin process.
const (
	StartTimeout = 10 * time.Second
	StopTimeout  = 2 * time.Second
	pipeTimeout  = 200 * time.Millisecond // wait for pending output after the process has ended
	maxPreamble  = 200                    // output lines before the handshake
)

// Config describes the process of one plugin. All fields but Confine and Unconfined are required.
type Config struct {
	ID         object.ID
	Path       string          // the executable, for error texts
	Shim       []string        // the command that runs [Shim]
	Confine    confine.Program // isolation layers
	Unconfined bool            // no isolation: the process has all rights of the host's user
	Account    *procstat.Processes
}

// Runner is the process of one plugin. It implements go-plugin's Runner interface.
type Runner struct {
	cfg Config
	img *binary.Sealed
	out *Output
	env []string
	dir string // folder of the plugin's socket, as the host sees it

	stdout, stderr   *io.PipeReader
	toStdout, toEnds *io.PipeWriter

	inside string        // dir as the plugin sees it; valid when ready is closed
	ready  chan struct{} // closed at the end of Start; a handshake is read after that

	pid  atomic.Int64  // 0 before the start
	done chan struct{} // closed when the process has been waited for
	end  error         // result of the wait; valid when done is closed

	life  context.Context    //nolint:containedctx // ends with the first cause to end the process
	abort context.CancelFunc // ends life

	mu       sync.Mutex // guards the fields below
	cause    error      // first cause to end the process
	kill     func()     // kills the process; nil before the start and after the end
	sockets  *os.File   // folder that dir links to; nil if dir is a folder itself
	released bool       // sockets is closed
}

// passedVars are the variables of go-plugin's handshake. A plugin gets them, dirVariable and no others.
var passedVars = []string{
	rpc.CookieKey,
	"PLUGIN_MIN_PORT",
	"PLUGIN_MAX_PORT",
	"PLUGIN_PROTOCOL_VERSIONS",
	"PLUGIN_CLIENT_CERT",
}

// scrub removes all variables that are not passed to plugins.
func scrub(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return !slices.Contains(passedVars, name)
	})
}

// New returns the runner of a sealed executable. env and dir are go-plugin's environment and its folder for sockets.
func New(cfg Config, img *binary.Sealed, out *Output, env []string, dir string) *Runner {
	r := &Runner{
		cfg:    cfg,
		img:    img,
		out:    out,
		env:    scrub(env),
		dir:    dir,
		inside: dir,
		done:   make(chan struct{}),
		ready:  make(chan struct{}),
	}
	r.life, r.abort = context.WithCancel(context.Background())
	r.stdout, r.toStdout = io.Pipe()
	r.stderr, r.toEnds = io.Pipe()
	return r
}

// Start starts the process. It returns when the shim has executed the plugin.
func (r *Runner) Start(ctx context.Context) error {
	defer close(r.ready)
	var ours, theirs [2]*os.File // stdout, stderr
	defer func() {
		for _, f := range theirs {
			f.Close()
		}
	}()
	for i := range ours {
		var err error
		ours[i], theirs[i], err = os.Pipe()
		if err != nil {
			return err
		}
	}
	go r.relay(ours[0], ours[1]) // ends with the process, or with theirs if no process starts
	//nolint:gosec,noctx // the host's own executable; r ends the process
	cmd := exec.Command(r.cfg.Shim[0], r.cfg.Shim[1:]...)
	cmd.Args[0] = string(r.cfg.ID)
	cmd.Env, cmd.Dir = r.env, "/"
	cmd.Stdout, cmd.Stderr = theirs[0], theirs[1]
	cmd.ExtraFiles = []*os.File{r.img.File}
	drain := func() {
		for _, p := range ours {
			_ = p.SetReadDeadline(time.Now().Add(pipeTimeout)) // a descendant may still hold the write end
		}
	}
	if r.cfg.Unconfined {
		return r.startUnconfined(cmd, drain)
	}
	return r.startConfined(ctx, cmd, drain)
}

// relay passes the handshake to go-plugin and logs all other output. It returns when the process has ended.
func (r *Runner) relay(stdout, stderr *os.File) {
	var wg sync.WaitGroup
	wg.Go(func() {
		eachLine(stderr, maxLineBytes, func(s string) { r.out.Line(slog.LevelInfo, r.cfg.ID, s, "stderr") })
		stderr.Close()
	})
	shaken, lines := false, 0
	eachLine(stdout, 16<<10, func(s string) {
		if shaken {
			r.out.Line(slog.LevelInfo, r.cfg.ID, s, "stdout")
			return
		}
		<-r.ready // inside is valid from here on
		switch err := checkHandshake(s, r.inside); {
		case err == nil:
			shaken = true
			_, _ = io.WriteString(r.toStdout, s+"\n")
		case !errors.Is(err, errGarbage):
			r.Fail(err)
			r.toStdout.Close()
			shaken = true
		default:
			r.out.Line(slog.LevelInfo, r.cfg.ID, s, "stdout")
			lines++
			if lines == maxPreamble {
				r.Fail(binary.Errorf(binary.CauseNotPlugin,
					"%s printed %d lines and no handshake; %s", r.cfg.Path, lines, r.out.Tail()))
			}
		}
	})
	stdout.Close()
	wg.Wait()
	r.toStdout.Close()
	r.toEnds.Close()
}

// errGarbage reports a line that is not a handshake.
var errGarbage = errors.New("not a handshake")

// checkHandshake checks the line in which a plugin reports its address and certificate. It returns errGarbage for other
// lines.
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
		return binary.Errorf(binary.CauseVersion,
			"it uses versions %s of the handshake and %q of the protocol, this host requires 1 and %d: "+
				"build it with the host's SDK", f[0], f[1], rpc.Version)
	}
	switch {
	case f[4] != "grpc":
		return binary.Errorf(binary.CauseNotPlugin, "it uses the protocol %q, the host requires grpc", f[4])
	case f[2] != "unix" || filepath.Dir(f[3]) != dir || filepath.Clean(f[3]) != f[3]:
		return binary.Errorf(binary.CauseNotPlugin, "it listens on %s %q, outside of its folder for sockets", f[2],
			f[3])
	case len(f) < 6 || len(f[5]) < 50:
		return binary.Errorf(binary.CauseNotPlugin, "it sent no certificate: build it with AutoMTLS")
	}
	return nil
}

// Fail kills the process and records the cause.
func (r *Runner) Fail(cause error) {
	r.SetCause(cause)
	r.abort()
	r.killNow()
}

// SetCause records the cause for which the process will end. The first cause is kept.
func (r *Runner) SetCause(cause error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cause == nil {
		r.cause = cause
	}
}

// Cause returns the recorded cause, or nil.
func (r *Runner) Cause() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cause
}

// killNow kills the process if it is running.
func (r *Runner) killNow() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kill != nil {
		r.kill()
	}
}

// setKill sets the function that kills the process; nil after its end. If a cause is recorded already, it kills at
// once.
func (r *Runner) setKill(kill func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kill = kill
	if kill != nil && r.cause != nil {
		kill()
	}
}

// Release closes the folder of the sockets. The caller has closed all connections.
func (r *Runner) Release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sockets != nil && !r.released {
		r.released = true
		_ = os.Remove(r.dir) // the link names a descriptor whose number will be reused
		r.sockets.Close()
	}
}

// Exit waits for the end of the process and returns its result as an error, also for exit status 0.
func (r *Runner) Exit() error {
	<-r.done
	if r.end == nil {
		return errors.New("exit status 0")
	}
	var exit *exec.ExitError
	if errors.As(r.end, &exit) {
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() && ws.Signal() == syscall.SIGSYS {
			return fmt.Errorf("it made a forbidden system call: %w", r.end)
		}
	}
	return r.end
}

// Wait implements go-plugin's Runner, like the methods below.
func (r *Runner) Wait(context.Context) error { <-r.done; return r.end }

// Kill kills the process and its children and waits for it.
func (r *Runner) Kill(context.Context) error {
	if r.pid.Load() == 0 {
		return nil
	}
	r.killNow()
	<-r.done
	return nil
}

// Stdout returns the handshake only.
func (r *Runner) Stdout() io.ReadCloser { return r.stdout }

// Stderr returns nothing: the output is logged.
func (r *Runner) Stderr() io.ReadCloser { return r.stderr }

// Name returns the plugin's id.
func (r *Runner) Name() string { return string(r.cfg.ID) }

// ID returns the process id.
func (r *Runner) ID() string { return strconv.FormatInt(r.pid.Load(), 10) }

// Diagnose returns nothing: all diagnostics are logged.
func (r *Runner) Diagnose(context.Context) string { return "" }

// PluginToHost translates the path of a socket that the plugin created.
func (r *Runner) PluginToHost(network, addr string) (string, string, error) {
	return translate(network, addr, r.inside, r.dir)
}

// HostToPlugin translates the path of a socket that the host created.
func (r *Runner) HostToPlugin(network, addr string) (string, string, error) {
	return translate(network, addr, r.dir, r.inside)
}

// translate translates a socket's path from one view of its folder to the other. It rejects all other paths.
func translate(network, addr, from, to string) (string, string, error) {
	if network != "unix" || filepath.Dir(addr) != from || filepath.Clean(addr) != addr {
		return "", "", fmt.Errorf("%s %q is not a socket in the plugin's folder", network, addr)
	}
	return network, filepath.Join(to, filepath.Base(addr)), nil
}

// PID returns the process id, 0 before the start.
func (r *Runner) PID() int { return int(r.pid.Load()) }

// Done is closed when the process has been waited for.
func (r *Runner) Done() <-chan struct{} { return r.done }
