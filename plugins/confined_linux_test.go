package plugins_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/plugins"
	"github.com/hearthhost/hearth/plugins/binary"
	"github.com/hearthhost/hearth/sandbox/confine"
	"github.com/hearthhost/hearth/sandbox/confine/layer"
)

// confined returns a plugin behind walls.
func confined(t *testing.T, name string, c confine.Program) (*plugins.Plugin, object.ID) {
	t.Helper()
	cfg, _ := prepare(t, name, filepath.Join(built, "misbehave"))
	cfg.Confine = c
	return runs(t, cfg), cfg.ID
}

// eachAccount runs a test with and without a uid of the plugin's own, as far as there is one.
func eachAccount(t *testing.T, test func(t *testing.T, base confine.Program)) {
	t.Run("shared", func(t *testing.T) { test(t, confine.Program{}) })
	if os.Geteuid() == 0 {
		t.Run("own", func(t *testing.T) { test(t, confine.Program{Spec: confine.Spec{UID: 54321, GID: 54321}}) })
	}
}

// said returns the result of a method as a text: its value, "raised: " and its error, or "gone".
func said(t *testing.T, p *plugins.Plugin, id object.ID, method string, args ...any) string {
	t.Helper()
	v, err := invoke(t, p, id, method, args...)
	if err != nil {
		if strings.Contains(err.Error(), "ended during the call") {
			return "gone"
		}
		return "error: " + err.Error()
	}
	if ex, ok := v.(*codec.Exception); ok {
		return fmt.Sprint("raised: ", ex.Args)
	}
	return fmt.Sprint(v)
}

const notPermitted, notImplemented = "operation not permitted", "function not implemented"

