package launch

import (
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/hearthhost/hearth/plugins/binary"
)

// startUnconfined starts a plugin with all the rights of the host's user.
func (r *Runner) startUnconfined(cmd *exec.Cmd, lastWords func()) error {
	status, theirs, err := os.Pipe()
	if err != nil {
		return err
	}
	defer status.Close()
	cmd.Env = append(cmd.Env, dirVariable+"="+r.dir)
	cmd.ExtraFiles = append(cmd.ExtraFiles, theirs)
	cmd.SysProcAttr = attributes()
	started := make(chan error)
	go r.own(cmd, started, lastWords)
	err = <-started
	theirs.Close()
	if err != nil {
		return binary.Errorf(binary.CauseShim, "%v", err)
	}
	_ = status.SetReadDeadline(time.Now().Add(StartTimeout))
	said, _ := io.ReadAll(io.LimitReader(status, 16))
	if len(said) > 0 {
		n, _ := strconv.Atoi(string(said))
		err := binary.ExplainExec(r.cfg.Path, r.img.Head, syscall.Errno(n))
		r.Fail(err)
		return err
	}
	return nil
}

// own starts the process and waits for it, on a thread that is kept for it: the system
// kills the process when the thread that started it ends.
func (r *Runner) own(cmd *exec.Cmd, started chan<- error, lastWords func()) {
	runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
	if err := cmd.Start(); err != nil {
		started <- err
		return
	}
	pid := cmd.Process.Pid
	r.pid.Store(int64(pid))
	r.cfg.Account.Started(pid)
	group := func() { _ = syscall.Kill(-pid, syscall.SIGKILL) }
	r.killedBy(group)
	started <- nil
	awaitEnd(pid)
	// As long as nobody has waited for it, the number is its own, and so is the group's.
	r.killedBy(nil)
	group() // whoever it started and left behind
	r.end = cmd.Wait()
	r.cfg.Account.Ended(pid, cmd.ProcessState)
	lastWords()
	close(r.done)
}
