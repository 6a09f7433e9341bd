package binary

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
)

// Cause is the reason why a plugin does not start.
type Cause string

// Causes.
const (
	CauseFile         Cause = "file cannot be read"
	CauseMode         Cause = "not executable"
	CausePin          Cause = "hash mismatch"
	CauseArchitecture Cause = "wrong architecture"
	CauseInterpreter  Cause = "missing interpreter"
	CauseFormat       Cause = "not a program"
	CauseNotPlugin    Cause = "not a plugin"
	CauseVersion      Cause = "wrong protocol version"
	CauseCrash        Cause = "ended before the handshake"
	CauseTimeout      Cause = "no handshake in time"
	CauseSocket       Cause = "socket path too long"
	CauseShim         Cause = "shim failed"
	CauseIsolation    Cause = "cannot be confined"
	CauseDescribe     Cause = "no usable description"
)

// StartError reports why a plugin did not start. It is for the log: clients get no details.
type StartError struct {
	Cause Cause
	Text  string // details and the fix
}

// Refusal reports whether the host rejected the file before starting a process. Only a change of the file or of the
// policy can change that, so it does not count as a crash.
func (e *StartError) Refusal() bool {
	return e.Cause == CauseFile || e.Cause == CauseMode || e.Cause == CausePin
}

// asStartError returns err as a [*StartError], with CauseFile if it has no cause.
func asStartError(err error) *StartError {
	var e *StartError
	if errors.As(err, &e) {
		return e
	}
	return Errorf(CauseFile, "%v", err)
}

// Error returns cause and text.
func (e *StartError) Error() string { return string(e.Cause) + ": " + e.Text }

// Errorf returns a [*StartError] with a formatted text.
func Errorf(c Cause, format string, args ...any) *StartError {
	return &StartError{c, fmt.Sprintf(format, args...)}
}

// ExplainExec returns the cause of a failed execution. head is the beginning of the executable.
func ExplainExec(path string, head []byte, errno syscall.Errno) *StartError {
	if interpreter, ok := shebang(head); ok {
		if _, err := os.Stat(interpreter); err != nil {
			return Errorf(CauseInterpreter, "%s is a script for %s, which does not exist", path, interpreter)
		}
	}
	if f, err := elf.NewFile(bytes.NewReader(head)); err == nil || bytes.HasPrefix(head, []byte(elf.ELFMAG)) {
		if machine := elfMachine(head); machine != nativeMachine() {
			return Errorf(CauseArchitecture, "%s is built for %v, and this machine is %s: build it with GOARCH=%s",
				path, machine, runtime.GOARCH, runtime.GOARCH)
		}
		if errors.Is(errno, syscall.ENOENT) && f != nil {
			return Errorf(CauseInterpreter,
				"%s needs the dynamic loader %q, which does not exist: build it with CGO_ENABLED=0", path, loader(f))
		}
	}
	if errors.Is(errno, syscall.ENOEXEC) {
		return Errorf(CauseFormat, "%s is neither a program of this system nor a script that begins with #!", path)
	}
	return Errorf(CauseShim, "executing %s: %v", path, errno)
}

// shebang returns the interpreter of a script.
func shebang(head []byte) (string, bool) {
	line, ok := bytes.CutPrefix(head, []byte("#!"))
	if !ok {
		return "", false
	}
	line, _, _ = bytes.Cut(line, []byte("\n"))
	f := strings.Fields(string(line))
	if len(f) == 0 {
		return "", false
	}
	return f[0], true
}

func elfMachine(head []byte) elf.Machine {
	if len(head) < 20 {
		return 0
	}
	if elf.Data(head[elf.EI_DATA]) == elf.ELFDATA2MSB {
		return elf.Machine(uint16(head[18])<<8 | uint16(head[19]))
	}
	return elf.Machine(uint16(head[19])<<8 | uint16(head[18]))
}

func nativeMachine() elf.Machine {
	switch runtime.GOARCH {
	case "amd64":
		return elf.EM_X86_64
	case "arm64":
		return elf.EM_AARCH64
	}
	return 0
}

// loader returns the dynamic loader that a program names, "" if it needs none.
func loader(f *elf.File) string {
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP && p.Filesz < 4096 {
			b := make([]byte, p.Filesz)
			if _, err := p.ReadAt(b, 0); err == nil {
				return strings.TrimRight(string(b), "\x00")
			}
		}
	}
	return ""
}
