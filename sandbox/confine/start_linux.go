package confine

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"github.com/hearthhost/hearth/sandbox/confine/controlgroup"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// controlFD is the worker's number of the control socket; its first own is 3.
const controlFD = 4

// greeting is what a worker says first on its control socket: it waits for its orders.
const greeting = "?"

// notYet is what it hears if there are no orders yet: it greets again when it is warm.
const notYet = "\n"

// patience is how long a worker may take from its start to its report: a thousand times
// what it takes, for machines that are that busy.
const patience = 20 * time.Second

// maxReport bounds a worker's report, in bytes.
const maxReport = 64 << 10

// orders is what Start tells Enter.
type orders struct {
	Spec       Spec
	Namespaces bool    // the process has been cloned into its own
	UID, GID   uint32  // to become; 0 means to stay
	Done       []Layer // what became of those that the host puts on
}

// Worker is a started worker process, confined once Confine has returned. Its cmd belongs
// to it: end it with cmd.Process.Kill, and wait with Wait.
type Worker struct {
	Layers []Layer // what became of each, in the order of Names; nil before Confine

	cmd     *exec.Cmd
	control *os.File            // on which it waits for its orders; nil once it has them
	group   *controlgroup.Group // nil: none
	ended   chan struct{}       // closed when the process has been waited for
}

// Start starts cmd as a worker confined by spec and returns when all layers hold. The
// process must call Enter. cmd.ExtraFiles holds the worker's socket and nothing else;
// Start sets cmd.SysProcAttr. If the worker is refused, it has been ended and waited for
// and the error is a *Refused.
func Start(cmd *exec.Cmd, spec Spec) (*Worker, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	attr, missed := cloning(spec)
	w, err := prepare(cmd, attr)
	if err == nil {
		err = w.confine(spec, missed)
	}
	if err != nil {
		return nil, err
	}
	return w, nil
}

// Prepare starts cmd as Start does, in its namespaces, and returns when the process has
// called Enter, has made itself warm, and waits for Confine. It ends with the host.
func Prepare(cmd *exec.Cmd) (*Worker, error) {
	w, err := prepare(cmd, inNamespaces())
	if err != nil {
		return nil, err
	}
	if _, err = w.control.WriteString(notYet); err == nil {
		err = w.greeted()
	}
	if err != nil {
		return nil, w.failed(err)
	}
	return w, nil
}

// Confine confines a worker that was prepared. The error is as Start's, and the worker has
// been ended and waited for after one.
func (w *Worker) Confine(spec Spec) error {
	if err := spec.Validate(); err != nil {
		w.End()
		return err
	}
	return w.confine(spec, nil)
}

// End ends the process and waits for it, instead of Confine.
func (w *Worker) End() {
	_ = w.cmd.Process.Kill()
	_ = w.Wait()
}

// prepare starts the process.
func prepare(cmd *exec.Cmd, attr *syscall.SysProcAttr) (*Worker, error) {
	if len(cmd.ExtraFiles) != 1 {
		return nil, errors.New("a worker inherits its socket and nothing else")
	}
	ours, theirs, err := controlPair()
	if err != nil {
		return nil, err
	}
	cmd.ExtraFiles = append(slices.Clip(cmd.ExtraFiles), theirs)
	w := &Worker{cmd: cmd, control: ours, ended: make(chan struct{})}
	err = w.launch(attr)
	theirs.Close() // so that the process alone holds it, whose end it tells
	if err != nil {
		ours.Close()
		return nil, err
	}
	if err := w.greeted(); err != nil {
		return nil, w.failed(err)
	}
	return w, nil
}

// greeted waits until the process waits for its orders.
func (w *Worker) greeted() error {
	if err := w.control.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := io.ReadFull(w.control, make([]byte, len(greeting))); err != nil {
		return fmt.Errorf("waiting for the worker: %w", err)
	}
	return nil
}

// failed ends the process because of err, and returns why.
func (w *Worker) failed(err error) error {
	_ = w.cmd.Process.Kill()
	if state := w.Wait(); state != nil && errors.Is(err, io.EOF) {
		return fmt.Errorf("the worker ended before it was confined: %w", state)
	}
	return err
}

