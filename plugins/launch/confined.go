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
)

// dirVariable is how a plugin hears where its sockets have to be.
const dirVariable = "PLUGIN_UNIX_SOCKET_DIR"

// startConfined starts a plugin behind its tenant's walls. Its sockets are in a folder that
// has no name outside: the plugin has it by its root, the host by a descriptor.
func (r *Runner) startConfined(ctx context.Context, cmd *exec.Cmd, lastWords func()) error {
	if err := r.img.CheckRuntime(r.cfg.Path, r.cfg.Confine.Runtime); err != nil {
		return err
	}
	// Who can read the file of a process can look into the process.
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
		return r.explainWalls(err)
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
	r.killedBy(pr.Kill)
	go func() { // ends with the process
		r.end = pr.Wait()
		r.cfg.Account.Ended(pr.Pid(), cmd.ProcessState)
		lastWords()
		close(r.done)
	}()
	return nil
}

// explainWalls names the cause of a confinement that did not come about.
func (r *Runner) explainWalls(err error) error {
	var refused *confine.Refused
	var program *confine.ProgramError
	switch {
	case r.Reason() != nil:
		return r.Reason()
	case errors.As(err, &refused):
		var b strings.Builder
		for _, l := range refused.Layers {
			fmt.Fprintf(&b, "%s: %s", l.Name, l.Reason)
			if l.Remedy != "" {
				fmt.Fprintf(&b, " (%s)", l.Remedy)
			}
			b.WriteString("; ")
		}
		return binary.Errorf(binary.CauseWalls, "%sor allow it in the tenant block: allow_missing = [%q]", b.String(), refused.Layers[0].Name)
	case errors.As(err, &program) && program.Text != "":
		return binary.Errorf(binary.CauseInterpreter, "%s: %s", r.cfg.Path, program.Text)
	case errors.As(err, &program):
		return binary.ExplainExec(r.cfg.Path, r.img.Head, program.Errno)
	default:
		return binary.Errorf(binary.CauseShim, "%v; %s", err, r.out.Tail())
	}
}
