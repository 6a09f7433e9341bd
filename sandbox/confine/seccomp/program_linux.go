package seccomp

import (
	"slices"

	"golang.org/x/sys/unix"
)

// programCalls are the system calls that a plugin program may make with any arguments, on every machine. legacyCalls
// are those that only some machines have. Other layers bound their reach: the root and Landlock bound files, the
// network namespace bounds sockets, and the pid namespace bounds processes.
var programCalls = []uint32{
	// Descriptors and files.
	unix.SYS_READ, unix.SYS_WRITE, unix.SYS_READV, unix.SYS_WRITEV, unix.SYS_PREAD64, unix.SYS_PWRITE64,
	unix.SYS_PREADV, unix.SYS_PWRITEV, unix.SYS_PREADV2, unix.SYS_PWRITEV2, unix.SYS_CLOSE, unix.SYS_CLOSE_RANGE,
	unix.SYS_OPENAT, unix.SYS_OPENAT2, unix.SYS_LSEEK, unix.SYS_FSTAT, fstatat, unix.SYS_STATX, unix.SYS_STATFS,
	unix.SYS_FSTATFS,
	unix.SYS_FACCESSAT, unix.SYS_FACCESSAT2, unix.SYS_READLINKAT, unix.SYS_GETDENTS64, unix.SYS_GETCWD, unix.SYS_CHDIR,
	unix.SYS_FCHDIR,
	unix.SYS_UNLINKAT, unix.SYS_RENAMEAT2, unix.SYS_MKDIRAT, unix.SYS_TRUNCATE, unix.SYS_FTRUNCATE, unix.SYS_FALLOCATE,
	unix.SYS_FSYNC, unix.SYS_FDATASYNC, unix.SYS_SYNC_FILE_RANGE, unix.SYS_FCHMOD, unix.SYS_FCHMODAT,
	unix.SYS_FCHMODAT2, unix.SYS_UTIMENSAT,
	unix.SYS_FLOCK, unix.SYS_FADVISE64, unix.SYS_READAHEAD, unix.SYS_COPY_FILE_RANGE, unix.SYS_SENDFILE,
	unix.SYS_SPLICE, unix.SYS_TEE,
	unix.SYS_UMASK, unix.SYS_DUP, unix.SYS_DUP3, unix.SYS_FCNTL, unix.SYS_PIPE2,
	unix.SYS_INOTIFY_INIT1, unix.SYS_INOTIFY_ADD_WATCH, unix.SYS_INOTIFY_RM_WATCH,
	// Waiting.
	unix.SYS_EPOLL_CREATE1, unix.SYS_EPOLL_CTL, unix.SYS_EPOLL_PWAIT, unix.SYS_EPOLL_PWAIT2, unix.SYS_EVENTFD2,
	unix.SYS_PPOLL, unix.SYS_PSELECT6,
	unix.SYS_FUTEX, unix.SYS_FUTEX_WAITV, unix.SYS_FUTEX_WAKE, unix.SYS_FUTEX_WAIT, unix.SYS_FUTEX_REQUEUE,
	unix.SYS_SET_ROBUST_LIST, unix.SYS_GET_ROBUST_LIST, unix.SYS_RSEQ, unix.SYS_MEMBARRIER, unix.SYS_RESTART_SYSCALL,
	// Time.
	unix.SYS_CLOCK_GETTIME, unix.SYS_CLOCK_GETRES, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_NANOSLEEP, unix.SYS_GETTIMEOFDAY,
	unix.SYS_TIMES,
	unix.SYS_GETITIMER, unix.SYS_SETITIMER, unix.SYS_TIMER_CREATE, unix.SYS_TIMER_SETTIME, unix.SYS_TIMER_GETTIME,
	unix.SYS_TIMER_GETOVERRUN, unix.SYS_TIMER_DELETE, unix.SYS_TIMERFD_CREATE, unix.SYS_TIMERFD_SETTIME,
	unix.SYS_TIMERFD_GETTIME,
	// Memory.
	unix.SYS_MUNMAP, unix.SYS_MPROTECT, unix.SYS_MREMAP, unix.SYS_MADVISE, unix.SYS_BRK, unix.SYS_MSYNC,
	unix.SYS_MINCORE,
	unix.SYS_MLOCK, unix.SYS_MLOCK2, unix.SYS_MUNLOCK,
	// The process itself.
	unix.SYS_GETPID, unix.SYS_GETPPID, unix.SYS_GETTID, unix.SYS_GETPGID, unix.SYS_GETSID, unix.SYS_SETSID,
	unix.SYS_SETPGID,
	unix.SYS_GETUID, unix.SYS_GETEUID, unix.SYS_GETGID, unix.SYS_GETEGID, unix.SYS_GETRESUID, unix.SYS_GETRESGID,
	unix.SYS_GETGROUPS, unix.SYS_CAPGET,
	unix.SYS_SET_TID_ADDRESS, unix.SYS_GETRUSAGE, unix.SYS_SYSINFO, unix.SYS_UNAME, unix.SYS_GETRANDOM,
	unix.SYS_GETRLIMIT, unix.SYS_SETRLIMIT,
	unix.SYS_EXIT, unix.SYS_EXIT_GROUP, unix.SYS_WAIT4, unix.SYS_WAITID, unix.SYS_GETCPU, unix.SYS_GETPRIORITY,
	unix.SYS_SCHED_YIELD, unix.SYS_SCHED_GETAFFINITY, unix.SYS_SCHED_SETAFFINITY, unix.SYS_SCHED_GETPARAM,
	unix.SYS_SCHED_GETSCHEDULER,
	unix.SYS_SCHED_GET_PRIORITY_MAX, unix.SYS_SCHED_GET_PRIORITY_MIN,
	unix.SYS_RT_SIGRETURN, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPENDING,
	unix.SYS_RT_SIGTIMEDWAIT, unix.SYS_RT_SIGSUSPEND,
	unix.SYS_SIGALTSTACK, unix.SYS_SIGNALFD4,
	// Calls on an open socket.
	unix.SYS_CONNECT, unix.SYS_BIND, unix.SYS_LISTEN, unix.SYS_ACCEPT, unix.SYS_ACCEPT4, unix.SYS_SHUTDOWN,
	unix.SYS_SENDTO, unix.SYS_RECVFROM, unix.SYS_SENDMSG, unix.SYS_RECVMSG, unix.SYS_SENDMMSG, unix.SYS_RECVMMSG,
	unix.SYS_GETSOCKNAME, unix.SYS_GETPEERNAME, unix.SYS_GETSOCKOPT, unix.SYS_SETSOCKOPT,
}

