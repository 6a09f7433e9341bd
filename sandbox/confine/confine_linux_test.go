package confine_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hearthhost/hearth/internal/memfile"
	"github.com/hearthhost/hearth/sandbox/confine"
	"github.com/hearthhost/hearth/sandbox/confine/layer"
)

// The test binary is its own worker: it confines itself like a worker, and then executes the commands from its socket.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 1 && os.Args[1] == "worker":
		*confine.SkipFilter = len(os.Args) > 2 && os.Args[2] == "unfiltered"
		os.Exit(inside())
	case len(os.Args) > 1 && os.Args[1] == "host":
		os.Exit(shortLivedHost())
	}
	os.Exit(m.Run())
}

// program is the file that workers execute.
var program = os.Args[0]

// worker is a confined process and the test's end of its socket.
type worker struct {
	*confine.Worker
	cmd  *exec.Cmd
	conn *os.File
	in   *bufio.Reader

	stopped bool // it has been waited for
}

// begin starts a worker.
func begin(t *testing.T, spec confine.Spec) (*worker, error) {
	t.Helper()
	w, err := launch(spec)
	if err == nil {
		t.Cleanup(func() {
			w.conn.Close()
			if !w.stopped {
				_ = w.cmd.Process.Kill()
				_ = w.Wait()
			}
		})
	}
	return w, err
}

func launch(spec confine.Spec) (*worker, error) {
	ours, theirs, err := pair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	cmd := exec.Command(program, "worker")
	if slices.Contains(spec.AllowMissing, layer.Seccomp) {
		cmd.Args = append(cmd.Args, "unfiltered")
	}
	cmd.Env = []string{}
	cmd.Dir = "/"
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.Stderr = os.Stderr
	cw, err := confine.Start(cmd, spec)
	if err != nil {
		ours.Close()
		return nil, err
	}
	return &worker{Worker: cw, cmd: cmd, conn: ours, in: bufio.NewReader(ours)}, nil
}

// command sends a command to the worker and returns the reply, or "gone" if the worker has ended.
func (w *worker) command(t *testing.T, what string) string {
	t.Helper()
	_ = w.conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := fmt.Fprintln(w.conn, what); err != nil {
		return "gone"
	}
	line, err := w.in.ReadString('\n')
	if os.IsTimeout(err) {
		t.Fatalf("%s: no answer", what)
	}
	if err != nil {
		return "gone"
	}
	return strings.TrimSpace(line)
}

func pair() (ours, theirs *os.File, err error) {
	fds, err := socketpair()
	if err != nil {
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs"), nil
}

// inside is the worker's side: after confinement it answers each line of its socket.
func inside() int {
	runtime.GOMAXPROCS(1) // as in a worker; with cgo, the stack of each thread counts as 8 MiB of its memory
	if _, err := confine.Enter(func() {}); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		return 1
	}
	conn := os.NewFile(3, "link")
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		name, arg, _ := strings.Cut(lines.Text(), " ")
		a, ok := attacks[name]
		if !ok {
			fmt.Fprintln(conn, "no such attack")
			continue
		}
		fmt.Fprintln(conn, strings.ReplaceAll(a(arg), "\n", " "))
	}
	return 0
}

func TestEveryLayerHolds(t *testing.T) {
	w, err := begin(t, confine.Spec{})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range w.Layers {
		t.Log(l)
		if !l.Holds && l.Required {
			t.Errorf("%s", l)
		}
	}
	if len(w.Layers) != len(layer.Names()) {
		t.Errorf("%d layers are reported, want %d", len(w.Layers), len(layer.Names()))
	}
	if got := w.command(t, "echo hello"); got != "hello" {
		t.Errorf("the worker answers %q, want hello", got)
	}
}

// TestThreads: the runtime can make threads in a confined worker, which otherwise would end when it needs one. The
// flags depend on cgo: CI runs the test with it and without.
func TestThreads(t *testing.T) {
	w, err := begin(t, confine.Spec{})
	if err != nil {
		t.Fatal(err)
	}
	if got := w.command(t, "threads"); got != "20 threads" {
		t.Errorf("the worker answers %q, want 20 threads", got)
	}
}

