package namespace

import (
	"errors"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/hearthhost/hearth/sandbox/confine/capability"
)

// OverflowID is the conventional uid and gid that owns no files.
const OverflowID = 65534

// Attributes returns clone attributes for new mount, pid, net, ipc and uts namespaces, and for a user namespace if the
// host is not privileged.
func Attributes() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{
		// In a new session, so that it can finish when a Ctrl-C ends the host.
		Setsid:    true,
		Pdeathsig: syscall.SIGKILL,
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC |
			syscall.CLONE_NEWUTS,
	}
	if capability.Privileged() {
		return attr
	}
	// An ordinary user may map only one uid. Inside, it is not 0, so that no file grants it capabilities. The
	// capabilities that Enter needs are ambient.
	attr.Cloneflags |= syscall.CLONE_NEWUSER
	attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: OverflowID, HostID: os.Getuid(), Size: 1}}
	attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: OverflowID, HostID: os.Getgid(), Size: 1}}
	attr.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_SETPCAP}
	return attr
}

// Try tests whether a process can be cloned with attr. It executes a missing program, and so ends at once.
func Try(attr *syscall.SysProcAttr) error {
	proc := &syscall.ProcAttr{Sys: attr}
	_, err := syscall.ForkExec("/proc/self/nothing", []string{"nothing"}, proc) //nolint:gosec // constants
	if errors.Is(err, syscall.ENOENT) {
		return nil
	}
	return err
}

// Refused reports whether err, of starting a process, comes from its namespaces.
func Refused(err error) bool {
	return errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EINVAL) ||
		errors.Is(err, unix.EUSERS) || errors.Is(err, unix.ENOSYS)
}

// Remedy returns the usual reason on this machine for missing namespaces, as advice.
func Remedy() string {
	switch {
	case readsAs("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"):
		return "AppArmor denies user namespaces to programs without a profile: give hearth a profile with userns, " +
			"or set kernel.apparmor_restrict_unprivileged_userns to 0, or run the host as root"
	case readsAs("/proc/sys/kernel/unprivileged_userns_clone", "0"):
		return "set kernel.unprivileged_userns_clone to 1, or run the host as root"
	case readsAs("/proc/sys/user/max_user_namespaces", "0"):
		return "set user.max_user_namespaces to more than 0, or run the host as root"
	default:
		return "in a container, let it make namespaces; otherwise run the host as root"
	}
}

func readsAs(path, want string) bool {
	b, err := os.ReadFile(path) //nolint:gosec // a constant of the caller's
	return err == nil && strings.TrimSpace(string(b)) == want
}