// TestWalls makes a plugin call forbidden system calls.
func TestWalls(t *testing.T) {
	cwd := int64(unix.AT_FDCWD)
	eachAccount(t, func(t *testing.T, base confine.Program) {
		asking, asker := confined(t, "asks", base)
		for _, tc := range []struct {
			name string
			want string // "gone": it is ended for it
			nr   int64
			args []any
		}{
			{"ptrace-the-host", "gone", unix.SYS_PTRACE, []any{int64(unix.PTRACE_ATTACH), int64(os.Getpid())}},
			{"read-the-host", "gone", unix.SYS_PROCESS_VM_READV,
				[]any{int64(os.Getpid()), "", int64(1), "", int64(1), int64(0)}},
			{"mount", "gone", unix.SYS_MOUNT, []any{"none", "/tmp", "tmpfs", int64(0), ""}},
			{"new-mount-api", "gone", unix.SYS_FSOPEN, []any{"tmpfs", int64(0)}},
			{"unshare", "gone", unix.SYS_UNSHARE, []any{int64(unix.CLONE_NEWUSER)}},
			{"setns", "gone", unix.SYS_SETNS, []any{int64(3), int64(0)}},
			{"clone-user", "gone", unix.SYS_CLONE, []any{int64(unix.CLONE_NEWUSER | int(unix.SIGCHLD))}},
			{"bpf", "gone", unix.SYS_BPF, []any{int64(0), "", int64(64)}},
			{"keyctl", "gone", unix.SYS_KEYCTL, []any{int64(0), int64(1)}},
			{"userfaultfd", "gone", unix.SYS_USERFAULTFD, []any{int64(0)}},
			{"perf", "gone", unix.SYS_PERF_EVENT_OPEN, []any{"", int64(0), int64(0), int64(0), int64(0)}},
			{"kexec", "gone", unix.SYS_KEXEC_LOAD, []any{int64(0), int64(0), "", int64(0)}},
			{"module", "gone", unix.SYS_INIT_MODULE, []any{"", int64(1), ""}},
			{"chroot", "gone", unix.SYS_CHROOT, []any{"/"}},
			{"io-uring", notImplemented, unix.SYS_IO_URING_SETUP, []any{int64(1), ""}},
			{"clone3", notImplemented, unix.SYS_CLONE3, []any{"", int64(88)}},
			{"fork", notPermitted, unix.SYS_CLONE, []any{int64(unix.SIGCHLD)}},
			{"exec", notPermitted, unix.SYS_EXECVE, []any{"/sockets/x", int64(0), int64(0)}},
			{"exec-again", notPermitted, unix.SYS_EXECVEAT,
				[]any{cwd, "/sockets/x", int64(0), int64(0), int64(0), int64(0)}},
			{"code-in-memory", notPermitted, unix.SYS_MEMFD_CREATE, []any{"x", int64(0)}},
			{"outlive", notPermitted, unix.SYS_PRCTL, []any{int64(unix.PR_SET_PDEATHSIG), int64(0)}},
			{"dumpable", notPermitted, unix.SYS_PRCTL, []any{int64(unix.PR_SET_DUMPABLE), int64(1)}},
			{"setuid", notPermitted, unix.SYS_SETUID, []any{int64(0)}},
			{"setgroups", notPermitted, unix.SYS_SETGROUPS, []any{int64(1), ""}},
			{"capset", notPermitted, unix.SYS_CAPSET, []any{"", ""}},
			{"filter", notPermitted, unix.SYS_SECCOMP, []any{int64(1), int64(0), ""}},
			{"device", notPermitted, unix.SYS_MKNODAT,
				[]any{cwd, "/sockets/null", int64(unix.S_IFCHR | 0o666), int64(1<<8 | 3)}},
			{"pipe-file", notPermitted, unix.SYS_MKNODAT,
				[]any{cwd, "/sockets/fifo", int64(unix.S_IFIFO | 0o666), int64(0)}},
			{"handle", notPermitted, unix.SYS_OPEN_BY_HANDLE_AT, []any{cwd, "", int64(0)}},
			{"terminal", notPermitted, unix.SYS_IOCTL, []any{int64(0), int64(unix.TIOCSTI), "x"}},
			{"others-limits", notPermitted, unix.SYS_PRLIMIT64,
				[]any{int64(os.Getpid()), int64(0), int64(0), int64(0)}},
			{"ipc", notPermitted, unix.SYS_SHMGET, []any{int64(0), int64(4096), int64(0o1777)}},
			{"clock", notPermitted, unix.SYS_CLOCK_SETTIME, []any{int64(0), ""}},
			{"hostname", notPermitted, unix.SYS_SETHOSTNAME, []any{"x", int64(1)}},
			{"inet", "address family not supported by protocol", unix.SYS_SOCKET,
				[]any{int64(unix.AF_INET), int64(unix.SOCK_STREAM), int64(0)}},
			{"netlink", "address family not supported by protocol", unix.SYS_SOCKET,
				[]any{int64(unix.AF_NETLINK), int64(unix.SOCK_RAW), int64(0)}},
			{"vsock", "address family not supported by protocol", unix.SYS_SOCKET,
				[]any{int64(unix.AF_VSOCK), int64(unix.SOCK_STREAM), int64(0)}},
			{"kill-the-host", "no such process", unix.SYS_KILL, []any{int64(os.Getpid()), int64(unix.SIGKILL)}},
			{"kill-all", "no such process", unix.SYS_KILL, []any{int64(-1), int64(unix.SIGKILL)}},
			{"pidfd", "no such process", unix.SYS_PIDFD_OPEN, []any{int64(os.Getpid()), int64(0)}},
			{"root", "permission denied", unix.SYS_OPENAT, []any{cwd, "/", int64(unix.O_RDONLY)}},
			{"root-of-parent", "permission denied", unix.SYS_OPENAT, []any{cwd, "/../..", int64(unix.O_RDONLY)}},
			{"write-root", "read-only file system", unix.SYS_OPENAT,
				[]any{cwd, "/x", int64(unix.O_CREAT | unix.O_RDWR), int64(0o600)}},
			{"own-processes", "no such file or directory", unix.SYS_OPENAT,
				[]any{cwd, "/proc/self/mem", int64(unix.O_RDWR)}},
		} {
			t.Run(tc.name, func(t *testing.T) {
				p, id := asking, asker
				var log *logged
				if tc.want == "gone" {
					var cfg plugins.Config
					cfg, log = prepare(t, tc.name, filepath.Join(built, "misbehave"))
					cfg.Confine = base
					p, id = runs(t, cfg), cfg.ID
				}
				got := said(t, p, id, "raw", append([]any{tc.nr}, tc.args...)...)
				// Under the race detector the shim's root has a /proc, which is as shut as the rest.
				if got != tc.want && !(tc.name == "own-processes" && got == "permission denied") {
					t.Errorf("%q, want %q", got, tc.want)
				}
				if log != nil {
					eventually(t, func() bool { return strings.Contains(log.String(), "forbidden system call") })
				}
			})
		}
		answers(t, asking, asker)
	})
}

