package launch

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/hearthhost/hearth/sandbox/confine"
)

// Descriptors of the shim.
const (
	imageFD  = 3 // sealed executable
	statusFD = 4 // takes the errno of a failed execution; if it is a socket, it has the orders of package confine
)

// attributes starts the shim in a new session, so that its process group can be killed. The kernel kills it when the
// starting thread ends.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
}

// awaitEnd returns when a child has ended. It does not reap the child.
func awaitEnd(pid int) {
	for errors.Is(unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
	}
}

// Shim runs in the child process, which is the host's own binary. It gives up rights and executes the plugin. It
// returns, with the exit code, only on failure.
func Shim() int {
	runtime.LockOSThread()
	var st unix.Stat_t
	if err := unix.Fstat(statusFD, &st); err == nil && st.Mode&unix.S_IFMT == unix.S_IFSOCK {
		if err := confine.ExecConfined(os.Args[0]); err != nil {
			fmt.Fprintln(os.Stderr, "hearth plugin-shim:", err)
		}
		return 1
	}
	if err := becomeUnconfined(); err != nil {
		errno, _ := err.(syscall.Errno) //nolint:errorlint // system calls return nothing else
		_, _ = unix.Write(statusFD, []byte(strconv.Itoa(int(errno))))
	}
	return 1
}

func becomeUnconfined() error {
	// Do not close them here: the Go runtime still polls one of them.
	if err := unix.CloseRange(statusFD, 1<<31-1, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return err
	}
	head := make([]byte, 2)
	if n, err := unix.Pread(imageFD, head, 0); err != nil || n < len(head) {
		return unix.ENOEXEC
	}
	if string(head) != "#!" {
		unix.CloseOnExec(imageFD) // the interpreter of a script opens it, so it stays open there
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	if err := dieWithHost(); err != nil {
		return err
	}
	argv := []string{os.Args[0]}
	return syscall.Exec("/proc/self/fd/"+strconv.Itoa(imageFD), argv, syscall.Environ()) //nolint:gosec // sealed copy
}

// dieWithHost makes the kernel kill this process when the host dies. The setting belongs to a thread and is not
// inherited by other threads. Executing a program keeps only the calling thread. The host set it for the first thread,
// but the Go scheduler may have moved this goroutine to another thread before LockOSThread.
func dieWithHost() error {
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return err
	}
	// If the host died before that, its end of the pipe is closed.
	fds := []unix.PollFd{{Fd: statusFD}}
	for {
		switch _, err := unix.Poll(fds, 0); {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return err
		case fds[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0:
			return unix.EPIPE
		default:
			return nil
		}
	}
}
