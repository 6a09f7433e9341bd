package confine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hearthhost/hearth/sandbox/confine/capability"
	"github.com/hearthhost/hearth/sandbox/confine/layer"
	"github.com/hearthhost/hearth/sandbox/confine/namespace"
)

// Group returns the gid of a program, and whether it differs from the host's.
func (p *Program) Group() (gid uint32, other bool) {
	if !capability.Privileged() {
		return uint32(os.Getgid()), false
	}
	if p.GID == 0 {
		return namespace.OverflowID, true
	}
	return p.GID, true
}

// EffectiveSpec returns the Spec of a program: the configured one, with a limit of processes if the program shares its
// uid.
func (p *Program) EffectiveSpec() Spec {
	s := p.Spec
	if capability.Privileged() && s.UID == 0 && s.Pids == 0 {
		s.Pids = defaultProgramPids
	}
	return s
}

// execFD is the descriptor of the executable in the process that executes a program.
const execFD = 3

// programOrders are sent by StartProgram to ExecConfined.
type programOrders struct {
	orders
	Program   Program
	ProbeOnly bool // only report: there is no program
}

// programReport is the reply of ExecConfined. The descriptor of the folder for sockets is attached.
type programReport struct {
	Layers    []layer.Layer
	ExecError string // reason why the program cannot be executed, or ""
}

// Process is a started and confined program. If it has a pid namespace, it is the first process there, and its child
// processes end with it.
type Process struct {
	Layers []layer.Layer // state of each layer, in the order of Names
	Dir    *os.File      // folder of its sockets, which no other process can reach; nil means Program.Dir

	w *Worker
}

// StartProgram starts cmd, which must call ExecConfined. It returns when cmd executes the program in cmd.ExtraFiles[0]
// with all layers applied. ExtraFiles has no other files. The file's mode must not allow reading: otherwise processes
// of the same uid could inspect the program. cmd.Args[0] and cmd.Env are the program's.
//
// After an error, or if ctx ends first, the process has been ended and waited for. The error is a *layer.Error if a
// layer is missing, and a *ProgramError if the program cannot be executed.
func StartProgram(ctx context.Context, cmd *exec.Cmd, p Program) (*Process, error) {
	return startProgram(ctx, cmd, p, false)
}

func startProgram(ctx context.Context, cmd *exec.Cmd, p Program, probeOnly bool) (*Process, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	if len(cmd.ExtraFiles) != 1 {
		return nil, errors.New("a program inherits its executable and nothing else")
	}
	p.Spec = p.EffectiveSpec()
	attr, noNamespaces := cloning(p.Spec)
	o := programOrders{orders: workerOrders(p.Spec, noNamespaces), Program: p, ProbeOnly: probeOnly}
	dir := Sockets
	if noNamespaces != nil { // without namespaces the program sees the host's folders
		dir = p.Dir
	}
	if p.DirVariable != "" {
		cmd.Env = append(slices.Clip(cmd.Env), p.DirVariable+"="+dir)
	}
	ours, theirs, err := controlPair()
	if err != nil {
		return nil, err
	}
	conn, err := net.FileConn(ours)
	ours.Close()
	if err != nil {
		theirs.Close()
		return nil, err
	}
	defer conn.Close()
	cmd.ExtraFiles = append(slices.Clip(cmd.ExtraFiles), theirs)
	pr := &Process{w: &Worker{cmd: cmd, ended: make(chan struct{})}}
	err = pr.w.launch(attr)
	theirs.Close() // only the process may hold it, so that its end is visible
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, pr.Kill)
	err = pr.await(conn.(*net.UnixConn), &o) //nolint:forcetypeassert // it is one end of a socket pair
	stopped := !stop()                       // ctx ended first, so Kill has run or will run
	if err == nil && stopped {
		err = ctx.Err()
	}
	if err != nil {
		pr.Kill()
		// The exit status explains a missing report better than the closed socket.
		if state := pr.Wait(); state != nil && errors.Is(err, errNoReport) {
			err = fmt.Errorf("it ended before it was confined: %w", state)
		}
		if pr.Dir != nil {
			pr.Dir.Close()
		}
		return nil, err
	}
	return pr, nil
}

// errNoReport is the error if the control socket ends before the report.
var errNoReport = errors.New("no report")

