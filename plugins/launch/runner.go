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

// How long a plugin may take.
const (
	StartTimeout = 10 * time.Second
	StopTimeout  = 2 * time.Second
	lastWait     = 200 * time.Millisecond // for its pipes, after its end
	maxPreamble  = 200                    // lines before the handshake
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

// Runner is the process of one plugin, as go-plugin wants to have it.
type Runner struct {
	cfg Config
	img *binary.Sealed
	out *Output
	env []string
	dir string // where its socket has to be

	stdout, stderr   *io.PipeReader
	toStdout, toEnds *io.PipeWriter

	inside string        // dir as the plugin sees it; settled with ready
	ready  chan struct{} // closed at the end of Start, before which no handshake counts

	pid  atomic.Int64  // 0: none yet
	done chan struct{} // closed when the process has been waited for
	end  error         // how it ended; read after done

	life  context.Context    //nolint:containedctx // ends with the first reason to end it
	abort context.CancelFunc // ends life

	mu       sync.Mutex // guards what follows
	cause    error      // the first reason to end it
	kill     func()     // ends the process; nil: it has none, or none any more
	sockets  *os.File   // the folder to which dir leads; nil: dir is one itself
	released bool       // sockets is closed
}

// passed are the variables that go-plugin's handshake needs, as they are; a plugin gets
// them, dirVariable, and no others.
var passed = []string{rpc.CookieKey, "PLUGIN_MIN_PORT", "PLUGIN_MAX_PORT", "PLUGIN_PROTOCOL_VERSIONS", "PLUGIN_CLIENT_CERT"}

// scrub keeps the variables that are passed.
func scrub(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return !slices.Contains(passed, name)
	})
}

// New returns the runner of a sealed executable. go-plugin gives the environment and the folder for sockets.
func New(cfg Config, img *binary.Sealed, out *Output, env []string, dir string) *Runner {
	r := &Runner{cfg: cfg, img: img, out: out, env: scrub(env), dir: dir, inside: dir, done: make(chan struct{}), ready: make(chan struct{})}
	r.life, r.abort = context.WithCancel(context.Background())
	r.stdout, r.toStdout = io.Pipe()
	r.stderr, r.toEnds = io.Pipe()
	return r
}

// Start starts the process and returns when the shim has become the plugin.
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
		if ours[i], theirs[i], err = os.Pipe(); err != nil {
			return err
		}
	}
	go r.relay(ours[0], ours[1])                          // ends with the process, or with theirs if there is none
	cmd := exec.Command(r.cfg.Shim[0], r.cfg.Shim[1:]...) //nolint:gosec,noctx // the host's own executable, which lives as long as it is needed
	cmd.Args[0] = string(r.cfg.ID)
	cmd.Env, cmd.Dir = r.env, "/"
	cmd.Stdout, cmd.Stderr = theirs[0], theirs[1]
	cmd.ExtraFiles = []*os.File{r.img.File}
	lastWords := func() {
		for _, p := range ours {
			_ = p.SetReadDeadline(time.Now().Add(lastWait)) // a descendant may still hold the other end
		}
	}
	if r.cfg.Unconfined {
		return r.startUnconfined(cmd, lastWords)
	}
	return r.startConfined(ctx, cmd, lastWords)
}

// relay takes what the process prints until it ends.
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
		<-r.ready
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
			if lines++; lines == maxPreamble {
				r.Fail(binary.Errorf(binary.CauseNotPlugin, "%s prints, and never the handshake; %s", r.cfg.Path, r.out.Tail()))
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
		return binary.Errorf(binary.CauseVersion, "it speaks versions %s of the handshake and %q of the protocol, and this host 1 and %d: build it with the host's SDK", f[0], f[1], rpc.Version)
	}
	switch {
	case f[4] != "grpc":
		return binary.Errorf(binary.CauseNotPlugin, "it wants to speak %q, and hearth speaks grpc", f[4])
	case f[2] != "unix" || filepath.Dir(f[3]) != dir || filepath.Clean(f[3]) != f[3]:
		return binary.Errorf(binary.CauseNotPlugin, "it listens on %s %q, and not in the folder that it was given", f[2], f[3])
	case len(f) < 6 || len(f[5]) < 50:
		return binary.Errorf(binary.CauseNotPlugin, "it sent no certificate: build it with AutoMTLS")
	}
	return nil
}

// fail ends the process.
func (r *Runner) Fail(cause error) {
	r.Because(cause)
	r.abort()
	r.killNow()
}

// because notes why the process is to end. The first cause stays.
func (r *Runner) Because(cause error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cause == nil {
		r.cause = cause
	}
}

// reason returns why the process ended, or is about to.
func (r *Runner) Reason() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cause
}

// killNow ends the process, if there is one.
func (r *Runner) killNow() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kill != nil {
		r.kill()
	}
}

// killedBy says how the process is ended; nil that it must not be any more. What was to
// end before it began ends here.
func (r *Runner) killedBy(kill func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kill = kill; kill != nil && r.cause != nil {
		kill()
	}
}

// release lets go of the folder of the sockets, once nobody speaks by them any more.
func (r *Runner) Release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sockets != nil && !r.released {
		r.released = true
		_ = os.Remove(r.dir) // it leads to the descriptor, whose number will be another's
		r.sockets.Close()
	}
}

// exit describes how the process ended.
func (r *Runner) Exit() error {
	<-r.done
	if r.end == nil {
		return errors.New("exit status 0")
	}
	var exit *exec.ExitError
	if errors.As(r.end, &exit) {
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() && ws.Signal() == syscall.SIGSYS {
			return fmt.Errorf("it asked the kernel for what no plugin may have: %w", r.end)
		}
	}
	return r.end
}

// Wait is part of go-plugin's Runner, as are the following.
func (r *Runner) Wait(context.Context) error { <-r.done; return r.end }

// Kill ends the process and what it started, and waits for it.
func (r *Runner) Kill(context.Context) error {
	if r.pid.Load() == 0 {
		return nil
	}
	r.killNow()
	<-r.done
	return nil
}

// Stdout returns the handshake and nothing else.
func (r *Runner) Stdout() io.ReadCloser { return r.stdout }

// Stderr returns nothing: it is in the log already.
func (r *Runner) Stderr() io.ReadCloser { return r.stderr }

// Name returns the plugin's id.
func (r *Runner) Name() string { return string(r.cfg.ID) }

// ID returns the process id.
func (r *Runner) ID() string { return strconv.FormatInt(r.pid.Load(), 10) }

// Diagnose has nothing to say that the log has not.
func (r *Runner) Diagnose(context.Context) string { return "" }

// PluginToHost translates the name of a socket that the plugin has made.
func (r *Runner) PluginToHost(network, addr string) (string, string, error) {
	return translate(network, addr, r.inside, r.dir)
}

// HostToPlugin translates the name of a socket that the host has made.
func (r *Runner) HostToPlugin(network, addr string) (string, string, error) {
	return translate(network, addr, r.dir, r.inside)
}

// translate takes a socket's name from one view of its folder to the other. No other name
// has a translation.
func translate(network, addr, from, to string) (string, string, error) {
	if network != "unix" || filepath.Dir(addr) != from || filepath.Clean(addr) != addr {
		return "", "", fmt.Errorf("%s %q is no socket in the plugin's folder", network, addr)
	}
	return network, filepath.Join(to, filepath.Base(addr)), nil
}

// PID returns the process id, 0 before the start.
func (r *Runner) PID() int { return int(r.pid.Load()) }

// Done is closed when the process has been waited for.
func (r *Runner) Done() <-chan struct{} { return r.done }
