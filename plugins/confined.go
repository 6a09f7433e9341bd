package plugins

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/hearthhost/hearth/sandbox/confine"
)

// dirVariable is how a plugin hears where its sockets have to be.
const dirVariable = "PLUGIN_UNIX_SOCKET_DIR"

// usualRuntime is what most programs need that are not complete in themselves.
const usualRuntime = `runtime = ["/usr", "/lib", "/lib64"]`

// startConfined starts a plugin behind its tenant's walls. Its sockets are in a folder that
// has no name outside: the plugin has it by its root, the host by a descriptor.
func (r *runner) startConfined(ctx context.Context, cmd *exec.Cmd, lastWords func()) error {
	if err := r.img.complete(r.cfg.Path, r.cfg.Confine.Runtime); err != nil {
		return err
	}
	// Who can read the file of a process can look into the process.
	if err := r.img.file.Chmod(0o111); err != nil {
		return startErrorf(CauseShim, "%v", err)
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
			return startErrorf(CauseShim, "%v", err)
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
func (r *runner) explainWalls(err error) error {
	var refused *confine.Refused
	var program *confine.ProgramError
	switch {
	case r.reason() != nil:
		return r.reason()
	case errors.As(err, &refused):
		var b strings.Builder
		for _, l := range refused.Layers {
			fmt.Fprintf(&b, "%s: %s", l.Name, l.Reason)
			if l.Remedy != "" {
				fmt.Fprintf(&b, " (%s)", l.Remedy)
			}
			b.WriteString("; ")
		}
		return startErrorf(CauseWalls, "%sor allow it in the tenant block: allow_missing = [%q]", b.String(), refused.Layers[0].Name)
	case errors.As(err, &program) && program.Text != "":
		return startErrorf(CauseInterpreter, "%s: %s", r.cfg.Path, program.Text)
	case errors.As(err, &program):
		return explainExec(r.cfg.Path, r.img.head, program.Errno)
	default:
		return startErrorf(CauseShim, "%v; %s", err, r.out.tail())
	}
}

// complete refuses an executable that needs an interpreter or a loader which it would not
// see.
func (i *image) complete(path string, visible []string) error {
	what, needs := "", ""
	if interpreter, ok := shebang(i.head); ok {
		what, needs = "a script for", interpreter
	} else if f, err := elf.NewFile(i.file); err == nil && elfMachine(i.head) == nativeMachine() {
		if needs = loader(f); needs != "" {
			what = "linked dynamically and needs"
		}
	}
	if needs == "" {
		return nil
	}
	for _, v := range visible {
		if needs == v || strings.HasPrefix(needs, v+"/") {
			return nil
		}
	}
	return startErrorf(CauseInterpreter, "%s is %s %s, which a confined plugin does not see: add %s to its plugin block, or link it statically (for Go: CGO_ENABLED=0)", path, what, needs, usualRuntime)
}
