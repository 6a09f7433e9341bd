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
		{"read", unix.SYS_READ, nil, letThrough},
		{"futex", unix.SYS_FUTEX, nil, letThrough},
		{"openat", unix.SYS_OPENAT, nil, deny},
		{"execve", unix.SYS_EXECVE, nil, deny},
		{"a number that is none", 5000, nil, deny},
		{"x32's read", x32 | unix.SYS_READ, nil, kill},
		{"ptrace", unix.SYS_PTRACE, nil, kill},
		{"io_uring_setup", unix.SYS_IO_URING_SETUP, nil, kill},
		{"clone3", unix.SYS_CLONE3, nil, notThere},
		{"a thread", unix.SYS_CLONE, []uint64{goThread}, letThrough},
		{"a thread with upper bits", unix.SYS_CLONE, []uint64{goThread | 1<<40}, deny},
		{"a process", unix.SYS_CLONE, []uint64{17}, deny},
		{"a process in a namespace", unix.SYS_CLONE, []uint64{17 | unix.CLONE_NEWUSER}, kill},
		{"a thread in a namespace", unix.SYS_CLONE, []uint64{goThread | unix.CLONE_NEWPID}, kill},
		{"memory", unix.SYS_MMAP, []uint64{0, 4096, unix.PROT_READ | unix.PROT_WRITE}, letThrough},
		{"memory to execute", unix.SYS_MMAP, []uint64{0, 4096, unix.PROT_READ | unix.PROT_EXEC}, deny},
		{"its own thread", unix.SYS_TGKILL, []uint64{pid, 78, 23}, letThrough},
		{"another's", unix.SYS_TGKILL, []uint64{1, 1, 9}, deny},
		{"F_GETFL", unix.SYS_FCNTL, []uint64{3, unix.F_GETFL}, letThrough},
		{"F_SETOWN", unix.SYS_FCNTL, []uint64{3, unix.F_SETOWN}, deny},
		{"an argument that is the number of an allowed call", unix.SYS_FCNTL, []uint64{3, unix.SYS_MADVISE}, deny},
		{"PR_SET_DUMPABLE", unix.SYS_PRCTL, []uint64{unix.PR_SET_DUMPABLE, 1}, deny},
	}
	for _, tt := range tests {
		if got := answer(p, nativeArch, tt.nr, tt.args...); got != tt.want {
			t.Errorf("%s: %#x, want %#x", tt.name, got, tt.want)
		}
	}
	if got := answer(p, nativeArch+1, unix.SYS_READ); got != kill {
		t.Errorf("another architecture: %#x, want %#x", got, uint32(kill))
	}
	for _, nr := range deadly {
		if got := answer(p, nativeArch, nr); got != kill {
			t.Errorf("call %d: %#x, want %#x", nr, got, uint32(kill))
		}
	}
}

// answer runs a filter as the kernel does.
func answer(p Filter, arch, nr uint32, args ...uint64) uint32 {
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