// refusals are attacks that must be refused or end the worker, on root hosts and others. The second word of each is
// replaced: PID is the host's, FILE is a readable file, DIR a writable folder, ADDR a listener on the host's loopback.
var refusals = []string{
	"read /etc/passwd", "read FILE", "read /proc/self/status", "read /proc/1/environ", "list /proc", "list /",
	"list DIR",
	"stat /etc/passwd", "write DIR/x", "write /x", "write /tmp/x", "mkdir /x", "chroot", "cwd-up", "memfd", "openat2",
	"ptrace PID", "ptrace 1", "ptrace-me", "process-vm PID", "kill-all", "kill PID", "kill-ppid", "tgkill PID",
	"pidfd PID",
	"pidfd-signal", "prlimit PID", "exec /bin/true", "exec-self", "fork", "fork-bomb", "thread-bomb", "priority",
	"inet", "inet6", "unix", "netlink", "packet", "vsock", "sockets", "dial ADDR", "reconnect",
	"mount", "umount", "fsopen", "open-tree", "unshare", "unshare-net", "setns", "clone-user", "clone-ns", "clone3",
	"io-uring", "bpf", "keyctl", "add-key", "request-key", "userfaultfd", "perf", "kexec", "module", "exec-memory",
	"mlock", "ioctl", "hostname", "clock", "reboot",
	"setuid 0", "setresuid 0", "setgid 0", "setgroups", "capset", "dumpable", "outlive", "more-memory", "new-filter",
	"memory 800000000",
}

// deadly are attacks that must end the worker.
var deadly = []string{
	"ptrace", "ptrace-me", "process-vm", "mount", "umount", "fsopen", "open-tree", "chroot", "unshare", "unshare-net",
	"setns",
	"clone-user", "clone-ns", "io-uring", "bpf", "keyctl", "add-key", "request-key", "userfaultfd", "perf", "kexec",
	"module",
	"memory", "thread-bomb",
}

// withoutFilter are attacks that other layers refuse as well.
var withoutFilter = []string{
	"read /etc/passwd", "read FILE", "read /proc/1/environ", "list /proc", "list DIR", "write DIR/x", "write /x",
	"mkdir /x",
	"ptrace PID", "kill PID", "tgkill PID", "pidfd PID", "exec /bin/true", "exec-self",
	"dial ADDR", "mount", "umount", "hostname", "clock", "reboot", "setuid 0", "setresuid 0", "setgid 0", "setgroups",
	"chroot", "kexec", "module", "memory 800000000",
}

// specs are the two confinements that are possible for this uid.
func specs() map[string]confine.Spec {
	all := map[string]confine.Spec{"shared uid": {}}
	if os.Geteuid() == 0 {
		all["its own uid"] = confine.Spec{UID: 54321, GID: 54321}
	}
	return all
}

func TestAttacksAreRefused(t *testing.T) {
	for name, spec := range specs() {
		t.Run(name, func(t *testing.T) { attack(t, spec, refusals) })
	}
}

// TestAttacksAreRefusedWithoutTheFilter shows that the layers do not all depend on one.
func TestAttacksAreRefusedWithoutTheFilter(t *testing.T) {
	for name, spec := range specs() {
		spec.AllowMissing = []string{layer.Seccomp}
		t.Run(name, func(t *testing.T) { attack(t, spec, withoutFilter) })
	}
}

