package confine

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/hearthhost/hearth/sandbox/confine/capability"
	"github.com/hearthhost/hearth/sandbox/confine/layer"

	"golang.org/x/sys/unix"
)

// Enter confines the calling process and reports to the host. The orders come over the control socket. A worker calls
// Enter before it reads any other input and before it starts anything that holds files open. After Enter, no file can
// be opened. It returns the Spec of the process. After an error the process must end.
//
// If the process was started in advance, warm is called first.
func Enter(warm func()) (Spec, error) {
	closeOthers()
	begun := applyCommon()
	line, err := receiveOrders()
	if err == nil && line[0] == '\n' {
		warm()
		line, err = receiveOrders()
	}
	if err != nil {
		return Spec{}, err
	}
	var o orders
	if err := json.Unmarshal(line, &o); err != nil {
		return Spec{}, fmt.Errorf("reading the orders: %w", err)
	}
	layers := o.apply(begun)
	refusal := layer.Check(append(slices.Clone(o.Done), layers...), o.Spec.AllowMissing) // the host reports o.Done
	report, err := json.Marshal(layers)
	if err != nil {
		return Spec{}, err
	}
	// If the host died before PDEATHSIG was set, the socket has no reader: the write fails, and the worker ends.
	if err := writeAll(controlFD, append(report, '\n')); err != nil {
		return Spec{}, fmt.Errorf("reporting: %w", err)
	}
	if err := unix.Close(controlFD); err != nil {
		return Spec{}, err
	}
	return o.Spec, refusal
}

// receiveOrders sends the ready message and returns the host's reply, one line.
func receiveOrders() ([]byte, error) {
	if err := writeAll(controlFD, []byte(readyMsg)); err != nil {
		return nil, fmt.Errorf("sending the ready message: %w", err)
	}
	line, err := readLine(controlFD)
	if err != nil {
		return nil, fmt.Errorf("reading the control socket: %w", err)
	}
	return line, nil
}

// commonLayers are the layers that are applied before the Spec is known.
type commonLayers struct {
	root, files layer.Layer
	bounded     error // error of reducing the bounding set of capabilities
}

// applyCommon applies the layers that do not depend on the Spec.
func applyCommon() commonLayers {
	b := commonLayers{root: enterEmptyRoot()}
	if unix.Geteuid() == 0 {
		b.bounded = capability.DropNeeded() // after the last mount; current capabilities remain
	}
	b.files = forbidFiles()
	return b
}

// apply applies all other layers in order and returns their states. It stops at a required layer that is missing.
func (o *orders) apply(begun commonLayers) []layer.Layer {
	var layers []layer.Layer
	for _, step := range []func() layer.Layer{
		func() layer.Layer {
			if !o.Namespaces { // the host reports the reason
				return o.Done[slices.IndexFunc(o.Done, func(l layer.Layer) bool { return l.Name == layer.Namespaces })]
			}
			return begun.root
		},
		func() layer.Layer { return begun.files },
		o.switchUser,
		func() layer.Layer { return o.dropPrivileges(begun.bounded) },
		func() layer.Layer { return setRlimits(o) },
		undumpable,
		dieWithParent,
		filterCalls,
	} {
		l := step()
		layers = append(layers, l)
		if l.Required && !l.Holds && !o.Spec.allowsMissing(l.Name) {
			break
		}
	}
	return layers
}

// switchUser takes the ordered uid and gid.
func (o *orders) switchUser() layer.Layer {
	if o.UID == 0 {
		return layer.Layer{Name: layer.UID, How: "the worker shares the host's uid"}
	}
	err := errors.Join(
		capability.OnAllThreads(unix.SYS_SETGROUPS, 0, 0, 0),
		capability.OnAllThreads(unix.SYS_SETRESGID, uintptr(o.GID), uintptr(o.GID), uintptr(o.GID)),
		capability.OnAllThreads(unix.SYS_SETRESUID, uintptr(o.UID), uintptr(o.UID), uintptr(o.UID)),
	)
	how := fmt.Sprintf("uid %d, gid %d, no other group", o.UID, o.GID)
	groups, gerr := unix.Getgroups()
	switch {
	case err == nil && (gerr != nil || len(groups) != 0 || unix.Getuid() != int(o.UID) ||
		unix.Geteuid() != int(o.UID) || unix.Getegid() != int(o.GID)):
		err = fmt.Errorf("the process has uid %d, gid %d and groups %v afterwards", unix.Getuid(), unix.Getegid(),
			groups)
		fallthrough
	case err != nil:
		return layer.Missing(layer.UID, how, "give the host CAP_SETUID and CAP_SETGID", err)
	case o.Spec.UID == 0:
		// Better than root, but shared. The Spec requires no more.
		return layer.Layer{Name: layer.UID, How: how + ", shared with other workers"}
	}
	return layer.Held(layer.UID, how)
}

