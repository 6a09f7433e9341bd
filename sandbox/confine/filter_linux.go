package confine

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/hearthhost/hearth/sandbox/confine/layer"
	"github.com/hearthhost/hearth/sandbox/confine/seccomp"
)

// skipFilter is set only by tests, which check the other layers alone.
var skipFilter bool

// filterCalls installs the filter and verifies that it rejects a call.
func filterCalls() layer.Layer {
	const how = "a filter on all threads"
	const remedy = "use a kernel with CONFIG_SECCOMP_FILTER"
	if skipFilter {
		return layer.Missing(layer.Seccomp, how, "", errors.New("a test left it out"))
	}
	if err := seccomp.Worker(os.Getpid()).Install(); err != nil {
		return layer.Missing(layer.Seccomp, how, remedy, err)
	}
	if _, err := unix.Getpgid(0); !errors.Is(err, unix.EPERM) {
		return layer.Missing(layer.Seccomp, how, remedy, fmt.Errorf("a forbidden call was not refused (%w)", err))
	}
	return layer.Held(layer.Seccomp, fmt.Sprintf("%s: %d calls allowed, 5 more with some arguments; "+
		"another was refused", how, seccomp.WorkerCalls()))
}

// filterCalls installs the filter and verifies that it rejects a call.
func (b *execer) filterCalls() layer.Layer {
	const how = "a filter on all threads"
	const remedy = "use a kernel with CONFIG_SECCOMP_FILTER"
	if skipFilter {
		return layer.Missing(layer.Seccomp, how, "", errors.New("a test left it out"))
	}
	b.execToken = newToken()
	o := seccomp.ProgramOptions{Execution: b.execToken, Fork: b.Program.Fork, SharedMemory: b.Program.MemoryBytes != 0}
	if !b.Namespaces {
		o.PID = os.Getpid()
	}
	if err := seccomp.Program(o).Install(); err != nil {
		return layer.Missing(layer.Seccomp, how, remedy, err)
	}
	if fd, err := unix.MemfdCreate("tried", unix.MFD_CLOEXEC); !errors.Is(err, unix.EPERM) {
		_ = unix.Close(fd)
		return layer.Missing(layer.Seccomp, how, remedy, fmt.Errorf("a forbidden call was not refused (%w)", err))
	}
	return layer.Held(layer.Seccomp, fmt.Sprintf("%s: %d calls allowed, 8 more with some arguments, one execution; "+
		"another call was refused", how, seccomp.ProgramCalls()))
}
