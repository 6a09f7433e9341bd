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
)

// Group returns the gid as which a program runs, and whether it is another than the host's.
func (p *Program) Group() (gid uint32, other bool) {
	if !privileged() {
		return uint32(os.Getgid()), false
	}
	if p.GID == 0 {
		return nobody, true
	}
	return p.GID, true
}

// Wanted returns the Spec under which a program runs: its own, and a bound on processes
// where its uid is nobody's, of which what others have counts as its own.
func (p *Program) Wanted() Spec {
	s := p.Spec
	if privileged() && s.UID == 0 && s.Pids == 0 {
		s.Pids = defaultProgramPids
	}
	return s
}

// imageFD is the number under which the process that becomes a program has its executable.
const imageFD = 3

// programOrders is what StartProgram tells Become.
type programOrders struct {
	orders
	Program Program
	Try     bool // report and end: there is no program
}

// programReport is what Become answers. The folder of the sockets comes with it.
type programReport struct {
	Layers []Layer
	Cannot string // why the program cannot be executed; "" if nothing is known to stand in the way
}

// Process is a started and confined program. It is the first process of its pid namespace,
// if it has one: all that it has started ends with it.
type Process struct {
	Layers []Layer  // what became of each, in the order of Names
	Dir    *os.File // the folder of its sockets, which nobody else can reach; nil: Program.Dir

	w *Worker
}

// StartProgram starts cmd, which must call Become, and returns when it has become the
// program in cmd.ExtraFiles[0], the only one there, with all layers on. To make the program
// one that nobody of the same uid can look into, its file must not be readable by mode.
// cmd.Args[0] is the program's, and so is cmd.Env. If it does not come to that, or ctx ends
// first, the process has been ended and waited for; the error is a *Refused if a layer is
// missing, a *ProgramError if the program cannot be executed.
func StartProgram(ctx context.Context, cmd *exec.Cmd, p Program) (*Process, error) {
	return startProgram(ctx, cmd, p, false)
}

func startProgram(ctx context.Context, cmd *exec.Cmd, p Program, try bool) (*Process, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	if len(cmd.ExtraFiles) != 1 {
		return nil, errors.New("a program inherits its executable and nothing else")
	}
	p.Spec = p.Wanted()
	attr, missed := cloning(p.Spec)
	o := programOrders{orders: plan(p.Spec, missed), Program: p, Try: try}
	dir := Sockets
	if missed != nil {
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
	theirs.Close()
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, pr.Kill)
	err = pr.await(conn.(*net.UnixConn), &o) //nolint:forcetypeassert // it is one end of a socket pair
	stopped := !stop()
	if err == nil && stopped {
		err = ctx.Err()
	}
	if err != nil {
		pr.Kill()
		if state := pr.Wait(); state != nil && errors.Is(err, errSilent) {
			err = fmt.Errorf("it ended before it was confined: %w", state)
		}
		if pr.Dir != nil {
			pr.Dir.Close()
		}
		return nil, err
	}
	return pr, nil
}

// errSilent is a control socket that ended before the report did.
var errSilent = errors.New("no report")

// await sends the orders, checks the report, and returns when the control socket is closed,
// which it is by the execution of the program.
func (pr *Process) await(conn *net.UnixConn, o *programOrders) error {
	group := pr.w.enterGroup(o.Spec)
	if o.Program.Pids == defaultProgramPids && o.Program.UID == 0 && !group.Holds {
		group.Remedy = `give the tenant a uid of its own, by user = "auto"; or ` + cgroupRemedy
	}
	o.Done = append(o.Done, group)
	if err := check(o.Spec, o.unreported()); err != nil {
		return err
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if err := json.NewEncoder(conn).Encode(o); err != nil {
		return fmt.Errorf("telling the process its limits: %w", err)
	}
	said, err := pr.hear(conn)
	if err != nil {
		return fmt.Errorf("waiting for the report: %w", err)
	}
	line, rest, whole := bytes.Cut(said, []byte("\n"))
	if !whole {
		return errSilent
	}
	var report programReport
	if err := json.Unmarshal(line, &report); err != nil {
		return fmt.Errorf("reading the report: %w", err)
	}
	reported := append(slices.Clone(o.Done), report.Layers...) // the host's own word stands first
	for _, name := range Names() {
		if i := slices.IndexFunc(reported, func(l Layer) bool { return l.Name == name }); i >= 0 {
			pr.Layers = append(pr.Layers, reported[i])
		}
	}
	if report.Cannot != "" {
		return &ProgramError{Text: report.Cannot}
	}
	if err := check(o.Spec, pr.Layers); err != nil {
		return err
	}
	if len(rest) > 0 {
		n, _ := strconv.Atoi(string(rest))
		return &ProgramError{Errno: syscall.Errno(n)}
	}
	if pr.Dir == nil && o.Namespaces {
		return errors.New("the folder of the sockets did not come with the report")
	}
	return nil
}

// hear reads to the end, and takes the one descriptor that comes with it.
func (pr *Process) hear(conn *net.UnixConn) ([]byte, error) {
	var said []byte
	b, oob := make([]byte, 4096), make([]byte, unix.CmsgSpace(4*4))
	for len(said) < maxReport {
		n, oobn, _, _, err := conn.ReadMsgUnix(b, oob)
		if errors.Is(err, io.EOF) {
			return said, nil
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
				if pr.Dir != nil {
					f.Close()
					continue
				}
				pr.Dir = f
			}
		}
		said = append(said, b[:n]...)
	}
	return nil, errors.New("it is too long")
}

// Pid returns the process id, as the host sees it.
func (pr *Process) Pid() int { return pr.w.cmd.Process.Pid }

// Kill ends the program and, with its pid namespace, all that it has started. It is
// harmless after the end, since the process is known by a descriptor where the kernel has
// such, and never by a number that it no longer has.
func (pr *Process) Kill() { _ = pr.w.cmd.Process.Kill() }

// Wait waits for the process to end, once, and clears up after it. The Dir is the caller's
// to close.
func (pr *Process) Wait() error { return pr.w.Wait() }

// ProbeProgram reports what each layer comes to on this machine: it starts argv, which must
// call Become, with everything weakened, asks it, and ends it.
func ProbeProgram(argv []string, p Program) ([]Layer, error) {
	if len(argv) == 0 {
		return nil, errors.New("a probe needs the command of a process that becomes a program")
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	p.AllowMissing = Names()
	if !p.grouped() {
		p.MemoryBytes, p.Pids, p.CPUs = DefaultMemoryBytes, defaultProgramPids, 1
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
