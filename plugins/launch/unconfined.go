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

// startUnconfined starts a plugin with all rights of the host's user.
func (r *Runner) startUnconfined(cmd *exec.Cmd, drain func()) error {
	status, theirs, err := os.Pipe()
	if err != nil {
		return err
	}
	defer status.Close()
	cmd.Env = append(cmd.Env, dirVariable+"="+r.dir)
	cmd.ExtraFiles = append(cmd.ExtraFiles, theirs)
	cmd.SysProcAttr = attributes()
	started := make(chan error)
	go r.startOnThread(cmd, started, drain)
	err = <-started
	theirs.Close()
	if err != nil {
		return binary.Errorf(binary.CauseShim, "%v", err)
	}
	_ = status.SetReadDeadline(time.Now().Add(StartTimeout))
	report, _ := io.ReadAll(io.LimitReader(status, 16))
	if len(report) > 0 { // the shim reports the errno of a failed execution
		n, _ := strconv.Atoi(string(report))
		err := binary.ExplainExec(r.cfg.Path, r.img.Head, syscall.Errno(n))
		r.Fail(err)
		return err
	}
	return nil
}

// startOnThread starts the process and waits for it on a dedicated thread: the kernel kills the process when the thread
// that started it ends.
func (r *Runner) startOnThread(cmd *exec.Cmd, started chan<- error, drain func()) {
	runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
	if err := cmd.Start(); err != nil {
		started <- err
		return
	}
	pid := cmd.Process.Pid
	r.pid.Store(int64(pid))
	r.cfg.Account.Started(pid)
	group := func() { _ = syscall.Kill(-pid, syscall.SIGKILL) }
	r.setKill(group)
	started <- nil
	awaitEnd(pid)
	// Until cmd.Wait the kernel does not reuse the ids of the process and of its group.
	r.setKill(nil)
	group() // kill its descendants
	r.end = cmd.Wait()
	r.cfg.Account.Ended(pid, cmd.ProcessState)
	drain()
	close(r.done)
}
