package confine

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hearthhost/hearth/internal/memfile"
	"github.com/hearthhost/hearth/sandbox/confine/capability"
	"github.com/hearthhost/hearth/sandbox/confine/controlgroup"
	"github.com/hearthhost/hearth/sandbox/confine/layer"
	"github.com/hearthhost/hearth/sandbox/confine/namespace"
)

// controlFD is the descriptor of the control socket in the worker. The worker's socket is 3.
const controlFD = 4

// readyMsg is sent by a worker that waits for its orders.
const readyMsg = "?"

// prepareMsg is the reply if there are no orders yet. The worker warms up and sends readyMsg again.
const prepareMsg = "\n"

// reportTimeout is the time from the start of a worker to its report: a thousand times the usual duration, for busy
// machines.
const reportTimeout = 20 * time.Second

// maxReport limits a worker's report, in bytes.
const maxReport = 64 << 10

// orders are sent by Start to Enter.
type orders struct {
	Spec       Spec
	Namespaces bool          // the process was cloned into new namespaces
	UID, GID   uint32        // to switch to; 0 means no switch
	Done       []layer.Layer // states of the layers that the host applies
}

// Worker is a started worker process. It is confined after Confine has returned. Worker owns its cmd: end it with
// cmd.Process.Kill, and wait with Wait.
type Worker struct {
	Layers []layer.Layer // state of each layer, in the order of Names; nil before Confine

	cmd     *exec.Cmd
	control *os.File            // control socket; nil after the orders were sent
	group   *controlgroup.Group // nil without a control group
	ended   chan struct{}       // closed when the process has been waited for
}

// Start starts cmd as a worker confined by spec and returns when all layers hold. The process must call Enter.
// cmd.ExtraFiles holds the worker's socket only. Start sets cmd.SysProcAttr. After an error the worker has been ended
// and waited for. The error is a *layer.Error if a required layer is missing.
func Start(cmd *exec.Cmd, spec Spec) (*Worker, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	attr, noNamespaces := cloning(spec)
	w, err := prepare(cmd, attr)
	if err == nil {
		err = w.confine(spec, noNamespaces)
	}
	if err != nil {
		return nil, err
	}
	return w, nil
}

// Prepare starts cmd in its namespaces, as Start does. It returns when the process has called Enter, has warmed up, and
// waits for Confine. The process ends with the host.
func Prepare(cmd *exec.Cmd) (*Worker, error) {
	w, err := prepare(cmd, namespace.Attributes())
	if err != nil {
		return nil, err
	}
	_, err = w.control.WriteString(prepareMsg)
	if err == nil {
		err = w.awaitReady()
	}
	if err != nil {
		return nil, w.abort(err)
	}
	return w, nil
}

// Confine confines a prepared worker. Errors are those of Start. After an error the worker has been ended and waited
// for.
func (w *Worker) Confine(spec Spec) error {
	if err := spec.Validate(); err != nil {
		w.End()
		return err
	}
	return w.confine(spec, nil)
}

// End ends a prepared process and waits for it.
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
	if fd := memfile.FD(cmd.Path); fd >= 0 {
		low := theirs
		theirs, err = memfile.Above(fd, low)
		low.Close()
		if err != nil {
			ours.Close()
			return nil, fmt.Errorf("making a worker's control socket: %w", err)
		}
	}
	cmd.ExtraFiles = append(slices.Clip(cmd.ExtraFiles), theirs)
	w := &Worker{cmd: cmd, control: ours, ended: make(chan struct{})}
	err = w.launch(attr)
	theirs.Close() // only the process may hold it, so that its end is visible
	if err != nil {
		ours.Close()
		return nil, err
	}
	if err := w.awaitReady(); err != nil {
		return nil, w.abort(err)
	}
	return w, nil
}

// awaitReady waits for the ready message.
func (w *Worker) awaitReady() error {
	if err := w.control.SetDeadline(time.Now().Add(reportTimeout)); err != nil {
		return err
	}
	if _, err := io.ReadFull(w.control, make([]byte, len(readyMsg))); err != nil {
		return fmt.Errorf("waiting for the worker: %w", err)
	}
	return nil
}

// abort ends the process and adds its exit status to err.
func (w *Worker) abort(err error) error {
	_ = w.cmd.Process.Kill()
	if state := w.Wait(); state != nil && errors.Is(err, io.EOF) {
		return fmt.Errorf("the worker ended before it was confined: %w", state)
	}
	return err
}

// confine sends the orders and waits for the report. noNamespaces is the state of the namespaces layer if the process
// was started without.
func (w *Worker) confine(spec Spec, noNamespaces *layer.Layer) error {
	if err := w.order(workerOrders(spec, noNamespaces)); err != nil {
		return w.abort(err)
	}
	w.control.Close()
	w.control = nil
	return nil
}

