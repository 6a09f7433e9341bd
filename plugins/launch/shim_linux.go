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

// The descriptors that the shim is started with.
const (
	imageFD  = 3 // the sealed executable
	statusFD = 4 // takes the number of the error, if it cannot be executed; a socket: the orders of package confine
)

// attributes starts the shim in a session of its own, so that the whole of it can be
// killed, and ends it with the thread that started it.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
}

// awaitEnd returns when a child has ended, and leaves it to be waited for.
func awaitEnd(pid int) {
	for errors.Is(unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
	}
}

// Shim is the second half of starting a plugin. The host starts its own binary, which calls
// this: it takes away what a plugin is not to have and becomes the plugin. It returns, with
// the exit code, only if that fails.
func Shim() int {
	runtime.LockOSThread()
	var st unix.Stat_t
	if err := unix.Fstat(statusFD, &st); err == nil && st.Mode&unix.S_IFMT == unix.S_IFSOCK {
		if err := confine.Become(os.Args[0]); err != nil {
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
	// Not closed here and now: our own runtime still polls through one of them.
	if err := unix.CloseRange(statusFD, 1<<31-1, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return err
	}
	head := make([]byte, 2)
	if n, err := unix.Pread(imageFD, head, 0); err != nil || n < len(head) {
		return unix.ENOEXEC
	}
	if string(head) != "#!" {
		unix.CloseOnExec(imageFD) // a script's interpreter has to open it
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
	return syscall.Exec("/proc/self/fd/"+strconv.Itoa(imageFD), []string{os.Args[0]}, syscall.Environ()) //nolint:gosec // what the host has hashed
}

// dieWithHost asks for the host's death to be this process's. It is kept for each thread,
// threads do not inherit it, and what remains of a process that executes another program
// is the thread that did so: the host asked it of the first one, and the Go scheduler may
// have moved this goroutine to another long before it was locked to one.
func dieWithHost() error {
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return err
	}
	// A host that died before that has closed its end of the pipe.
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
