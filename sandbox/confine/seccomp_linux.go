package confine

import (
	"errors"
	"fmt"
	"os"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"golang.org/x/sys/unix"
)

// goThread are the flags with which the Go runtime starts a thread.
const goThread = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_SYSVSEM | unix.CLONE_THREAD

// newNamespaces are the flags of clone that make namespaces.
const newNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
	unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET

// setVMA is the prctl by which the Go runtime names its memory.
const setVMA = 0x53564d41

// allowed are the system calls that a worker makes, whatever their arguments: those of a
// warm call first, for kernels that look from the top. None takes a path, makes a
// descriptor for anything but waiting, or reaches another process.
var allowed = []string{
	"read", "write", "futex", "epoll_pwait", "nanosleep", "sched_yield",
	"clock_gettime", "clock_nanosleep", "gettid", "getpid", "madvise", "munmap",
	"rt_sigreturn", "rt_sigprocmask", "rt_sigaction", "sigaltstack", "restart_syscall",
	"recvfrom", "sendto", "readv", "writev", "shutdown", "close",
	"getsockopt", "setsockopt", "getsockname", "getpeername",
	"epoll_create1", "epoll_ctl", "eventfd2", "pipe2",
	"getrandom", "exit", "exit_group",
}

// deadly are those that no worker makes by mistake.
var deadly = []string{
	"ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd",
	"mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr",
	"keyctl", "add_key", "request_key",
	"bpf", "userfaultfd", "perf_event_open", "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module",
	"io_uring_setup", "io_uring_enter", "io_uring_register",
	"unshare", "setns",
}

// policy returns the filter. A filter cannot see what a pointer points to; every call that
// it lets through is safe whatever is there.
func policy() seccomp.Policy {
	conditional := []seccomp.NameWithConditions{
		when("mmap", 2, seccomp.BitsNotSet, unix.PROT_EXEC),
		when("tgkill", 0, seccomp.Equal, uint64(os.Getpid())), // between its own threads
		when("fcntl", 1, seccomp.Equal, unix.F_GETFL),
		when("fcntl", 1, seccomp.Equal, unix.F_GETFD),
		when("fcntl", 1, seccomp.Equal, unix.F_SETFL),
		when("fcntl", 1, seccomp.Equal, unix.F_DUPFD_CLOEXEC),
		when("prctl", 0, seccomp.Equal, setVMA),
	}
	for _, flags := range threadFlags {
		conditional = append(conditional, when("clone", 0, seccomp.Equal, flags))
	}
	var names []seccomp.NameWithConditions
	for bit := uint64(1); bit < 1<<32; bit <<= 1 {
		if newNamespaces&bit != 0 {
			names = append(names, when("clone", 0, seccomp.BitsSet, bit))
		}
	}
	return seccomp.Policy{
		DefaultAction: seccomp.ActionErrno, // EPERM, which what merely looks around understands
		Syscalls: []seccomp.SyscallGroup{
			{Action: seccomp.ActionAllow, Names: append(append([]string(nil), allowed...), moreCalls...)},
			{Action: seccomp.ActionAllow, NamesWithCondtions: conditional},
			{Action: seccomp.ActionKillProcess, Names: deadly, NamesWithCondtions: names},
			// Its flags are behind a pointer. Who asks for it then asks for clone.
			{Action: seccomp.ActionErrno | seccomp.Action(unix.ENOSYS), Names: []string{"clone3"}},
		},
	}
}

func when(name string, arg uint32, op seccomp.Operation, value uint64) seccomp.NameWithConditions {
	return seccomp.NameWithConditions{Name: name, Conditions: []seccomp.Condition{{Argument: arg, Operation: op, Value: value}}}
}

// filterCalls puts the filter on all threads, and tries it.
func filterCalls() Layer {
	const how = "a filter on all threads"
	const remedy = "use a kernel with CONFIG_SECCOMP_FILTER"
	// The filter needs no_new_privs of the thread that puts it on, even where that layer is
	// weakened.
	err := seccomp.LoadFilter(seccomp.Filter{NoNewPrivs: true, Flag: seccomp.FilterFlagTSync, Policy: policy()})
	if err != nil {
		return missing(Seccomp, how, remedy, err)
	}
	if _, err := unix.Getpgid(0); !errors.Is(err, unix.EPERM) {
		return missing(Seccomp, how, remedy, fmt.Errorf("a call that is not on the list was not refused (%w)", err))
	}
	return holds(Seccomp, fmt.Sprintf("%s: %d calls allowed; another was refused", how, len(allowed)+len(moreCalls)))
}
