package confine

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/psx"
)

// Enter confines the calling process by the orders that come on its control socket, and
// reports. A worker calls it before it reads anything else and before it starts anything
// that holds files open; after it, no file can be opened. It returns the Spec under which
// the process now runs. After an error the process must end.
//
// If the process has been started in advance, warm is called first.
func Enter(warm func()) (Spec, error) {
	closeOthers()
	begun := begin()
	line, err := askForOrders()
	if err == nil && line[0] == '\n' {
		warm()
		line, err = askForOrders()
	}
	if err != nil {
		return Spec{}, err
	}
	var o orders
	if err := json.Unmarshal(line, &o); err != nil {
		return Spec{}, fmt.Errorf("reading the orders: %w", err)
	}
	layers := o.put(begun)
	refusal := check(o.Spec, append(slices.Clone(o.Done), layers...)) // told by the host
	report, err := json.Marshal(layers)
	if err != nil {
		return Spec{}, err
	}
	// If the host died before its death could reach this process, nobody reads this: the
	// write fails, and the worker ends.
	if err := writeAll(controlFD, append(report, '\n')); err != nil {
		return Spec{}, fmt.Errorf("reporting: %w", err)
	}
	if err := unix.Close(controlFD); err != nil {
		return Spec{}, err
	}
	return o.Spec, refusal
}

// askForOrders greets the host and returns the line that it says then.
func askForOrders() ([]byte, error) {
	if err := writeAll(controlFD, []byte(greeting)); err != nil {
		return nil, fmt.Errorf("greeting the host on the control socket: %w", err)
	}
	line, err := readLine(controlFD)
	if err != nil {
		return nil, fmt.Errorf("reading the control socket: %w", err)
	}
	return line, nil
}

// beginning is what a process does before it knows whose it is.
type beginning struct {
	root, files Layer
	bounded     error // why the bounding set of capabilities is not empty
}

// begin puts on the layers that are the same for everybody.
func begin() beginning {
	b := beginning{root: enterEmptyRoot()}
	if unix.Geteuid() == 0 {
		b.bounded = dropNeeded() // after the last mount; what the process may do now, it still may
	}
	b.files = forbidFiles()
	return b
}

// put puts on every other layer, each on top of the last, and reports on each. It stops at
// one that is missing and not weakened.
func (o *orders) put(begun beginning) []Layer {
	var layers []Layer
	for _, step := range []func() Layer{
		func() Layer {
			if !o.Namespaces { // the host knows why
				return o.Done[slices.IndexFunc(o.Done, func(l Layer) bool { return l.Name == Namespaces })]
			}
			return begun.root
		},
		func() Layer { return begun.files },
		o.becomeUser,
		func() Layer { return o.dropPrivileges(begun.bounded) },
		func() Layer { return setRlimits(o) },
		undumpable,
		dieWithParent,
		filterCalls,
	} {
		l := step()
		layers = append(layers, l)
		if l.Asked && !l.Holds && !o.Spec.allowsMissing(l.Name) {
			break
		}
	}
	return layers
}