// TestReach: a confined plugin cannot reach files of the system and of other tenants, networks, sockets and other
// processes.
func TestReach(t *testing.T) {
	tcp, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	dir, err := os.MkdirTemp("", "n") //nolint:usetesting // the names of sockets are short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	neighbours := filepath.Join(dir, "secret")
	if err := errors.Join(os.Chmod(dir, 0o755),
		os.WriteFile(neighbours, []byte("of another tenant"), 0o644)); err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{filepath.Join(dir, "s"), "@" + strconv.Itoa(os.Getpid())} {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", at)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
	}
	eachAccount(t, func(t *testing.T, base confine.Program) {
		cfg, _ := prepare(t, "looks", filepath.Join(built, "misbehave"))
		cfg.Confine = base
		p, id := runs(t, cfg), cfg.ID
		answers(t, p, id)
		for _, try := range [][]any{
			{"read", "/etc/shadow"},
			{"read", "/etc/passwd"},
			{"read", neighbours},
			{"read", cfg.Path},
			{"read", "/proc/1/environ"},
			{"read", "/proc/self/root" + neighbours},
			{"list", "/"},
			{"list", cfg.Dir},
			{"list", "/sockets/.."},
			{"fill", "/"},
			{"fill", "/dev"},
			{"fill", "/tmp"},
			{"link", neighbours, "/sockets/link"},
			{"dial", "tcp", tcp.Addr().String()},
			{"dial", "udp", "127.0.0.1:53"},
			{"dial", "unix", filepath.Join(dir, "s")},
			{"dial", "unix", "@" + strconv.Itoa(os.Getpid())},
			{"elsewhere", "/proc/self/exe"},
			{"spawn"},
			{"shared", int64(1 << 20)},
			{"daemonise"},
		} {
			if got := said(t, p, id, try[0].(string), try[1:]...); !strings.HasPrefix(got, "raised: ") {
				t.Errorf("%v: %s, want it refused", try, got)
			}
		}
		answers(t, p, id)
		pid := p.Status().PID
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"NoNewPrivs:\t1", "Seccomp:\t2", "CapPrm:\t0000000000000000",
			"CapEff:\t0000000000000000", "CapAmb:\t0000000000000000"} {
			if !strings.Contains(string(status), want+"\n") {
				t.Errorf("not %q", want)
			}
		}
		// The files of a process that cannot be inspected belong to root.
		info, err := os.Stat(fmt.Sprintf("/proc/%d/mem", pid))
		if err != nil || info.Sys().(*syscall.Stat_t).Uid != 0 {
			t.Errorf("others may look into it: %v, %v", info, err)
		}
		if f, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_RDWR, 0); err == nil {
			f.Close()
			if os.Geteuid() != 0 {
				t.Error("the host's user can write to its memory")
			}
		}
	})
}

