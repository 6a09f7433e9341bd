package confine_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func socketpair() ([2]int, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.SetNonblock(fds[0], true)
	}
	return fds, err
}

// attacks are the attempts of a worker, by name. Each returns "refused" and the reason, or its result. The worker may
// end before it replies.
var attacks = map[string]func(arg string) string{
	"echo": func(s string) string { return s },

	// Files.
	"read": func(path string) string {
		b, err := os.ReadFile(path)
		return verdict(fmt.Sprintf("read %d bytes of %s", len(b), path), err)
	},
	"list": func(path string) string {
		entries, err := os.ReadDir(path)
		return verdict(fmt.Sprintf("%d entries of %s", len(entries), path), err)
	},
	"stat":  func(path string) string { return call(unix.SYS_NEWFSTATAT, atCWD, text(path), buffer(), 0) },
	"write": func(path string) string { return verdict("wrote", os.WriteFile(path, []byte("x"), 0o600)) },
	"mkdir": func(path string) string { return verdict("made", os.Mkdir(path, 0o700)) },
	"chroot": func(string) string {
		return call(unix.SYS_CHROOT, text("."))
	},
	"cwd-up":  func(string) string { return verdict("left", os.Chdir("..")) },
	"memfd":   func(string) string { return call(unix.SYS_MEMFD_CREATE, text("m"), 0) },
	"fds":     openDescriptors,
	"openat2": func(string) string { return call(unix.SYS_OPENAT2, atCWD, text("/"), buffer(), 24) },

	// Other processes.
	"ptrace":    func(pid string) string { return call(unix.SYS_PTRACE, unix.PTRACE_ATTACH, number(pid)) },
	"ptrace-me": func(string) string { return call(unix.SYS_PTRACE, unix.PTRACE_TRACEME) },
	"process-vm": func(pid string) string {
		return call(unix.SYS_PROCESS_VM_READV, number(pid), buffer(), 1, buffer(),
			1)
	},
	"kill-all":  func(string) string { return verdict("killed", unix.Kill(-1, unix.SIGKILL)) },
	"kill":      func(pid string) string { return verdict("killed", unix.Kill(int(number(pid)), unix.SIGKILL)) },
	"kill-ppid": func(string) string { return verdict("killed", unix.Kill(os.Getppid(), unix.SIGKILL)) },
	"tgkill": func(pid string) string {
		return verdict("killed", unix.Tgkill(int(number(pid)), int(number(pid)), unix.SIGKILL))
	},
	"pidfd":        func(pid string) string { return call(unix.SYS_PIDFD_OPEN, number(pid), 0) },
	"pidfd-signal": func(string) string { return call(unix.SYS_PIDFD_SEND_SIGNAL, 3, 9, 0, 0) },
	"prlimit": func(pid string) string {
		return call(unix.SYS_PRLIMIT64, number(pid), unix.RLIMIT_CORE, 0,
			buffer())
	},
	"exec":        func(path string) string { return verdict("executed", unix.Exec(path, []string{path}, nil)) },
	"exec-self":   func(string) string { return verdict("executed", exec.Command(os.Args[0]).Run()) },
	"fork":        func(string) string { return call(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0) },
	"fork-bomb":   forkBomb,
	"threads":     func(string) string { return threads(20) },
	"thread-bomb": threadBomb,
	"priority":    func(string) string { return verdict("raised", unix.Setpriority(unix.PRIO_PROCESS, 0, -20)) },

	// The network.
	"inet":    func(string) string { return socket(unix.AF_INET, unix.SOCK_STREAM) },
	"inet6":   func(string) string { return socket(unix.AF_INET6, unix.SOCK_DGRAM) },
	"unix":    func(string) string { return socket(unix.AF_UNIX, unix.SOCK_STREAM) },
	"netlink": func(string) string { return socket(unix.AF_NETLINK, unix.SOCK_RAW) },
	"packet":  func(string) string { return socket(unix.AF_PACKET, unix.SOCK_RAW) },
	"vsock":   func(string) string { return socket(unix.AF_VSOCK, unix.SOCK_STREAM) },
	"sockets": func(string) string { return call(unix.SYS_SOCKETPAIR, unix.AF_UNIX, unix.SOCK_STREAM, 0, buffer()) },
	"dial": func(addr string) string {
		_, err := net.DialTimeout("tcp", addr, time.Second)
		return verdict("connected", err)
	},
	"reconnect": func(string) string { return call(unix.SYS_CONNECT, 3, buffer(), 16) },

	// The kernel.
	"mount":       func(string) string { return verdict("mounted", unix.Mount("none", "/", "tmpfs", 0, "")) },
	"umount":      func(string) string { return verdict("unmounted", unix.Unmount("/", unix.MNT_DETACH)) },
	"fsopen":      func(string) string { return call(unix.SYS_FSOPEN, text("tmpfs"), 0) },
	"open-tree":   func(string) string { return call(unix.SYS_OPEN_TREE, atCWD, text("/"), 1) },
	"unshare":     func(string) string { return call(unix.SYS_UNSHARE, unix.CLONE_NEWUSER) },
	"unshare-net": func(string) string { return call(unix.SYS_UNSHARE, unix.CLONE_NEWNET) },
	"setns":       func(string) string { return call(unix.SYS_SETNS, 3, 0) },
	"clone-user": func(string) string {
		return call(unix.SYS_CLONE, unix.CLONE_NEWUSER|uintptr(unix.SIGCHLD), 0, 0, 0,
			0)
	},
	"clone-ns": func(string) string {
		return call(unix.SYS_CLONE, unix.CLONE_NEWNS|uintptr(unix.SIGCHLD), 0, 0, 0,
			0)
	},
	"clone3":      func(string) string { return call(unix.SYS_CLONE3, buffer(), 88) },
	"io-uring":    func(string) string { return call(unix.SYS_IO_URING_SETUP, 1, buffer()) },
	"bpf":         func(string) string { return call(unix.SYS_BPF, 0, buffer(), 64) },
	"keyctl":      func(string) string { return call(unix.SYS_KEYCTL, unix.KEYCTL_GET_KEYRING_ID, 0, 1) },
	"add-key":     func(string) string { return call(unix.SYS_ADD_KEY, text("user"), text("k"), text("v"), 1, 0) },
	"request-key": func(string) string { return call(unix.SYS_REQUEST_KEY, text("user"), text("k"), 0, 0) },
	"userfaultfd": func(string) string { return call(unix.SYS_USERFAULTFD, 0) },
	"perf":        func(string) string { return call(unix.SYS_PERF_EVENT_OPEN, buffer(), 0, 0, 0, 0) },
	"kexec":       func(string) string { return call(unix.SYS_KEXEC_LOAD, 0, 0, 0, 0) },
	"module":      func(string) string { return call(unix.SYS_INIT_MODULE, buffer(), 1, text("")) },
	"exec-memory": func(string) string {
		return call(unix.SYS_MMAP, 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANON, 0, 0)
	},
	"mlock":    func(string) string { return call(unix.SYS_MLOCKALL, 1) },
	"ioctl":    func(string) string { return call(unix.SYS_IOCTL, 0, unix.TIOCSTI, buffer()) },
	"hostname": func(string) string { return verdict("renamed", unix.Sethostname([]byte("x"))) },
	"clock":    func(string) string { return call(unix.SYS_CLOCK_SETTIME, 0, buffer()) },
	"reboot":   func(string) string { return call(unix.SYS_REBOOT, 0, 0, 0, 0) },

	// Its own privileges.
	"setuid":      func(id string) string { return raw(unix.SYS_SETUID, number(id)) },
	"setresuid":   func(id string) string { return raw(unix.SYS_SETRESUID, number(id), number(id), number(id)) },
	"setgid":      func(id string) string { return raw(unix.SYS_SETGID, number(id)) },
	"setgroups":   func(string) string { return raw(unix.SYS_SETGROUPS, 1, buffer()) },
	"capset":      func(string) string { return raw(unix.SYS_CAPSET, buffer(), buffer()) },
	"dumpable":    func(string) string { return call(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 1) },
	"outlive":     func(string) string { return call(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, 0) },
	"more-memory": func(string) string { return call(unix.SYS_SETRLIMIT, unix.RLIMIT_DATA, buffer()) },
	"new-filter":  func(string) string { return call(unix.SYS_SECCOMP, 1, 0, buffer()) },

	"memory": func(arg string) string {
		n := int(number(arg))
		b := make([]byte, n)
		for i := 0; i < n; i += 4096 {
			b[i] = 1
		}
		runtime.KeepAlive(b)
		return fmt.Sprintf("took %d bytes", n)
	},
	// Shared memory is not counted by RLIMIT_DATA.
	"shared-memory": func(arg string) string {
		b, err := unix.Mmap(-1, 0, int(number(arg)), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		return verdict(fmt.Sprintf("took %d bytes", len(b)), err)
	},
}

var atCWD = func() uintptr { fd := unix.AT_FDCWD; return uintptr(fd) }()

// kept holds the memory that arguments point to.
var kept []any

func text(s string) uintptr {
	b := append([]byte(s), 0)
	kept = append(kept, b)
	return uintptr(unsafe.Pointer(&b[0]))
}

func buffer() uintptr {
	b := new([256]byte)
	kept = append(kept, b)
	return uintptr(unsafe.Pointer(b))
}

func number(s string) uintptr {
	n, _ := strconv.Atoi(s)
	return uintptr(n)
}

func verdict(got string, err error) string {
	if err != nil {
		return "refused: " + err.Error()
	}
	return got
}

// call makes a system call. Only EPERM, EACCES and ENOSYS count as a refusal. An error about the arguments means that
// the kernel has examined them.
func call(nr uintptr, args ...uintptr) string {
	var a [6]uintptr
	copy(a[:], args)
	r, _, errno := unix.Syscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
	switch {
	case errno == 0:
		if nr == unix.SYS_CLONE && r == 0 {
			unix.Exit(0) // the child process
		}
		return fmt.Sprintf("got %d", r)
	case errno == unix.EPERM || errno == unix.EACCES || errno == unix.ENOSYS:
		return "refused: " + errno.Error()
	}
	return "looked at: " + errno.Error()
}

// raw makes a call on one thread. The library would make it on all threads.
func raw(nr uintptr, args ...uintptr) string {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return call(nr, args...)
}

func socket(family, typ int) string {
	fd, err := unix.Socket(family, typ, 0)
	if err == nil {
		unix.Close(fd)
	}
	return verdict("a socket", err)
}

// openDescriptors lists the open descriptors. It tries each number, and describes the file as far as the filter allows.
func openDescriptors(string) string {
	var open []string
	for fd := range uintptr(1024) {
		if _, _, errno := unix.Syscall(unix.SYS_FCNTL, fd, unix.F_GETFD, 0); errno == 0 {
			open = append(open, strconv.Itoa(int(fd)))
		} else if errno != unix.EBADF {
			return errno.Error()
		}
	}
	return strings.Join(open, " ")
}

// forkBomb clones in every way that makes a process.
func forkBomb(string) string {
	for _, flags := range []uintptr{0, unix.CLONE_VM, unix.CLONE_VM | unix.CLONE_VFORK, unix.CLONE_PARENT,
		unix.CLONE_FILES | unix.CLONE_FS} {
		for range 100 {
			r, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, flags|uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
			if errno == 0 {
				if r == 0 {
					unix.Exit(0)
				}
				return "forked"
			}
			if !errors.Is(errno, unix.EPERM) {
				return errno.Error()
			}
		}
	}
	return "refused: operation not permitted"
}

// threadBomb starts threads until an error.
func threadBomb(string) string {
	for range 3000 {
		go func() {
			runtime.LockOSThread()
			var fds [2]int
			if unix.Pipe2(fds[:], 0) == nil {
				_, _ = unix.Read(fds[0], make([]byte, 1)) // blocks
			}
			ts := unix.Timespec{Sec: 3600}
			_ = unix.Nanosleep(&ts, nil)
		}()
	}
	ts := unix.Timespec{Sec: 10}
	_ = unix.Nanosleep(&ts, nil)
	return "3000 threads"
}

// threads starts threads that exist at the same time, and returns when they all run.
func threads(n int) string {
	var running sync.WaitGroup
	running.Add(n)
	for range n {
		go func() {
			runtime.LockOSThread() // its thread ends with the goroutine
			running.Done()
			running.Wait()
		}()
	}
	running.Wait()
	return fmt.Sprint(n, " threads")
}
