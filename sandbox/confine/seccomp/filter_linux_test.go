package seccomp

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestFilter(t *testing.T) {
	const pid = 77
	p := Worker(pid)
	tests := []struct {
		name string
		nr   uint32
		args []uint64
		want uint32
	}{
		{"read", unix.SYS_READ, nil, allow},
		{"futex", unix.SYS_FUTEX, nil, allow},
		{"openat", unix.SYS_OPENAT, nil, deny},
		{"execve", unix.SYS_EXECVE, nil, deny},
		{"an unassigned number", 5000, nil, deny},
		{"x32's read", x32 | unix.SYS_READ, nil, kill},
		{"ptrace", unix.SYS_PTRACE, nil, kill},
		{"io_uring_setup", unix.SYS_IO_URING_SETUP, nil, kill},
		{"clone3", unix.SYS_CLONE3, nil, noSystemCall},
		{"a thread", unix.SYS_CLONE, []uint64{goThread}, allow},
		{"a thread with upper bits", unix.SYS_CLONE, []uint64{goThread | 1<<40}, deny},
		{"a process", unix.SYS_CLONE, []uint64{17}, deny},
		{"a process in a namespace", unix.SYS_CLONE, []uint64{17 | unix.CLONE_NEWUSER}, kill},
		{"a thread in a namespace", unix.SYS_CLONE, []uint64{goThread | unix.CLONE_NEWPID}, kill},
		{"memory", unix.SYS_MMAP, []uint64{0, 4096, unix.PROT_READ | unix.PROT_WRITE}, allow},
		{"memory to execute", unix.SYS_MMAP, []uint64{0, 4096, unix.PROT_READ | unix.PROT_EXEC}, deny},
		{"its own thread", unix.SYS_TGKILL, []uint64{pid, 78, 23}, allow},
		{"another's", unix.SYS_TGKILL, []uint64{1, 1, 9}, deny},
		{"F_GETFL", unix.SYS_FCNTL, []uint64{3, unix.F_GETFL}, allow},
		{"F_SETOWN", unix.SYS_FCNTL, []uint64{3, unix.F_SETOWN}, deny},
		{"an argument that is the number of an allowed call", unix.SYS_FCNTL, []uint64{3, unix.SYS_MADVISE}, deny},
		{"PR_SET_DUMPABLE", unix.SYS_PRCTL, []uint64{unix.PR_SET_DUMPABLE, 1}, deny},
	}
	for _, tt := range tests {
		if got := evaluate(p, nativeArch, tt.nr, tt.args...); got != tt.want {
			t.Errorf("%s: %#x, want %#x", tt.name, got, tt.want)
		}
	}
	if got := evaluate(p, nativeArch+1, unix.SYS_READ); got != kill {
		t.Errorf("another architecture: %#x, want %#x", got, uint32(kill))
	}
	for _, nr := range forbidden {
		if got := evaluate(p, nativeArch, nr); got != kill {
			t.Errorf("call %d: %#x, want %#x", nr, got, uint32(kill))
		}
	}
}

func TestProgram(t *testing.T) {
	const pid, execution = 77, 1<<40 | 5
	execveat := func(word uint64) []uint64 { return []uint64{3, 0, 0, 0, unix.AT_EMPTY_PATH, word} }
	shared := []uint64{0, 4096, unix.PROT_READ, unix.MAP_SHARED | unix.MAP_ANON}
	for _, tt := range []struct {
		name    string
		options ProgramOptions
		nr      uint32
		args    []uint64
		want    uint32
	}{
		{"the execution", ProgramOptions{}, unix.SYS_EXECVEAT, execveat(execution), allow},
		{"another execution", ProgramOptions{}, unix.SYS_EXECVEAT, execveat(5), deny},
		{"execve", ProgramOptions{}, unix.SYS_EXECVE, nil, deny},
		{"openat", ProgramOptions{}, unix.SYS_OPENAT, nil, allow},
		{"kill in a pid namespace", ProgramOptions{}, unix.SYS_KILL, nil, allow},
		{"kill without one", ProgramOptions{PID: pid}, unix.SYS_KILL, nil, deny},
		{"tgkill of a thread of the process", ProgramOptions{PID: pid}, unix.SYS_TGKILL, []uint64{pid}, allow},
		{"tgkill of another process", ProgramOptions{PID: pid}, unix.SYS_TGKILL, []uint64{1}, deny},
		{"a thread", ProgramOptions{}, unix.SYS_CLONE, []uint64{goThread}, allow},
		{"a process", ProgramOptions{}, unix.SYS_CLONE, []uint64{17}, deny},
		{"a process with Fork", ProgramOptions{Fork: true}, unix.SYS_CLONE, []uint64{17}, allow},
		{"a namespace with Fork", ProgramOptions{Fork: true}, unix.SYS_CLONE, []uint64{unix.CLONE_NEWUSER}, kill},
		{"shared memory", ProgramOptions{}, unix.SYS_MMAP, shared, deny},
		{"shared memory with a control group", ProgramOptions{SharedMemory: true}, unix.SYS_MMAP, shared, allow},
		{"a Unix socket", ProgramOptions{}, unix.SYS_SOCKET, []uint64{unix.AF_UNIX}, allow},
		{"a TCP socket", ProgramOptions{}, unix.SYS_SOCKET, []uint64{unix.AF_INET}, noAddressFamily},
		{"ptrace", ProgramOptions{}, unix.SYS_PTRACE, nil, kill},
		{"io_uring", ProgramOptions{}, unix.SYS_IO_URING_SETUP, nil, noSystemCall},
		{"a newer call", ProgramOptions{}, newestCall + 1, nil, noSystemCall},
	} {
		tt.options.Execution = execution
		if got := evaluate(Program(tt.options), nativeArch, tt.nr, tt.args...); got != tt.want {
			t.Errorf("%s: %#x, want %#x", tt.name, got, tt.want)
		}
	}
}

// evaluate evaluates a filter as the kernel does.
func evaluate(p Filter, arch, nr uint32, args ...uint64) uint32 {
	var a uint32
	for pc := 0; ; pc++ {
		switch i := p[pc]; i.Code {
		case 0x20: // load
			switch {
			case i.K == offsetNumber:
				a = nr
			case i.K == offsetArch:
				a = arch
			default:
				var v uint64
				if n := int(i.K-offsetArgs) / 8; n < len(args) {
					v = args[n]
				}
				if (i.K-offsetArgs)%8 != 0 {
					v >>= 32
				}
				a = uint32(v)
			}
		case 0x06:
			return i.K
		default:
			var yes bool
			switch i.Code {
			case 0x15:
				yes = a == i.K
			case 0x25:
				yes = a > i.K
			case 0x35:
				yes = a >= i.K
			case 0x45:
				yes = a&i.K != 0
			}
			if yes {
				pc += int(i.Jt)
			} else {
				pc += int(i.Jf)
			}
		}
	}
}