// TestResources makes a plugin take as many resources as possible. A neighbour plugin continues to answer.
func TestResources(t *testing.T) {
	neighbour, _ := misbehaving(t, "neighbour")
	const good object.ID = "acme.neighbour"
	answers(t, neighbour, good)
	eachAccount(t, func(t *testing.T, base confine.Program) {
		forks := base
		forks.Fork = true
		tmp := base
		tmp.TmpBytes = 1 << 20
		between := func(low, high int) func(*testing.T, string) {
			return func(t *testing.T, got string) {
				t.Helper()
				if n, err := strconv.Atoi(got); err != nil || n < low || n > high {
					t.Errorf("%s, want %d to %d", got, low, high)
				}
			}
		}
		ends := func(t *testing.T, got string) {
			t.Helper()
			if got != "gone" {
				t.Errorf("%s, want its end", got)
			}
		}
		for _, tc := range []struct {
			name  string
			with  confine.Program
			args  []any
			check func(*testing.T, string)
		}{
			// The plugin's own runtime ends it if it needs a thread while there is no room for one.
			{"fork-bomb", forks, []any{"bomb"}, func(t *testing.T, got string) {
				t.Helper()
				if got != "gone" {
					between(1, 256)(t, got)
				}
			}},
			{"no-forks", base, []any{"bomb"}, between(0, 0)},
			{"thread-bomb", base, []any{"threads"}, ends},
			{"memory", base, []any{"memory", int64(2 << 30)}, ends},
			{"disk", base, []any{"fill", "/sockets"}, between(0, 64<<10)},
			{"files", base, []any{"crowd", "/sockets"}, between(1, 256)},
			{"tmp", tmp, []any{"fill", "/tmp"}, between(1, 1<<20)},
			{"tmp-files", tmp, []any{"crowd", "/tmp"}, between(1, 4096)},
		} {
			t.Run(tc.name, func(t *testing.T) {
				p, id := confined(t, tc.name, tc.with)
				tc.check(t, said(t, p, id, tc.args[0].(string), tc.args[1:]...))
				answers(t, neighbour, good)
				pid := p.Status().PID
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				defer cancel()
				_ = p.Close(ctx)
				if pid != 0 && !ended(pid) {
					t.Error("it runs on")
				}
			})
		}
	})
}

// TestPester talks nonsense to the host's own socket: the one that plugins call back on.
func TestPester(t *testing.T) {
	cfg, _ := prepare(t, "pester", filepath.Join(built, "misbehave"))
	cfg.ObjectCall = func(context.Context, object.ID, bool, *object.Call) (object.Reply, error) {
		doc, err := codec.Append(codec.ByID(codec.Serpent), nil, "still here")
		return object.Reply{Payload: doc}, err
	}
	p := runs(t, cfg)
	if got := said(t, p, cfg.ID, "relay", "acme.other", "x"); got != "still here" {
		t.Fatal(got)
	}
	if n := said(t, p, cfg.ID, "pester", "/sockets"); n == "0" || strings.HasPrefix(n, "raised") {
		t.Fatalf("%s sockets were found", n)
	}
	if got := said(t, p, cfg.ID, "relay", "acme.other", "x"); got != "still here" {
		t.Error(got)
	}
	entries, err := os.ReadDir(cfg.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != "pester" && e.Type() != os.ModeSymlink {
			t.Errorf("the host has %v among its files", e)
		}
	}
	_ = p.Close(t.Context())
	if left, _ := filepath.Glob(filepath.Join(cfg.Dir, "plugin-dir*")); left != nil {
		t.Errorf("%v is left behind", left)
	}
}

// TestHoard keeps all the connections to the host that a plugin can get: they are few.
func TestHoard(t *testing.T) {
	cfg, _ := prepare(t, "hoard", filepath.Join(built, "misbehave"))
	p := runs(t, cfg)
	answers(t, p, cfg.ID)
	descriptors := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	before := descriptors()
	got, err := strconv.Atoi(said(t, p, cfg.ID, "hoard", "/sockets"))
	if err != nil || got < 100 {
		t.Fatalf("it got %d connections, %v", got, err)
	}
	const few = 20
	eventually(t, func() bool { return descriptors() < before+few })
	answers(t, p, cfg.ID)
}

// childrenOf returns the processes whose parent is pid, and theirs.
func childrenOf(t *testing.T, pid int) (all []int) {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it ended meanwhile
		}
		f := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		if child, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil && f[1] == strconv.Itoa(pid) {
			all = append(append(all, child), childrenOf(t, child)...)
		}
	}
	return all
}