// confine has the process confine itself. missed is what became of its namespaces if it
// was started without.
func (w *Worker) confine(spec Spec, missed *Layer) error {
	if err := w.order(plan(spec, missed)); err != nil {
		return w.failed(err)
	}
	w.control.Close()
	w.control = nil
	return nil
}

// cloning is how a process of spec is cloned: without namespaces only if spec does without
// and there are none, which missed says.
func cloning(spec Spec) (attr *syscall.SysProcAttr, missed *Layer) {
	attr = inNamespaces()
	if !spec.allowsMissing(Namespaces) {
		return attr, nil
	}
	if err := tryClone(attr); err != nil {
		l := missing(Namespaces, "cloning a process", namespaceRemedy(), err)
		return &syscall.SysProcAttr{Setsid: true, Pdeathsig: attr.Pdeathsig}, &l
	}
	return attr, nil
}

// inNamespaces is how a process is cloned that gets them, by what the host may do.
func inNamespaces() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{
		// In a session of its own, so that a Ctrl-C meant for the host lets it finish.
		Setsid:     true,
		Pdeathsig:  syscall.SIGKILL,
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
	}
	if privileged() {
		return attr
	}
	// One uid is all that an ordinary user may map. Inside it has another name than root's,
	// so that nothing there gives capabilities to it; those that Enter needs are ambient.
	attr.Cloneflags |= syscall.CLONE_NEWUSER
	attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: nobody, HostID: os.Getuid(), Size: 1}}
	attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: nobody, HostID: os.Getgid(), Size: 1}}
	attr.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_SETPCAP}
	return attr
}

// plan settles what the worker does for spec, by what the host may do.
func plan(spec Spec, missed *Layer) orders {
	o := orders{Spec: spec, Namespaces: missed == nil}
	if missed != nil {
		o.Done = append(o.Done, *missed)
	}
	if privileged() {
		o.UID, o.GID = spec.UID, spec.GID
		if spec.UID == 0 {
			o.UID, o.GID = nobody, nobody
		}
		return o
	}
	if spec.UID != 0 {
		o.Done = append(o.Done, missing(UID, "looking at the host's capabilities",
			"run the host as root, or give the tenant no uid of its own",
			fmt.Errorf("only a host that is root can run a worker as uid %d", spec.UID)))
	}
	return o
}

// nobody is the uid and gid that by custom owns nothing.
const nobody = 65534

// privileged reports whether the host may make namespaces and change uids.
func privileged() bool {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if os.Geteuid() != 0 || unix.Capget(&hdr, &data[0]) != nil {
		return false
	}
	const need = 1<<unix.CAP_SYS_ADMIN | 1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID | 1<<unix.CAP_SETPCAP
	return data[0].Effective&need == need
}

// launch starts the process from a thread of its own that lives as long as the process
// does: the kernel kills a process with PDEATHSIG when the thread that started it ends. The
// error is a *Refused if there are no namespaces for it.
func (w *Worker) launch(attr *syscall.SysProcAttr) error {
	w.cmd.SysProcAttr = attr
	started := make(chan error, 1)
	go func() { // ends with the process, or at once if there is none
		// Never unlocked: the thread has lost capabilities and ends with its goroutine.
		runtime.LockOSThread()
		if privileged() {
			if err := keepNeeded(); err != nil {
				started <- fmt.Errorf("taking capabilities from a worker: %w", err)
				return
			}
		}
		err := w.cmd.Start()
		started <- err
		if err == nil {
			<-w.ended
		}
	}()
	err := <-started
	if err != nil && attr.Cloneflags != 0 && namespaceTrouble(err) {
		return &Refused{Layers: []Layer{missing(Namespaces, "cloning the process", namespaceRemedy(), err)}}
	}
	return err
}

