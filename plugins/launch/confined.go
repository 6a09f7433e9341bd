package launch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/hearthhost/hearth/plugins/binary"
	"github.com/hearthhost/hearth/sandbox/confine"
	"github.com/hearthhost/hearth/sandbox/confine/layer"
)

// dirVariable names the folder in which a plugin creates its socket.
const dirVariable = "PLUGIN_UNIX_SOCKET_DIR"

// startConfined starts an isolated plugin. Its sockets are in a folder that has no path outside: the plugin reaches it
// through its root, the host through a descriptor.
func (r *Runner) startConfined(ctx context.Context, cmd *exec.Cmd, drain func()) error {
	if err := r.img.CheckRuntime(r.cfg.Path, r.cfg.Confine.Runtime); err != nil {
		return err
	}
	// A process with a readable executable can be inspected by other processes.
	if err := r.img.File.Chmod(0o111); err != nil {
		return binary.Errorf(binary.CauseShim, "%v", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.life, cancel)()
	program := r.cfg.Confine
	program.Dir, program.DirVariable = r.dir, dirVariable
	pr, err := confine.StartProgram(ctx, cmd, program)
	if err != nil {
		return r.explainRefusal(err)
	}
	if pr.Dir != nil {
		r.sockets, r.inside = pr.Dir, confine.Sockets
		err := os.Remove(r.dir)
		if err == nil {
			err = os.Symlink(fmt.Sprintf("/proc/self/fd/%d", pr.Dir.Fd()), r.dir)
		}
		if err != nil {
			pr.Kill()
			_ = pr.Wait()
			return binary.Errorf(binary.CauseShim, "%v", err)
		}
	}
	r.pid.Store(int64(pr.Pid()))
	r.cfg.Account.Started(pr.Pid())
	r.setKill(pr.Kill)
	go func() { // ends with the process
		r.end = pr.Wait()
		r.cfg.Account.Ended(pr.Pid(), cmd.ProcessState)
		drain()
		close(r.done)
	}()
	return nil
}

// explainRefusal returns the cause of a failed isolation.
func (r *Runner) explainRefusal(err error) error {
	var refused *layer.Error
	var program *confine.ProgramError
	switch {
	case r.Cause() != nil:
		return r.Cause()
	case errors.As(err, &refused):
		var b strings.Builder
		for _, l := range refused.Layers {
			fmt.Fprintf(&b, "%s: %s", l.Name, l.Reason)
			if l.Remedy != "" {
				fmt.Fprintf(&b, " (%s)", l.Remedy)
			}
			b.WriteString("; ")
		}
		return binary.Errorf(binary.CauseIsolation,
			"%sor allow it in the tenant block: allow_missing = [%q]", b.String(), refused.Layers[0].Name)
	case errors.As(err, &program) && program.Text != "":
		return binary.Errorf(binary.CauseInterpreter, "%s: %s", r.cfg.Path, program.Text)
	case errors.As(err, &program):
		return binary.ExplainExec(r.cfg.Path, r.img.Head, program.Errno)
	default:
		return binary.Errorf(binary.CauseShim, "%v; %s", err, r.out.Tail())
	}
}