// cloning returns the clone attributes for spec. They are without namespaces only if spec allows that and none can be
// made; noNamespaces is then the state of the layer.
func cloning(spec Spec) (attr *syscall.SysProcAttr, noNamespaces *layer.Layer) {
	attr = namespace.Attributes()
	if !spec.allowsMissing(layer.Namespaces) {
		return attr, nil
	}
	if err := namespace.Try(attr); err != nil {
		l := layer.Missing(layer.Namespaces, "cloning a process", namespace.Remedy(), err)
		return &syscall.SysProcAttr{Setsid: true, Pdeathsig: attr.Pdeathsig}, &l
	}
	return attr, nil
}

// workerOrders returns the orders for spec, depending on the host's rights.
func workerOrders(spec Spec, noNamespaces *layer.Layer) orders {
	o := orders{Spec: spec, Namespaces: noNamespaces == nil}
	if noNamespaces != nil {
		o.Done = append(o.Done, *noNamespaces)
	}
	if capability.Privileged() {
		o.UID, o.GID = spec.UID, spec.GID
		if spec.UID == 0 {
			o.UID, o.GID = namespace.OverflowID, namespace.OverflowID
		}
		return o
	}
	if spec.UID != 0 {
		o.Done = append(o.Done, layer.Missing(layer.UID, "checking the host's capabilities",
			"run the host as root, or remove the tenant's uid from the policy",
			fmt.Errorf("only a host that is root can run a worker as uid %d", spec.UID)))
	}
	return o
}

// launch starts the process from a dedicated thread that lives as long as the process: the kernel sends PDEATHSIG when
// the thread that started a process ends. The error is a *layer.Error if namespaces cannot be made.
func (w *Worker) launch(attr *syscall.SysProcAttr) error {
	w.cmd.SysProcAttr = attr
	started := make(chan error, 1)
	go func() { // ends with the process, or at once without one
		// Not unlocked: the thread has lost capabilities and must end with its goroutine.
		runtime.LockOSThread()
		if capability.Privileged() {
			if err := capability.KeepNeeded(); err != nil {
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
	if err != nil && attr.Cloneflags != 0 && namespace.Refused(err) {
		lacking := layer.Missing(layer.Namespaces, "cloning the process", namespace.Remedy(), err)
		return &layer.Error{Layers: []layer.Layer{lacking}}
	}
	return err
}

// order sends the orders and checks the report.
func (w *Worker) order(o orders) error {
	ctl := w.control
	o.Done = append(o.Done, w.enterGroup(o.Spec))
	if err := layer.Check(o.unreported(), o.Spec.AllowMissing); err != nil {
		return err
	}
	if err := ctl.SetDeadline(time.Now().Add(reportTimeout)); err != nil {
		return err
	}
	if err := json.NewEncoder(ctl).Encode(o); err != nil {
		return fmt.Errorf("sending the orders to the worker: %w", err)
	}
	line, err := bufio.NewReader(io.LimitReader(ctl, maxReport)).ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("waiting for the worker's report: %w", err)
	}
	var reported []layer.Layer
	if err := json.Unmarshal(line, &reported); err != nil {
		return fmt.Errorf("reading the worker's report: %w", err)
	}
	// The states that the host reports come first.
	reported = append(o.Done, reported...)
	for _, name := range layer.Names() {
		if i := slices.IndexFunc(reported, func(l layer.Layer) bool { return l.Name == name }); i >= 0 {
			w.Layers = append(w.Layers, reported[i])
		}
	}
	return layer.Check(w.Layers, o.Spec.AllowMissing)
}

// unreported returns the states that are known before the worker's report: the host's layers, and the others as if they
// held.
func (o *orders) unreported() []layer.Layer {
	all := slices.Clone(o.Done)
	for _, name := range layer.Names() {
		all = append(all, layer.Held(name, "presumed"))
	}
	return all
}

const cgroupRemedy = "run the host as root, or as a systemd service with Delegate=yes, " +
	"or set no limit of memory, pids and cpus"

// enterGroup makes the process's control group and moves the process there, before its first instruction.
func (w *Worker) enterGroup(spec Spec) layer.Layer {
	if !spec.grouped() {
		return layer.Layer{Name: layer.Cgroup, How: "no limit of memory, pids or cpus is set"}
	}
	limits := controlgroup.Limits{MemoryBytes: spec.MemoryBytes, Pids: spec.Pids, CPUs: spec.CPUs}
	g, err := controlgroup.New(limits, w.cmd.Process.Pid)
	if err != nil {
		return layer.Missing(layer.Cgroup, "making a group under the host's own", cgroupRemedy, err)
	}
	w.group = g
	return layer.Held(layer.Cgroup, g.String())
}

// Wait waits for the process to end, once, and removes its control group. The error includes a kill by the kernel for
// lack of memory.
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

// Probe reports the state of each layer on this machine. It starts argv, a worker, with a Spec that allows all layers
// to be missing, reads the report, and ends it. spec adds a tenant's requirements.
func Probe(argv []string, spec Spec) ([]layer.Layer, error) {
	if len(argv) == 0 {
		return nil, errors.New("a probe requires the command of a worker")
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	spec.AllowMissing = layer.Names()
	if !spec.grouped() {
		spec.MemoryBytes = DefaultMemoryBytes
		spec.Pids = 256
		spec.CPUs = 1
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