// await sends the orders, checks the report, and returns when executing the program closes the control socket.
func (pr *Process) await(conn *net.UnixConn, o *programOrders) error {
	group := pr.w.enterGroup(o.Spec)
	if o.Program.Pids == defaultProgramPids && o.Program.UID == 0 && !group.Holds {
		group.Remedy = `give the tenant a dedicated uid with user = "auto"; or ` + cgroupRemedy
	}
	o.Done = append(o.Done, group)
	if err := layer.Check(o.unreported(), o.Spec.AllowMissing); err != nil {
		return err
	}
	if err := conn.SetDeadline(time.Now().Add(reportTimeout)); err != nil {
		return err
	}
	if err := json.NewEncoder(conn).Encode(o); err != nil {
		return fmt.Errorf("sending the orders to the process: %w", err)
	}
	text, err := pr.receive(conn)
	if err != nil {
		return fmt.Errorf("waiting for the report: %w", err)
	}
	line, rest, whole := bytes.Cut(text, []byte("\n"))
	if !whole {
		return errNoReport
	}
	var report programReport
	if err := json.Unmarshal(line, &report); err != nil {
		return fmt.Errorf("reading the report: %w", err)
	}
	reported := append(slices.Clone(o.Done), report.Layers...) // the states that the host reports come first
	for _, name := range layer.Names() {
		if i := slices.IndexFunc(reported, func(l layer.Layer) bool { return l.Name == name }); i >= 0 {
			pr.Layers = append(pr.Layers, reported[i])
		}
	}
	if report.ExecError != "" {
		return &ProgramError{Text: report.ExecError}
	}
	if err := layer.Check(pr.Layers, o.Spec.AllowMissing); err != nil {
		return err
	}
	if len(rest) > 0 {
		n, _ := strconv.Atoi(string(rest))
		return &ProgramError{Errno: syscall.Errno(n)}
	}
	if pr.Dir == nil && o.Namespaces {
		return errors.New("the report has no descriptor of the folder for sockets")
	}
	return nil
}

// receive reads the control socket to the end, and takes the one descriptor that is attached.
func (pr *Process) receive(conn *net.UnixConn) ([]byte, error) {
	var text []byte
	b, oob := make([]byte, 4096), make([]byte, unix.CmsgSpace(4*4))
	for len(text) < maxReport {
		n, oobn, _, _, err := conn.ReadMsgUnix(b, oob)
		if errors.Is(err, io.EOF) {
			return text, nil
		}
		if err != nil {
			return nil, err
		}
		messages, err := unix.ParseSocketControlMessage(oob[:oobn])
		if err != nil {
			return nil, err
		}
		for i := range messages {
			fds, err := unix.ParseUnixRights(&messages[i])
			if err != nil {
				return nil, err
			}
			for _, fd := range fds {
				f := os.NewFile(uintptr(fd), "sockets")
				if pr.Dir != nil { // the process has no reason to send another
					f.Close()
					continue
				}
				pr.Dir = f
			}
		}
		text = append(text, b[:n]...)
	}
	return nil, errors.New("it is too long")
}

// Pid returns the process id in the host's pid namespace.
func (pr *Process) Pid() int { return pr.w.cmd.Process.Pid }

// Kill ends the program and, with its pid namespace, all its child processes. It is harmless after the end: the kernel
// identifies the process by a descriptor, if it supports that, and never by a reused number.
func (pr *Process) Kill() { _ = pr.w.cmd.Process.Kill() }

// Wait waits for the process to end, once, and releases its resources. The caller closes Dir.
func (pr *Process) Wait() error { return pr.w.Wait() }

// ProbeProgram reports the state of each layer on this machine. It starts argv, which must call ExecConfined, with a
// Spec that allows all layers to be missing, reads the report, and ends it.
func ProbeProgram(argv []string, p Program) ([]layer.Layer, error) {
	if len(argv) == 0 {
		return nil, errors.New("a probe requires the command of a plugin process")
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	p.AllowMissing = layer.Names()
	if !p.grouped() {
		p.MemoryBytes = DefaultMemoryBytes
		p.Pids = defaultProgramPids
		p.CPUs = 1
	}
	cmd := exec.Command(argv[0], argv[1:]...) //nolint:gosec,noctx // the host's own executable, ended below
	cmd.Env = []string{}
	cmd.Dir = "/"
	cmd.ExtraFiles = []*os.File{null}
	pr, err := startProgram(context.Background(), cmd, p, true)
	if err != nil {
		return nil, err
	}
	pr.Kill()
	_ = pr.Wait()
	if pr.Dir != nil {
		pr.Dir.Close()
	}
	return pr.Layers, nil
}