func attack(t *testing.T, spec confine.Spec, list []string) {
	dir := t.TempDir()
	file := filepath.Join(dir, "other-tenant")
	if err := os.WriteFile(file, []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	for d := dir; d != "/" && d != os.TempDir(); d = filepath.Dir(d) {
		_ = os.Chmod(d, 0o777)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	fill := strings.NewReplacer("PID", strconv.Itoa(os.Getpid()), "FILE", file, "DIR", dir, "ADDR", l.Addr().String())
	var w *worker
	for _, a := range list {
		if w == nil {
			w, err = begin(t, spec)
			if err != nil {
				t.Fatal(err)
			}
		}
		got := w.command(t, fill.Replace(a))
		name, _, _ := strings.Cut(a, " ")
		if got == "gone" {
			if !slices.Contains(deadly, name) {
				t.Errorf("%s: the worker is gone", a)
			}
			w = nil
			continue
		}
		if len(spec.AllowMissing) > 0 {
			// A process or uid that the kernel searches and does not find is out of reach.
			got = strings.NewReplacer("looked at: no such process", "refused", "looked at: invalid argument",
				"refused").Replace(got)
		}
		if !strings.HasPrefix(got, "refused") || slices.Contains(deadly, name) && len(spec.AllowMissing) == 0 {
			t.Errorf("%s: %s", a, got)
		}
	}
}

// TestInheritedDescriptors counts descriptors: the standard ones, the socket and its copy for the runtime, which adds
// two. The host has another file open without close-on-exec.
func TestInheritedDescriptors(t *testing.T) {
	fd, err := unix.Open("/etc/passwd", unix.O_RDONLY, 0) // without close-on-exec, on purpose
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	w, err := begin(t, confine.Spec{})
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Fields(w.command(t, "fds"))
	if len(got) > 6 {
		t.Errorf("descriptors %v are open, want 0 to 2, the socket and the runtime's two", got)
	}
}

// TestWorkerInMemory runs tests with workers that execute a sealed file in memory, as those of a packaged host do.
func TestWorkerInMemory(t *testing.T) {
	text, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	fd, err := memfile.New("hearth-worker", string(text))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	program = memfile.Path(fd)
	defer func() { program = os.Args[0] }()
	for name, test := range map[string]func(*testing.T){
		"layers":         TestEveryLayerHolds,
		"threads":        TestThreads,
		"attacks":        TestAttacksAreRefused,
		"without filter": TestAttacksAreRefusedWithoutTheFilter,
		"descriptors":    TestInheritedDescriptors,
		"cgroup":         TestCgroup,
	} {
		t.Run(name, test)
	}
	// With each number of the file that Go uses in the child process.
	for n := range 24 {
		again, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 5+n)
		if err != nil {
			t.Fatal(err)
		}
		program = memfile.Path(again)
		w, err := begin(t, confine.Spec{})
		if err != nil {
			t.Fatalf("descriptor %d: %v", again, err)
		}
		if got := w.command(t, "echo hello"); got != "hello" {
			t.Errorf("descriptor %d: the worker answers %q", again, got)
		}
		unix.Close(again)
	}
}

// TestWorkerInMemoryOfAnOrdinaryUser is TestWorkerInMemory for a host that is not root.
func TestWorkerInMemoryOfAnOrdinaryUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("TestWorkerInMemory is run by an ordinary user already")
	}
	dir, err := os.MkdirTemp("", "hearth") //nolint:usetesting // another user must be able to enter it
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	text, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		err = errors.Join(os.Chmod(dir, 0o755), os.WriteFile(filepath.Join(dir, "test"), text, 0o755))
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(dir, "test"), "-test.run=^TestWorkerInMemory$", "-test.v")
	cmd.Dir = "/"
	cmd.Env = []string{"TMPDIR=" + dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestWorkerInMemory/attacks") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestDiesWithItsHost kills a host with a worker. The worker must end although its socket stays open: the test holds a
// copy.
func TestDiesWithItsHost(t *testing.T) {
	ours, theirs, err := pair()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	host := exec.Command(os.Args[0], "host")
	host.ExtraFiles = []*os.File{theirs}
	host.Stderr = os.Stderr
	out, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscan(out, &pid); err != nil {
		t.Fatal(err)
	}
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pidfd)
	if err := host.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = host.Wait()
	if n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, 20_000); n != 1 {
		t.Errorf("the worker outlives its host (%v)", err)
		_ = unix.Kill(pid, unix.SIGKILL)
	}
	theirs.Close()
}