// signalCalls reach the other processes of the pid namespace.
var signalCalls = []uint32{
	unix.SYS_KILL, unix.SYS_TKILL, unix.SYS_TGKILL, unix.SYS_RT_SIGQUEUEINFO, unix.SYS_RT_TGSIGQUEUEINFO,
	unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_SEND_SIGNAL,
}

// unsupportedCalls fail with ENOSYS: programs try them, and have a fallback.
var unsupportedCalls = []uint32{unix.SYS_CLONE3, unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER,
	unix.SYS_IO_URING_REGISTER}

// newestCall is the newest system call when this list was made. Later calls fail with ENOSYS, so that programs use
// their fallback.
const newestCall = unix.SYS_MSEAL

// Allowed operations of prctl and ioctl. None changes the rights of the program, or the process whose death ends it.
var (
	programPrctl = []uint64{unix.PR_SET_NAME, unix.PR_GET_NAME, setVMA, unix.PR_GET_DUMPABLE, unix.PR_GET_PDEATHSIG,
		unix.PR_CAPBSET_READ,
		unix.PR_SET_NO_NEW_PRIVS, unix.PR_GET_NO_NEW_PRIVS, unix.PR_GET_SECCOMP, unix.PR_GET_KEEPCAPS,
		unix.PR_GET_SECUREBITS,
		unix.PR_SET_TIMERSLACK, unix.PR_GET_TIMERSLACK, unix.PR_SET_THP_DISABLE, unix.PR_GET_THP_DISABLE,
		unix.PR_SET_CHILD_SUBREAPER, unix.PR_GET_CHILD_SUBREAPER}
	programIoctl = []uint64{unix.TCGETS, unix.TCGETS2, unix.TIOCGWINSZ, unix.TIOCGPGRP, unix.TIOCINQ, fionbio, fioclex,
		fionclex}
)

// Operations of ioctl that have the same number on both architectures.
const (
	fionbio  = 0x5421
	fioclex  = 0x5451
	fionclex = 0x5450
)

// noAddressFamily is the error of a socket on a machine without a network.
const noAddressFamily = unix.SECCOMP_RET_ERRNO | uint32(unix.EAFNOSUPPORT)