// order sends the orders and checks the report.
func (w *Worker) order(o orders) error {
	ctl := w.control
	o.Done = append(o.Done, w.enterGroup(o.Spec))
	if err := check(o.Spec, o.unreported()); err != nil {
		return err
	}
	if err := ctl.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if err := json.NewEncoder(ctl).Encode(o); err != nil {
		return fmt.Errorf("telling the worker its limits: %w", err)
	}
	line, err := bufio.NewReader(io.LimitReader(ctl, maxReport)).ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("waiting for the worker's report: %w", err)
	}
	var reported []Layer
	if err := json.Unmarshal(line, &reported); err != nil {
		return fmt.Errorf("reading the worker's report: %w", err)
	}
	// The host's own word stands before the worker's.
	reported = append(o.Done, reported...)
	for _, name := range Names() {
		if i := slices.IndexFunc(reported, func(l Layer) bool { return l.Name == name }); i >= 0 {
			w.Layers = append(w.Layers, reported[i])
		}
	}
	return check(o.Spec, w.Layers)
}

// unreported returns what is known before the worker has said anything: the host's
// layers, and the others as if they held.
func (o *orders) unreported() []Layer {
	all := slices.Clone(o.Done)
	for _, name := range Names() {
		all = append(all, holds(name, "presumed"))
	}
	return all
}

const cgroupRemedy = "run the host as root, or as a systemd service with Delegate=yes, " +
	"or set no limit of memory, pids and cpus"

// enterGroup makes the process's control group and moves it there, before it does anything.
func (w *Worker) enterGroup(spec Spec) Layer {
	if !spec.grouped() {
		return Layer{Name: Cgroup, How: "no limit of memory, pids or cpus is set"}
	}
	limits := controlgroup.Limits{MemoryBytes: spec.MemoryBytes, Pids: spec.Pids, CPUs: spec.CPUs}
	g, err := controlgroup.New(limits, w.cmd.Process.Pid)
	if err != nil {
		return missing(Cgroup, "making a group under the host's own", cgroupRemedy, err)
	}
	w.group = g
	return holds(Cgroup, g.String())
}

// Wait waits for the process to end, once, and clears up after it. The error says if the
// kernel killed it for want of memory.
func (w *Worker) Wait() error {
	err := w.cmd.Wait()
	close(w.ended)
	if w.control != nil {
		w.control.Close()
	}
	if w.group != nil {
		err = w.group.Explain(err)
		w.group.Remove()
	}
	return err
}

// controlPair returns the two ends of the control socket.
func controlPair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("making a worker's control socket: %w", err)
	}
	if err := unix.SetNonblock(fds[0], true); err != nil { // for deadlines
		_ = unix.Close(fds[0])
		_ = unix.Close(fds[1])
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "control"), os.NewFile(uintptr(fds[1]), "control"), nil
}

// tryClone reports whether a process can be cloned as attr says. It would run a program
// that is not there, and ends by that.
func tryClone(attr *syscall.SysProcAttr) error {
	_, err := syscall.ForkExec("/proc/self/nothing", []string{"nothing"}, &syscall.ProcAttr{Sys: attr}) //nolint:gosec // constants
	if errors.Is(err, syscall.ENOENT) {
		return nil
	}
	return err
}

// namespaceTrouble reports whether a process did not start because of its namespaces.
func namespaceTrouble(err error) bool {
	return errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EINVAL) ||
		errors.Is(err, unix.EUSERS) || errors.Is(err, unix.ENOSYS)
}

// namespaceRemedy says what usually keeps namespaces away on this machine.
func namespaceRemedy() string {
	switch {
	case readsAs("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"):
		return "AppArmor keeps user namespaces from programs without a profile: give hearth one with the rule userns, " +
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

// Probe reports what each layer comes to on this machine: it starts argv, a worker, with
// everything weakened, asks it, and ends it. spec adds what a tenant asks for.
func Probe(argv []string, spec Spec) ([]Layer, error) {
	if len(argv) == 0 {
		return nil, errors.New("a probe needs the command of a worker")
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	spec.AllowMissing = Names()
	if !spec.grouped() {
		spec.MemoryBytes, spec.Pids, spec.CPUs = DefaultMemoryBytes, 256, 1
	}
	cmd := exec.Command(argv[0], argv[1:]...) //nolint:gosec,noctx // the host's own executable, ended below
	cmd.Env = []string{}
	cmd.Dir = "/"
	cmd.ExtraFiles = []*os.File{null}
	w, err := Start(cmd, spec)
	if err != nil {
		return nil, err
	}
	_ = cmd.Process.Kill()
	_ = w.Wait()
	return w.Layers, nil
}
