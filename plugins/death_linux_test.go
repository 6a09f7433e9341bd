package plugins_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/plugins"
	"github.com/hearthhost/hearth/plugins/launch"
	"github.com/hearthhost/hearth/sandbox/confine"
	"github.com/hearthhost/hearth/sandbox/confine/layer"
)

// shimOnAnotherThread is the shim on a thread that is not the first of its process, as it
// happens when the Go scheduler is busy.
func shimOnAnotherThread() int {
	runtime.LockOSThread() // keeps the first thread away from the other goroutine
	code := make(chan int)
	go func() { code <- launch.Shim() }()
	return <-code
}

// hostOrders configures a host that is about to die.
type hostOrders struct {
	ID         object.ID
	Path       string
	Shim       []string
	Dir        string
	Confine    confine.Program
	Unconfined bool
	Unspaced   bool     // the host may make no namespaces
	Calls      []string // of methods, one after the other, whose results it prints
}

// shortLivedHost runs a plugin, prints its process id and the results of its calls, and waits to be killed.
func shortLivedHost() int {
	var o hostOrders
	if err := json.Unmarshal([]byte(os.Args[2]), &o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if o.Unspaced {
		if err := os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	p := plugins.New(plugins.Config{
		ID:         o.ID,
		Path:       o.Path,
		Unpinned:   true,
		Objects:    []object.ID{o.ID},
		Shim:       o.Shim,
		Dir:        o.Dir,
		Confine:    o.Confine,
		Unconfined: o.Unconfined,
	})
	for _, method := range o.Calls {
		v, err := call(p, o.ID, method)
		if err != nil {
			v = err
		}
		fmt.Fprintln(os.Stdout, v)
	}
	fmt.Fprintln(os.Stdout, p.Status().PID)
	_, _ = os.Stdin.Read(make([]byte, 1)) // blocks: no process writes
	return 0
}

// doomed starts a host with a plugin, and returns the host and the lines that it printed.
func doomed(t *testing.T, o hostOrders) (*exec.Cmd, []string) {
	t.Helper()
	orders, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	host := exec.CommandContext(t.Context(), os.Args[0], "host", string(orders))
	host.Stderr = os.Stderr
	if o.Unspaced {
		const inside = 1000
		host.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER,
			AmbientCaps: []uintptr{unix.CAP_SYS_RESOURCE},
			UidMappings: []syscall.SysProcIDMap{{ContainerID: inside, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: inside, HostID: os.Getgid(), Size: 1}},
		}
	}
	stdin, err := host.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stdin.Close() })
	out, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = host.Process.Kill() })
	var lines []string
	for in := bufio.NewScanner(out); len(lines) < len(o.Calls)+1; {
		if !in.Scan() {
			t.Fatalf("the host ended after %q: %v", lines, host.Wait())
		}
		lines = append(lines, in.Text())
	}
	return host, lines
}

// TestDeathOfTheHost kills a host. Its plugin dies with it, independent of the thread on which the shim executed the
// plugin. So do the descendants of a confined plugin.
func TestDeathOfTheHost(t *testing.T) {
	forks := confine.Program{Fork: true}
	for _, tc := range []struct {
		name string
		with hostOrders
	}{
		{"confined", hostOrders{Shim: []string{os.Args[0], "shim"}, Calls: []string{"pid"}}},
		{"confined, moved", hostOrders{Shim: []string{os.Args[0], "shim-moved"}, Calls: []string{"pid"}}},
		{"daemons", hostOrders{Shim: []string{os.Args[0], "shim-moved"}, Calls: []string{"daemonise"}, Confine: forks}},
		{"unconfined", hostOrders{Shim: []string{os.Args[0], "shim"}, Calls: []string{"pid"}, Unconfined: true}},
		{"unconfined, moved",
			hostOrders{Shim: []string{os.Args[0], "shim-moved"}, Calls: []string{"pid"}, Unconfined: true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg, _ := prepare(t, "orphan", filepath.Join(built, "misbehave"))
			tc.with.ID, tc.with.Path, tc.with.Dir = cfg.ID, cfg.Path, cfg.Dir
			host, lines := doomed(t, tc.with)
			pid, err := strconv.Atoi(lines[len(lines)-1])
			if err != nil || pid <= 0 || ended(pid) {
				t.Fatalf("the host printed %q", lines)
			}
			all := append(childrenOf(t, pid), pid)
			if forked := len(all) > 1; forked != tc.with.Confine.Fork {
				t.Fatalf("the plugin's processes are %v", all)
			}
			if err := host.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = host.Wait()
			for _, pid := range all {
				eventually(t, func() bool { return ended(pid) })
			}
		})
	}
}

// TestWithoutNamespaces: on a host that cannot create namespaces a plugin is refused with the reason, or runs with the
// remaining layers if the policy allows it.
func TestWithoutNamespaces(t *testing.T) {
	cfg, _ := prepare(t, "bare", filepath.Join(built, "misbehave"))
	o := hostOrders{
		ID:       cfg.ID,
		Path:     cfg.Path,
		Dir:      cfg.Dir,
		Shim:     []string{os.Args[0], "shim"},
		Unspaced: true,
		Calls:    []string{"pid"},
	}
	if _, lines := doomed(t, o); !strings.Contains(lines[0], "cannot be confined: namespaces: ") ||
		!strings.Contains(lines[0], `allow_missing = ["namespaces"]`) {
		t.Errorf("not allowed to be missing: %s", lines[0])
	}
	o.Confine.AllowMissing = []string{layer.Namespaces}
	o.Calls = []string{"pid", "daemonise", "spawn"}
	host, lines := doomed(t, o)
	pid, err := strconv.Atoi(lines[3])
	if err != nil || pid <= 0 || ended(pid) {
		t.Fatalf("the host printed %q", lines)
	}
	if lines[1] == "3" || !strings.Contains(lines[1]+lines[2], notPermitted) {
		t.Errorf("it could make processes: %q", lines)
	}
	if err := host.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = host.Wait()
	eventually(t, func() bool { return ended(pid) })
}

// state is the third field of a process's stat file, "" if there is no such process.
func state(pid int) string {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(b[strings.LastIndexByte(string(b), ')'):]), " ")
	s, _, _ := strings.Cut(rest, " ")
	return s
}