// TestDescendants leaves daemons behind, which end with the plugin however it ends.
func TestDescendants(t *testing.T) {
	for _, tc := range []struct {
		name string
		end  func(t *testing.T, p *plugins.Plugin, id object.ID)
	}{
		{"crash", func(t *testing.T, p *plugins.Plugin, id object.ID) { _, _ = invoke(t, p, id, "crash") }},
		{"close", func(t *testing.T, p *plugins.Plugin, _ object.ID) { _ = p.Close(t.Context()) }},
		{"kill",
			func(t *testing.T, p *plugins.Plugin, _ object.ID) { _ = syscall.Kill(p.Status().PID, syscall.SIGKILL) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, id := confined(t, tc.name, confine.Program{Fork: true})
			if got := said(t, p, id, "daemonise"); got != "3" {
				t.Fatal(got)
			}
			left := childrenOf(t, p.Status().PID)
			if len(left) != 3 {
				t.Fatalf("it has left %v, want three processes", left)
			}
			tc.end(t, p, id)
			for _, pid := range left {
				eventually(t, func() bool { return ended(pid) })
			}
		})
	}
}

// TestRuntime runs programs that need an interpreter or a loader.
func TestRuntime(t *testing.T) {
	shown := []string{"/usr"}
	for _, dir := range []string{"/bin", "/lib", "/lib64"} {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			shown = append(shown, dir)
		}
	}
	with := func(c *plugins.Config, content string) {
		_ = os.WriteFile(c.Path, []byte(content), 0o755)
		c.SHA256, c.Unpinned = "", true
	}
	ls, err := exec.LookPath("ls")
	if err != nil {
		t.Skip("SKIPPED: there is no ls")
	}
	program, err := os.ReadFile(ls)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name    string
		content string
		runtime []string
		cause   binary.Cause
		text    string
	}{
		{"script", "#!/bin/sh\necho hello from $0\n", shown, binary.CauseCrash, "hello from /plugin"},
		{"argument", "#!/bin/sh -e\necho hello; false; echo not this\n", shown, binary.CauseCrash, "hello"},
		{"env", "#!/usr/bin/env sh\necho hello from env\n", shown, binary.CauseCrash, "hello from env"},
		{"env-nothing", "#!/usr/bin/env no-such-thing\n", shown, binary.CauseInterpreter, "no-such-thing"},
		{"env-options", "#!/usr/bin/env -S sh -e\n", shown, binary.CauseInterpreter, "more for env than one name"},
		{"other", "#!/opt/nowhere/python\n", shown, binary.CauseInterpreter, "add runtime = "},
		{"missing", "#!/usr/nowhere/python\n", shown, binary.CauseInterpreter, "no such file"},
		{"nothing-else", "#!/bin/sh\n/usr/bin/id\n", shown, binary.CauseCrash, "Cannot fork"},
		{"exec", "#!/bin/sh\nexec /usr/bin/id\n", shown, binary.CauseCrash, "not permitted"},
		{"no-writing", "#!/bin/sh\necho x > /usr/x || echo no writing\n", shown, binary.CauseCrash, "no writing"},
		{"no-etc", "#!/bin/sh\nread x < /etc/passwd || echo no etc\n", shown, binary.CauseCrash, "no etc"},
		{"dynamic", string(program), shown, binary.CauseCrash, "ermission denied"},
		{"dynamic-alone", string(program), nil, binary.CauseInterpreter, "linked dynamically"},
		{"nowhere", "#!/bin/sh\n", append([]string{"/nowhere"}, shown...), binary.CauseIsolation,
			"showing /nowhere: no such file"},
		{"everything", "#!/bin/sh\n", []string{"/bin", "/"}, binary.CauseShim, "/ is everything"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg, _ := prepare(t, tc.name, filepath.Join(built, "misbehave"))
			with(&cfg, tc.content)
			cfg.Confine.Runtime = tc.runtime
			_, err := invoke(t, runs(t, cfg), cfg.ID, "echo", int64(1))
			var cause *binary.StartError
			if !errors.As(err, &cause) || cause.Cause != tc.cause || !strings.Contains(cause.Text, tc.text) {
				t.Fatalf("error = %v, want the cause %q with %q", err, tc.cause, tc.text)
			}
		})
	}
}