// shortLivedHost starts a worker on its descriptor 3, prints its pid and waits to be killed.
func shortLivedHost() int {
	cmd := exec.Command(os.Args[0], "worker")
	cmd.Env = []string{}
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{os.NewFile(3, "link")}
	if _, err := confine.Start(cmd, confine.Spec{}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Fprintln(os.Stdout, cmd.Process.Pid)
	_ = unix.Pause()
	return 0
}

func TestCgroup(t *testing.T) {
	spec := confine.Spec{MemoryBytes: 64 << 20, Pids: 64, CPUs: 0.5}
	w, err := begin(t, spec)
	if refused := new(layer.Error); errors.As(err, &refused) && refused.Layers[0].Name == layer.Cgroup {
		t.Skipf("no control groups here: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(w.Layers, func(l layer.Layer) bool { return l.Name == layer.Cgroup })
	_, dirs, _ := strings.Cut(w.Layers[i].How, ": ")
	for dir := range strings.SplitSeq(dirs, ", ") {
		if _, err := os.Stat(dir); err != nil {
			t.Error(err)
		}
		t.Cleanup(func() {
			if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s is left behind (%v)", dir, err)
			}
		})
	}
	if got := w.command(t, "shared-memory 100000000"); got != "gone" {
		t.Errorf("memory beyond the group's limit: %s", got)
	}
	err = w.Wait()
	if w.stopped = true; err == nil || !strings.Contains(err.Error(),
		`killed, out of memory: the kernel killed it at the tenant's limits { memory = "64MiB" }`) {
		t.Errorf("it ended with %v, want the limit that it met", err)
	}
}

func TestRefusals(t *testing.T) {
	if os.Geteuid() != 0 {
		_, err := begin(t, confine.Spec{UID: 54321, GID: 54321})
		refused := new(layer.Error)
		if !errors.As(err, &refused) || refused.Layers[0].Name != layer.UID {
			t.Errorf("an own uid without root: %v, want it refused for %s", err, layer.UID)
		}
		if w, err := begin(t, confine.Spec{UID: 54321, GID: 54321, AllowMissing: []string{layer.UID}}); err != nil {
			t.Errorf("the same, weakened: %v", err)
		} else if got := w.command(t, "echo still here"); got != "still here" {
			t.Errorf("the same, weakened: answers %q", got)
		}
	}
	for _, spec := range []confine.Spec{{UID: 1}, {GID: 1}, {AllowMissing: []string{"everything"}}, {MemoryBytes: 1},
		{Pids: 1}, {CPUs: -1}} {
		if _, err := begin(t, spec); err == nil {
			t.Errorf("Start(%+v) succeeds", spec)
		}
	}
}

// TestEndsBeforeItIsConfined starts a process that is not a worker.
func TestEndsBeforeItIsConfined(t *testing.T) {
	cmd := exec.Command("/bin/true")
	cmd.ExtraFiles = []*os.File{os.Stderr}
	if _, err := confine.Start(cmd, confine.Spec{}); err == nil {
		t.Error("a program that does not report is started")
	}
}

func TestProbe(t *testing.T) {
	layers, err := confine.Probe([]string{os.Args[0], "worker"}, confine.Spec{})
	if err != nil {
		t.Fatal(err)
	}
	if len(layers) != len(layer.Names()) {
		t.Errorf("%d layers are reported, want %d", len(layers), len(layer.Names()))
	}
	for _, l := range layers {
		if l.Name != layer.Cgroup && l.Required && !l.Holds {
			t.Errorf("%s", l)
		}
		if l.Required && !l.Holds && (l.Reason == "" || l.How == "") {
			t.Errorf("%s: no reason, or not how it was tested: %+v", l.Name, l)
		}
	}
}

// BenchmarkStart measures a cold start, from Start to the first answer.
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		w, err := launch(confine.Spec{})
		if err != nil {
			b.Fatal(err)
		}
		fmt.Fprintln(w.conn, "echo x")
		if _, err := w.in.ReadString('\n'); err != nil {
			b.Fatal(err)
		}
		_ = w.cmd.Process.Kill()
		_ = w.Wait()
		w.conn.Close()
	}
}