// onAllThreads makes a system call on every thread of the process: Go has started some,
// and the kernel confines each for itself.
func onAllThreads(call, a, b, c uintptr) error {
	if _, _, errno := psx.Syscall6(call, a, b, c, 0, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// becomeUser takes the uid and gid that are ordered.
func (o *orders) becomeUser() Layer {
	if o.UID == 0 {
		return Layer{Name: UID, How: "the worker shares the host's uid"}
	}
	err := errors.Join(
		onAllThreads(unix.SYS_SETGROUPS, 0, 0, 0),
		onAllThreads(unix.SYS_SETRESGID, uintptr(o.GID), uintptr(o.GID), uintptr(o.GID)),
		onAllThreads(unix.SYS_SETRESUID, uintptr(o.UID), uintptr(o.UID), uintptr(o.UID)),
	)
	how := fmt.Sprintf("uid %d, gid %d, no other group", o.UID, o.GID)
	groups, gerr := unix.Getgroups()
	switch {
	case err == nil && (gerr != nil || len(groups) != 0 || unix.Getuid() != int(o.UID) || unix.Geteuid() != int(o.UID) || unix.Getegid() != int(o.GID)):
		err = fmt.Errorf("the process has uid %d, gid %d and groups %v afterwards", unix.Getuid(), unix.Getegid(), groups)
		fallthrough
	case err != nil:
		return Layer{Name: UID, Asked: true, How: how, Reason: err.Error(), Remedy: "give the host CAP_SETUID and CAP_SETGID"}
	case o.Spec.UID == 0:
		// Better than root, but shared: nobody asked for more.
		return Layer{Name: UID, How: how + ", shared with other workers"}
	}
	return holds(UID, how)
}

// needed are the capabilities that Enter uses where the host is root. The host has taken
// all others from the worker's bounding set before its first instruction.
var needed = []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_SETPCAP}

// keepNeeded takes all capabilities but needed from the calling thread's bounding set,
// and so from what it starts.
func keepNeeded() error {
	for c := range uintptr(64) {
		if slices.Contains(needed, c) {
			continue
		}
		err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0)
		if errors.Is(err, unix.EINVAL) {
			return nil // past the last
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// dropNeeded takes the rest.
func dropNeeded() error {
	for _, c := range needed {
		if err := onAllThreads(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, c, 0); err != nil {
			return err
		}
	}
	return nil
}

// dropPrivileges gives all capabilities up, for good. In a user namespace the bounding set
// stays full: it only bounds what running a program adds, and no_new_privs says that is
// nothing; to empty it on all threads would take longer than everything else here.
func (o *orders) dropPrivileges(bounded error) Layer {
	const how = "all sets of capabilities emptied, no_new_privs set, both read back"
	if err := onAllThreads(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0); err != nil {
		return missing(NoNewPrivs, how, "", err)
	}
	if err := onAllThreads(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0); err != nil {
		return missing(NoNewPrivs, how, "", err)
	}
	if err := emptyCapabilities(); err != nil {
		return missing(NoNewPrivs, how, "", err)
	}
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var left [2]unix.CapUserData
	if err := unix.Capget(&hdr, &left[0]); err != nil || left != [2]unix.CapUserData{} {
		return missing(NoNewPrivs, how, "", fmt.Errorf("capabilities %x are left (%w)", left, err))
	}
	if bounded != nil {
		return missing(NoNewPrivs, how, "give the host CAP_SETPCAP", fmt.Errorf("emptying the bounding set: %w", bounded))
	}
	return holds(NoNewPrivs, how)
}

// setRlimits bounds what the process may take of the machine.
func setRlimits(o *orders) Layer {
	const how = "core 0, fsize 0, memlock 0, data, nofile and nproc"
	nproc := uint64(4096) // of a uid that others share: enough for all their threads
	if o.UID != 0 && o.Spec.UID != 0 || o.UID == 0 && o.Namespaces {
		// Of a uid, or one in a user namespace, that is the worker's alone.
		nproc = maxThreads
	}
	return bound(how, []rlimit{
		{"core", unix.RLIMIT_CORE, 0},
		{"fsize", unix.RLIMIT_FSIZE, 0},
		{"memlock", unix.RLIMIT_MEMLOCK, 0},
		// Mapped memory counts, in use or not: the worker's collector leaves holes, which do not fit a large text.
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

// bound sets limits. Lower ones stay lower.
func bound(how string, limits []rlimit) Layer {
	for _, l := range limits {
		var old unix.Rlimit
		if err := unix.Getrlimit(l.resource, &old); err != nil {
			return missing(Rlimits, how, "", fmt.Errorf("%s: %w", l.name, err))
		}
		limit := min(l.max, old.Max)
		if err := unix.Setrlimit(l.resource, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
			return missing(Rlimits, how, "", fmt.Errorf("%s: %w", l.name, err))
		}
	}
	return holds(Rlimits, how)
}

const (
	maxThreads = 128 // a worker runs some ten
	maxFiles   = 64  // it has the standard ones, its socket, what it waits by for that, and the runtime's two
)

func undumpable() Layer {
	const how = "PR_SET_DUMPABLE 0, read back"
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return missing(Dumpable, how, "", err)
	}
	if v, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err != nil || v != 0 {
		return missing(Dumpable, how, "", fmt.Errorf("it is %d afterwards (%w)", v, err))
	}
	return holds(Dumpable, how)
}

// dieWithParent asks again for what the host asked for at the start: a change of uid
// makes the kernel forget it.
func dieWithParent() Layer {
	const how = "PR_SET_PDEATHSIG, from a thread that lives as long as the worker; the socket's end besides"
	if err := onAllThreads(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0); err != nil {
		return missing(ParentDeath, how, "", err)
	}
	return holds(ParentDeath, how)
}

// closeOthers closes what the process has inherited beyond its standard descriptors, its
// socket and the control socket. The runtime's own, which are no files, stay.
func closeOthers() {
	const looked = 1024
	var open []unix.PollFd
	for fd := int32(controlFD + 1); fd < looked; fd++ {
		open = append(open, unix.PollFd{Fd: fd})
	}
	// One call tells which are not open; where it fails, all may be.
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

// readLine reads until a newline, after which the host sends nothing.
func readLine(fd int) ([]byte, error) {
	var line []byte
	b := make([]byte, maxReport)
	for len(line) < maxReport {
		n, err := unix.Read(fd, b)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return nil, errors.New("it ended before the orders did")
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
