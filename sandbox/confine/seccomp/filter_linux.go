package seccomp

import (
	"fmt"
	"runtime"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// goThread are the clone flags for threads of the Go runtime.
const goThread = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_SYSVSEM |
	unix.CLONE_THREAD

// newNamespaces are the flags of clone that make namespaces.
const newNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
	unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET

// setVMA is the prctl with which the Go runtime names its memory.
const setVMA = 0x53564d41

// allowed are the system calls that a worker may make with any arguments. The calls of a warm worker are first, because
// some kernels check the filter from the top at each call. No call takes a path, opens a descriptor that can do more
// than wait, or reaches another process.
var allowed = []uint32{
	unix.SYS_READ, unix.SYS_WRITE, unix.SYS_FUTEX, unix.SYS_EPOLL_PWAIT, unix.SYS_NANOSLEEP, unix.SYS_SCHED_YIELD,
	unix.SYS_CLOCK_GETTIME, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_GETTID, unix.SYS_GETPID, unix.SYS_MADVISE,
	unix.SYS_MUNMAP,
	unix.SYS_RT_SIGRETURN, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGACTION, unix.SYS_SIGALTSTACK,
	unix.SYS_RESTART_SYSCALL,
	unix.SYS_CLOSE, unix.SYS_EPOLL_CREATE1, unix.SYS_EPOLL_CTL, unix.SYS_EVENTFD2, unix.SYS_PIPE2,
	unix.SYS_GETRANDOM, unix.SYS_EXIT, unix.SYS_EXIT_GROUP,
}

// forbidden are system calls that no worker makes by mistake. They kill the process.
var forbidden = []uint32{
	unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_KCMP, unix.SYS_PIDFD_GETFD,
	unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT, unix.SYS_MOVE_MOUNT, unix.SYS_OPEN_TREE,
	unix.SYS_FSOPEN, unix.SYS_FSCONFIG, unix.SYS_FSMOUNT, unix.SYS_FSPICK, unix.SYS_MOUNT_SETATTR,
	unix.SYS_KEYCTL, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY,
	unix.SYS_BPF, unix.SYS_USERFAULTFD, unix.SYS_PERF_EVENT_OPEN, unix.SYS_KEXEC_LOAD, unix.SYS_KEXEC_FILE_LOAD,
	unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE,
	unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER,
	unix.SYS_UNSHARE, unix.SYS_SETNS,
}

// Results of a filter.
const (
	allow        = unix.SECCOMP_RET_ALLOW
	deny         = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM) // the process can handle the error
	noSystemCall = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
	kill         = unix.SECCOMP_RET_KILL_PROCESS
)

// x32 is the bit that marks the second set of system call numbers of amd64.
const x32 = 0x40000000

// Offsets in struct seccomp_data.
const (
	offsetNumber = 0
	offsetArch   = 4
	offsetArgs   = 16 // 8 bytes each, the lower half first
)

// Filter is a seccomp filter. Each rule expects the number of the call in the accumulator. It returns, or keeps the
// number there.
type Filter []unix.SockFilter

func (p *Filter) load(offset uint32) {
	*p = append(*p, unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset})
}

// jump compares the accumulator with k, and skips yes or no instructions.
func (p *Filter) jump(op uint16, k uint32, yes, no int) {
	*p = append(*p, unix.SockFilter{Code: unix.BPF_JMP | op | unix.BPF_K, K: k, Jt: uint8(yes), Jf: uint8(no)})
}

func (p *Filter) ret(action uint32) {
	*p = append(*p, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action})
}

// call returns action for a call with any arguments.
func (p *Filter) call(nr, action uint32) {
	p.jump(unix.BPF_JEQ, nr, 0, 1)
	p.ret(action)
}

// callWith allows a call if its argument arg, all 64 bits of it, is one of values. Otherwise the call is denied; it
// kills the process if the lower half has one of bits.
func (p *Filter) callWith(nr uint32, arg uint32, values []uint64, bits uint32) {
	var rest Filter
	rest.load(offsetArgs + 8*arg)
	rest.jump(unix.BPF_JSET, bits, 0, 1)
	rest.ret(kill)
	rest.ret(deny)
	p.allowValues(nr, arg, values, rest)
}

// allowValues allows a call if its argument arg, all 64 bits of it, is one of values. Otherwise rest decides.
func (p *Filter) allowValues(nr, arg uint32, values []uint64, rest Filter) {
	var body Filter
	for _, v := range values {
		body.load(offsetArgs + 8*arg + 4)
		body.jump(unix.BPF_JEQ, uint32(v>>32), 0, 3)
		body.load(offsetArgs + 8*arg)
		body.jump(unix.BPF_JEQ, uint32(v), 0, 1)
		body.ret(allow)
	}
	body = append(body, rest...)
	p.jump(unix.BPF_JEQ, nr, 0, len(body))
	*p = append(*p, body...)
}

// callWithout allows a call if the lower half of its argument arg has none of bits.
func (p *Filter) callWithout(nr uint32, arg uint32, bits uint32) {
	p.jump(unix.BPF_JEQ, nr, 0, 4)
	p.load(offsetArgs + 8*arg)
	p.jump(unix.BPF_JSET, bits, 0, 1)
	p.ret(deny)
	p.ret(allow)
}

// Worker returns the filter of a worker process. pid is its process id.
func Worker(pid int) Filter {
	var p Filter
	p.load(offsetArch)
	p.jump(unix.BPF_JEQ, nativeArch, 1, 0)
	p.ret(kill)
	p.load(offsetNumber)
	p.jump(unix.BPF_JGE, x32, 0, 1)
	p.ret(kill)
	for _, nr := range slices.Concat(allowed, moreCalls) {
		p.call(nr, allow)
	}
	p.callWithout(unix.SYS_MMAP, 2, unix.PROT_EXEC)
	p.callWith(unix.SYS_TGKILL, 0, []uint64{uint64(pid)}, 0) // signals between its threads
	p.callWith(unix.SYS_FCNTL, 1, []uint64{unix.F_GETFL, unix.F_GETFD, unix.F_SETFL, unix.F_DUPFD_CLOEXEC}, 0)
	p.callWith(unix.SYS_PRCTL, 0, []uint64{setVMA}, 0)
	p.callWith(unix.SYS_CLONE, 0, threadFlags, newNamespaces)
	// Its flags are behind a pointer. Callers that get ENOSYS fall back to clone.
	p.call(unix.SYS_CLONE3, noSystemCall)
	for _, nr := range forbidden {
		p.call(nr, kill)
	}
	p.ret(deny)
	return p
}

// Install applies the filter to all threads of the process. It sets no_new_privs, which a filter requires at least on
// the calling thread, even if the layer may be missing.
func (p Filter) Install() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	prog := unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]}
	r, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC,
		uintptr(unsafe.Pointer(&prog))) //nolint:gosec // prog lives until the call returns
	switch {
	case errno != 0:
		return errno
	case r != 0:
		return fmt.Errorf("thread %d has a different filter", r)
	}
	return nil
}

// WorkerCalls returns the number of calls that [Worker] allows with any arguments.
func WorkerCalls() int { return len(allowed) + len(moreCalls) }