// dropPrivileges removes all capabilities permanently. bounded is the error of reducing the bounding set.
func (o *orders) dropPrivileges(bounded error) layer.Layer {
	const how = "all sets of capabilities emptied, no_new_privs set, both read back"
	if err := capability.DropAll(); err != nil {
		return layer.Missing(layer.NoNewPrivs, how, "", err)
	}
	if bounded != nil {
		return layer.Missing(layer.NoNewPrivs, how, "give the host CAP_SETPCAP",
			fmt.Errorf("emptying the bounding set: %w", bounded))
	}
	return layer.Held(layer.NoNewPrivs, how)
}

// setRlimits limits the resources of the process.
func setRlimits(o *orders) layer.Layer {
	const how = "core 0, fsize 0, memlock 0, data, nofile and nproc"
	nproc := uint64(4096) // for a shared uid: enough for the threads of all its processes
	if o.UID != 0 && o.Spec.UID != 0 || o.UID == 0 && o.Namespaces {
		// The uid, or the uid in its user namespace, belongs to the worker alone.
		nproc = maxThreads
	}
	return setLimits(how, []rlimit{
		{"core", unix.RLIMIT_CORE, 0},
		{"fsize", unix.RLIMIT_FSIZE, 0},
		{"memlock", unix.RLIMIT_MEMLOCK, 0},
		// Mapped memory counts, used or not. The garbage collector leaves holes that do not fit a large text.
		{"data", unix.RLIMIT_DATA, uint64(o.Spec.Memory() / 4 * 5)},
		{"nofile", unix.RLIMIT_NOFILE, maxFiles},
		{"nproc", unix.RLIMIT_NPROC, nproc},
		{"msgqueue", unix.RLIMIT_MSGQUEUE, 0},
	})
}

// rlimit is one limit of a process.
type rlimit struct {
	name     string
	resource int
	max      uint64
}

// setLimits sets limits. It does not raise lower ones.
func setLimits(how string, limits []rlimit) layer.Layer {
	for _, l := range limits {
		var old unix.Rlimit
		if err := unix.Getrlimit(l.resource, &old); err != nil {
			return layer.Missing(layer.Rlimits, how, "", fmt.Errorf("%s: %w", l.name, err))
		}
		limit := min(l.max, old.Max)
		if err := unix.Setrlimit(l.resource, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
			return layer.Missing(layer.Rlimits, how, "", fmt.Errorf("%s: %w", l.name, err))
		}
	}
	return layer.Held(layer.Rlimits, how)
}

const (
	maxThreads = 128 // a worker runs about ten
	maxFiles   = 64  // the standard descriptors, its socket with the epoll descriptors, and two of the runtime
)

func undumpable() layer.Layer {
	const how = "PR_SET_DUMPABLE 0, read back"
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return layer.Missing(layer.Dumpable, how, "", err)
	}
	if v, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err != nil || v != 0 {
		return layer.Missing(layer.Dumpable, how, "", fmt.Errorf("it is %d afterwards (%w)", v, err))
	}
	return layer.Held(layer.Dumpable, how)
}

// dieWithParent sets PDEATHSIG again, because the kernel clears it when the uid changes.
func dieWithParent() layer.Layer {
	const how = "PR_SET_PDEATHSIG, from a thread that lives as long as the worker; the end of the socket, too"
	if err := capability.OnAllThreads(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0); err != nil {
		return layer.Missing(layer.ParentDeath, how, "", err)
	}
	return layer.Held(layer.ParentDeath, how)
}

// closeOthers closes inherited descriptors except the standard ones, the socket and the control socket. Descriptors of
// the runtime, which are not files, remain.
func closeOthers() {
	const looked = 1024
	open := make([]unix.PollFd, 0, looked-controlFD-1)
	for fd := int32(controlFD + 1); fd < looked; fd++ {
		open = append(open, unix.PollFd{Fd: fd})
	}
	// One call returns which are not open. If it fails, all are treated as open.
	_, _ = unix.Poll(open, 0)
	for _, p := range open {
		if p.Revents&unix.POLLNVAL != 0 {
			continue
		}
		var st unix.Stat_t
		if err := unix.Fstat(int(p.Fd), &st); err == nil && st.Mode&unix.S_IFMT != 0 {
			_ = unix.Close(int(p.Fd))
		}
	}
	_ = unix.CloseRange(looked, ^uint(0), 0)
}

// readLine reads up to a newline, after which the host sends nothing.
func readLine(fd int) ([]byte, error) {
	var line []byte
	b := make([]byte, 4<<10) // orders are short, and first use of memory is a large part of a worker's start
	for len(line) < maxReport {
		n, err := unix.Read(fd, b)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return nil, errors.New("the control socket ended before the orders")
		}
		line = append(line, b[:n]...)
		if line[len(line)-1] == '\n' {
			return line, nil
		}
	}
	return nil, errors.New("the orders are too long")
}

func writeAll(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := unix.Write(fd, b)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}