// TestHalfARoot: a tenant allows missing namespaces, and the root folder cannot be built. The plugin does not run in an
// incomplete root.
func TestHalfARoot(t *testing.T) {
	p, id := confined(t, "half",
		confine.Program{Spec: confine.Spec{AllowMissing: layer.Names()}, Files: []string{"/nowhere"}})
	_, err := invoke(t, p, id, "echo", int64(1))
	var cause *binary.StartError
	if !errors.As(err, &cause) || !strings.Contains(cause.Text, "/nowhere: no such file") {
		t.Errorf("error = %v", err)
	}
}

// TestFiles shows a plugin one folder and not its neighbour.
func TestFiles(t *testing.T) {
	dir, err := os.MkdirTemp("", "f") //nolint:usetesting // other users have to reach it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, name := range []string{"shown", "hidden"} {
		sub := filepath.Join(dir, name)
		if err := errors.Join(os.Mkdir(sub, 0o755),
			os.WriteFile(filepath.Join(sub, "x"), []byte(name), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	single := filepath.Join(dir, "single")
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(single, []byte("one"), 0o644),
		os.Symlink("/etc/passwd", filepath.Join(dir, "shown", "link"))); err != nil {
		t.Fatal(err)
	}
	p, id := confined(t, "reads", confine.Program{Files: []string{filepath.Join(dir, "shown"), single}})
	for _, tc := range []struct {
		want string
		args []any
	}{
		{"shown", []any{"read", filepath.Join(dir, "shown", "x")}},
		{"one", []any{"read", single}},
		{"raised", []any{"read", filepath.Join(dir, "hidden", "x")}},
		{"raised", []any{"read", filepath.Join(dir, "shown", "link")}},
		{"raised", []any{"fill", filepath.Join(dir, "shown")}},
		{"raised", []any{"list", dir}},
	} {
		if got := said(t, p, id, tc.args[0].(string), tc.args[1:]...); got != tc.want &&
			!(tc.want == "raised" && strings.HasPrefix(got, "raised: ")) {
			t.Errorf("%v = %s, want %s", tc.args, got, tc.want)
		}
	}
}

// TestUIDWithoutRoot configures a user id on a host that does not run as root.
func TestUIDWithoutRoot(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root can give it: TestAsAnOrdinaryUser comes here again")
	}
	for _, weaken := range [][]string{nil, {layer.UID}} {
		p, id := confined(t, "asks", confine.Program{Spec: confine.Spec{UID: 54321, GID: 54321, AllowMissing: weaken}})
		_, err := invoke(t, p, id, "echo", int64(1))
		var cause *binary.StartError
		if refused := errors.As(err, &cause) && cause.Cause == binary.CauseIsolation &&
			strings.Contains(cause.Text, "run the host as root"); refused == (weaken != nil) {
			t.Errorf("weakened %v: %v", weaken, err)
		}
	}
}

// TestAsAnOrdinaryUser does these tests again as a user who has no rights.
func TestAsAnOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("these tests run as an ordinary user already")
	}
	dir, err := os.MkdirTemp("", "u") //nolint:usetesting // another user must be able to enter it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	exe := filepath.Join(dir, "test")
	if err := errors.Join(os.Chmod(dir, 0o755), copyFile(exe, os.Args[0])); err != nil {
		t.Fatal(err)
	}
	const user = 61234
	cmd := exec.CommandContext(t.Context(), exe, "-test.timeout=9m", "-test.run",
		"^(TestWalls|TestReach|TestResources|TestPester|TestHoard|TestHalfARoot|TestDescendants|TestRuntime|TestFiles|"+
			"TestUIDWithoutRoot|TestHostile|TestDeathOfTheHost|TestWithoutNamespaces|TestProxy)$")
	cmd.Dir = "/"
	path, _ := syscall.Getenv("PATH")
	cmd.Env = []string{"PATH=" + path, builtVariable + "=" + built}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("as user %d: %v\n%s", user, err, out)
	}
}

func copyFile(to, from string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Close())
}
