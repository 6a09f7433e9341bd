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

	"github.com/hearthhost/hearth/sandbox/confine/capability"
	"github.com/hearthhost/hearth/sandbox/confine/executable"
	"github.com/hearthhost/hearth/sandbox/confine/layer"
	"github.com/hearthhost/hearth/sandbox/confine/rootfs"
)

// ExecConfined confines the calling process and executes a program. [StartProgram] sends the orders over the control
// socket. The program is descriptor 3; argv0 is its name, and it gets the process's environment. ExecConfined returns
// only an error. Then the process must end.
func ExecConfined(argv0 string) error {
	runtime.LockOSThread() // some layers apply to a thread, and this one executes the program
	line, err := readLine(controlFD)
	if err != nil {
		return fmt.Errorf("reading the control socket: %w", err)
	}
	var o programOrders
	if err := json.Unmarshal(line, &o); err != nil {
		return fmt.Errorf("reading the orders: %w", err)
	}
	closeOthers()
	b := execer{programOrders: &o, target: executable.Target{FD: execFD, Argv: []string{argv0}}, sockets: -1}
	report := programReport{Layers: b.apply()}
	if b.execErr != nil {
		report.ExecError = b.execErr.Error()
	}
	if err := b.sendReport(report); err != nil {
		return fmt.Errorf("reporting: %w", err)
	}
	refusal := layer.Check(append(o.Done, report.Layers...), o.Spec.AllowMissing)
	if refusal != nil || b.execErr != nil {
		return errors.Join(b.execErr, refusal)
	}
	if o.ProbeOnly {
		return nil
	}
	// After the execution the host sees the end of the control socket, which is close-on-exec. If it fails, the host
	// gets the error number instead.
	err = b.execute(syscall.Environ())
	var errno syscall.Errno
	errors.As(err, &errno)
	_ = writeAll(controlFD, strconv.AppendInt(nil, int64(errno), 10))
	return err
}

// execer is the process between its start and the execution of the program.
type execer struct {
	*programOrders
	target    executable.Target
	sockets   int    // descriptor of the folder for sockets, or -1
	execErr   error  // reason why the program cannot be executed
	execToken uint64 // argument by which the filter recognizes the one allowed execution
}

// apply applies every layer, as orders.apply does for a worker.
func (b *execer) apply() []layer.Layer {
	var bounded error
	var layers []layer.Layer
	for _, step := range []func() layer.Layer{
		b.enterRoot,
		func() layer.Layer {
			if b.UID != 0 {
				bounded = capability.DropNeeded()
			}
			return b.switchUser()
		},
		func() layer.Layer { return b.dropPrivileges(bounded) },
		func() layer.Layer {
			// After the last step that needs privileges, and before writing is forbidden.
			if !b.ProbeOnly {
				b.execErr = b.target.Prepare(b.Namespaces)
			}
			return b.setRlimits()
		},
		b.disableDumpable,
		dieWithParent,
		b.forbidFiles,
		b.filterCalls,
	} {
		l := step()
		layers = append(layers, l)
		if b.execErr != nil || l.Required && !l.Holds && !b.Spec.allowsMissing(l.Name) {
			break
		}
	}
	return layers
}

// setRlimits limits the resources of the program.
func (b *execer) setRlimits() layer.Layer {
	const how = "core 0, fsize, memlock 0, data, nofile and nproc"
	nproc := uint64(4096) // for a uid that others share: the control group limits the program
	if b.UID != 0 && b.Spec.UID != 0 || b.UID == 0 && b.Namespaces {
		nproc = uint64(max(defaultProgramPids, b.Spec.Pids))
	}
	return setLimits(how, []rlimit{
		{"core", unix.RLIMIT_CORE, 0},
		{"fsize", unix.RLIMIT_FSIZE, uint64(max(b.Program.TmpBytes, rootfs.SocketBytes))},
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

// disableDumpable makes this process and the program undumpable. The kernel makes a process dumpable again if it
// executes a readable file, so the program's file must not be readable.
func (b *execer) disableDumpable() layer.Layer {
	l := undumpable()
	if !l.Holds || b.ProbeOnly {
		return l
	}
	const how = "PR_SET_DUMPABLE 0, and the program's file cannot be read"
	var st unix.Stat_t
	if err := unix.Fstat(b.target.FD, &st); err != nil || st.Mode&0o444 != 0 {
		return layer.Missing(layer.Dumpable, how, "",
			fmt.Errorf("the program's file has the mode %o (%w)", st.Mode, err))
	}
	return layer.Held(layer.Dumpable, how)
}

// sendReport sends the report. The descriptor of the folder for sockets is attached to its first bytes.
func (b *execer) sendReport(r programReport) error {
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

// execute replaces this process by the program. All other descriptors are closed.
func (b *execer) execute(env []string) error {
	if err := unix.CloseRange(execFD, ^uint(0)>>1, unix.CLOSE_RANGE_CLOEXEC); err != nil &&
		!errors.Is(err, unix.ENOSYS) {
		return os.NewSyscallError("close_range", err)
	}
	if b.target.Inherited { // the interpreter reads the script from it
		if _, err := unix.FcntlInt(execFD, unix.F_SETFD, 0); err != nil {
			return err
		}
	}
	empty, err := unix.BytePtrFromString("")
	if err != nil {
		return err
	}
	argv, err := syscall.SlicePtrFromStrings(b.target.Argv)
	if err != nil {
		return err
	}
	envp, err := syscall.SlicePtrFromStrings(env)
	if err != nil {
		return err
	}
	_, _, errno := unix.RawSyscall6(unix.SYS_EXECVEAT, uintptr(b.target.FD),
		uintptr(unsafe.Pointer(empty)),    //nolint:gosec // kept alive below
		uintptr(unsafe.Pointer(&argv[0])), //nolint:gosec // kept alive below
		uintptr(unsafe.Pointer(&envp[0])), //nolint:gosec // kept alive below
		unix.AT_EMPTY_PATH, uintptr(b.execToken))
	runtime.KeepAlive(empty)
	runtime.KeepAlive(argv)
	runtime.KeepAlive(envp)
	return os.NewSyscallError("execveat", errno)
}

// newToken returns an unpredictable number.
func newToken() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.NativeEndian.Uint64(b[:])
}
