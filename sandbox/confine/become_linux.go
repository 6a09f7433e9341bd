package confine

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Become is StartProgram's other half: it confines the calling process by the orders that
// wait on its control socket and executes the program of descriptor 3 under argv0 and the
// process's environment. It returns only if that fails, and then the process must end.
func Become(argv0 string) error {
	runtime.LockOSThread()
	line, err := readLine(controlFD)
	if err != nil {
		return fmt.Errorf("reading the control socket: %w", err)
	}
	var o programOrders
	if err := json.Unmarshal(line, &o); err != nil {
		return fmt.Errorf("reading the orders: %w", err)
	}
	closeOthers()
	b := become{programOrders: &o, image: image{fd: imageFD, argv: []string{argv0}}, sockets: -1}
	report := programReport{Layers: b.put()}
	if b.cannot != nil {
		report.Cannot = b.cannot.Error()
	}
	if err := b.tell(report); err != nil {
		return fmt.Errorf("reporting: %w", err)
	}
	if refusal := check(o.Spec, append(o.Done, report.Layers...)); refusal != nil || b.cannot != nil {
		return errors.Join(b.cannot, refusal)
	}
	if o.Try {
		return nil
	}
	err = b.execute(syscall.Environ())
	var errno syscall.Errno
	errors.As(err, &errno)
	_ = writeAll(controlFD, strconv.AppendInt(nil, int64(errno), 10))
	return err
}

// become is the way of one process to its program.
type become struct {
	*programOrders
	image   image
	sockets int    // the folder of the sockets; -1: none
	cannot  error  // why the program cannot be executed
	once    uint64 // the word by which the filter knows the one execution that it allows
}

// put puts on every layer, as orders.put does for a worker.
func (b *become) put() []Layer {
	var bounded error
	var layers []Layer
	for _, step := range []func() Layer{
		b.enterRoot,
		func() Layer {
			if b.UID != 0 {
				bounded = dropNeeded()
			}
			return b.becomeUser()
		},
		func() Layer { return b.dropPrivileges(bounded) },
		func() Layer {
			// Between what needs privileges and what forbids writing.
			if !b.Try {
				b.cannot = b.image.prepare(b.Namespaces)
			}
			return b.setRlimits()
		},
		b.undumpable,
		dieWithParent,
		b.forbidFiles,
		b.filterCalls,
	} {
		l := step()
		layers = append(layers, l)
		if b.cannot != nil || l.Asked && !l.Holds && !b.Spec.allowsMissing(l.Name) {
			break
		}
	}
	return layers
}

// setRlimits bounds what the program may take of the machine.
func (b *become) setRlimits() Layer {
	const how = "core 0, fsize, memlock 0, data, nofile and nproc"
	nproc := uint64(4096) // of a uid that others share: its control group bounds it
	if b.UID != 0 && b.Spec.UID != 0 || b.UID == 0 && b.Namespaces {
		nproc = uint64(max(defaultProgramPids, b.Spec.Pids))
	}
	return bound(how, []rlimit{
		{"core", unix.RLIMIT_CORE, 0},
		{"fsize", unix.RLIMIT_FSIZE, uint64(max(b.Program.TmpBytes, socketBytes))},
		{"memlock", unix.RLIMIT_MEMLOCK, 0},
		{"data", unix.RLIMIT_DATA, uint64(b.Spec.Memory())},
		{"nofile", unix.RLIMIT_NOFILE, maxProgramFiles},
		{"nproc", unix.RLIMIT_NPROC, nproc},
		{"msgqueue", unix.RLIMIT_MSGQUEUE, 0},
		{"rtprio", unix.RLIMIT_RTPRIO, 0},
		{"nice", unix.RLIMIT_NICE, 0},
	})
}

const maxProgramFiles = 1024

// undumpable shuts this process, and sees to it that the program will be: the kernel makes
// one dumpable again by executing a file that can be read.
func (b *become) undumpable() Layer {
	l := undumpable()
	if !l.Holds || b.Try {
		return l
	}
	const how = "PR_SET_DUMPABLE 0, and the program's file cannot be read"
	var st unix.Stat_t
	if err := unix.Fstat(b.image.fd, &st); err != nil || st.Mode&0o444 != 0 {
		return missing(Dumpable, how, "", fmt.Errorf("the program's file has the mode %o (%w)", st.Mode, err))
	}
	return holds(Dumpable, how)
}

// tell sends the report, and the folder of the sockets with its first bytes.
func (b *become) tell(r programReport) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if b.sockets >= 0 {
		n, err := unix.SendmsgN(controlFD, text, unix.UnixRights(b.sockets), nil, unix.MSG_NOSIGNAL)
		if err != nil {
			return err
		}
		text = text[n:]
	}
	return writeAll(controlFD, text)
}

// execute makes the program of this process. Everything else that is open closes.
func (b *become) execute(env []string) error {
	if err := unix.CloseRange(imageFD, ^uint(0)>>1, unix.CLOSE_RANGE_CLOEXEC); err != nil && !errors.Is(err, unix.ENOSYS) {
		return os.NewSyscallError("close_range", err)
	}
	if b.image.inherited {
		if _, err := unix.FcntlInt(imageFD, unix.F_SETFD, 0); err != nil {
			return err
		}
	}
	empty, err := unix.BytePtrFromString("")
	if err != nil {
		return err
	}
	argv, err := syscall.SlicePtrFromStrings(b.image.argv)
	if err != nil {
		return err
	}
	envp, err := syscall.SlicePtrFromStrings(env)
	if err != nil {
		return err
	}
	_, _, errno := unix.RawSyscall6(unix.SYS_EXECVEAT, uintptr(b.image.fd), uintptr(unsafe.Pointer(empty)), //nolint:gosec // all are kept alive below
		uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&envp[0])), unix.AT_EMPTY_PATH, uintptr(b.once)) //nolint:gosec // the same
	runtime.KeepAlive(empty)
	runtime.KeepAlive(argv)
	runtime.KeepAlive(envp)
	return os.NewSyscallError("execveat", errno)
}

// newWord returns a word that nobody can guess.
func newWord() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.NativeEndian.Uint64(b[:])
}