// allowOnly allows a call if its argument arg, all 64 bits of it, is one of values. Otherwise it returns the action
// otherwise.
func (p *Filter) allowOnly(nr, arg uint32, values []uint64, otherwise uint32) {
	var rest Filter
	rest.ret(otherwise)
	p.allowValues(nr, arg, values, rest)
}

// ProgramOptions are the properties of a program that its filter depends on.
type ProgramOptions struct {
	// PID is the process id if the process shares the host's pid namespace. Then it may only signal its own threads. 0
	// means that it has a pid namespace.
	PID int
	// Execution is the last argument of the one execveat that is allowed. The kernel ignores the argument.
	Execution uint64
	// Fork allows child processes.
	Fork bool
	// SharedMemory allows shared memory without a file. It must have a control group: no other limit counts it.
	SharedMemory bool
}

// Program returns the filter of a program. It allows exactly one execution: the call with o.Execution in a
// register that the kernel ignores. The executed program cannot read the register.
func Program(o ProgramOptions) Filter {
	var p Filter
	p.load(offsetArch)
	p.jump(unix.BPF_JEQ, nativeArch, 1, 0)
	p.ret(kill) // a call of another architecture has another number
	p.load(offsetNumber)
	p.jump(unix.BPF_JGE, x32, 0, 1)
	p.ret(kill)
	for _, nr := range slices.Concat(programCalls, legacyCalls) {
		p.call(nr, allow)
	}
	if o.PID == 0 { // a pid namespace hides all other processes
		for _, nr := range signalCalls {
			p.call(nr, allow)
		}
	} else {
		p.allowOnly(unix.SYS_TGKILL, 0, []uint64{uint64(o.PID)}, deny)
	}
	if o.SharedMemory {
		p.call(unix.SYS_MMAP, allow)
	} else {
		p.mmapUnshared()
	}
	p.clone(o.Fork)
	if o.Fork {
		for _, nr := range forkCalls {
			p.call(nr, allow)
		}
	}
	p.allowOnly(unix.SYS_EXECVEAT, 5, []uint64{o.Execution}, deny)
	p.allowOnly(unix.SYS_SOCKET, 0, []uint64{unix.AF_UNIX}, noAddressFamily)
	p.allowOnly(unix.SYS_SOCKETPAIR, 0, []uint64{unix.AF_UNIX}, noAddressFamily)
	p.allowOnly(unix.SYS_PRLIMIT64, 0, []uint64{0}, deny) // its own limits only
	p.allowOnly(unix.SYS_PRCTL, 0, programPrctl, deny)
	p.allowOnly(unix.SYS_IOCTL, 1, programIoctl, deny)
	for _, nr := range unsupportedCalls {
		p.call(nr, noSystemCall)
	}
	for _, nr := range forbidden {
		if !slices.Contains(unsupportedCalls, nr) { // ordinary programs try those
			p.call(nr, kill)
		}
	}
	p.jump(unix.BPF_JGT, newestCall, 0, 1)
	p.ret(noSystemCall)
	p.ret(deny)
	return p
}

// mmapUnshared allows mmap except for shared memory without a file.
func (p *Filter) mmapUnshared() {
	var body Filter
	body.load(offsetArgs + 8*3)
	body.jump(unix.BPF_JSET, unix.MAP_ANON, 0, 2)
	body.jump(unix.BPF_JSET, unix.MAP_SHARED, 0, 1)
	body.ret(deny)
	body.ret(allow)
	p.jump(unix.BPF_JEQ, unix.SYS_MMAP, 0, len(body))
	*p = append(*p, body...)
}

// clone allows threads, and processes if fork is true. A request for a namespace kills the process.
func (p *Filter) clone(fork bool) {
	var body Filter
	body.load(offsetArgs)
	body.jump(unix.BPF_JSET, newNamespaces, 0, 1)
	body.ret(kill)
	if fork {
		body.ret(allow)
	} else {
		body.jump(unix.BPF_JSET, unix.CLONE_THREAD, 0, 1)
		body.ret(allow)
		body.ret(deny)
	}
	p.jump(unix.BPF_JEQ, unix.SYS_CLONE, 0, len(body))
	*p = append(*p, body...)
}

// ProgramCalls returns the number of calls that [Program] allows with any arguments.
func ProgramCalls() int { return len(programCalls) + len(legacyCalls) }
