package controlgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestSettings(t *testing.T) {
	limits := Limits{MemoryBytes: 64 << 20, Pids: 40, CPUs: 0.5}
	var got []string
	for version := 1; version <= 2; version++ {
		for _, s := range settings(limits, version) {
			got = append(got, s.file+" "+s.value)
		}
	}
	want := []string{
		"memory.limit_in_bytes 67108864", "?memory.memsw.limit_in_bytes 67108864", "pids.max 40",
		"cpu.cfs_period_us 100000", "cpu.cfs_quota_us 50000",
		"memory.max 67108864", "?memory.swap.max 0", "pids.max 40", "cpu.max 50000 100000",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("settings differ (-want +got):\n%s", d)
	}
	if s := settings(Limits{}, 2); s != nil {
		t.Errorf("without limits there are settings: %v", s)
	}
}

// TestFailureRemovesTheGroup makes a group of version 2 where the file of the limit is missing. That happens if
// the controller is not enabled.
func TestFailureRemovesTheGroup(t *testing.T) {
	root := t.TempDir()
	own := filepath.Join(root, "own")
	for file, text := range map[string]string{"cgroup.controllers": "memory", "own/cgroup.subtree_control": "memory"} {
		if err := os.MkdirAll(own, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if g, err := makeGroup(Limits{MemoryBytes: 64 << 20}, 1, "0::/own\n", root); err == nil {
		t.Errorf("makeGroup() = %v, want an error", g)
	}
	left, err := filepath.Glob(filepath.Join(own, groupPrefix+"*"))
	if err != nil || len(left) != 0 {
		t.Errorf("%v is left (%v)", left, err)
	}
}

// unified simulates a control group file system of version 2 in a folder. Groups have the files of the controllers that
// their parent enables. A group with processes cannot enable any.
type unified struct{ root string }

func (u unified) read(path string) string {
	b, _ := os.ReadFile(filepath.Join(u.root, path))
	return strings.TrimSpace(string(b))
}

func (u unified) mkdir(dir string, mode os.FileMode) error {
	if err := os.Mkdir(dir, mode); err != nil {
		return err
	}
	given, err := os.ReadFile(filepath.Join(filepath.Dir(dir), "cgroup.subtree_control"))
	if err != nil {
		return err
	}
	return u.give(dir, append(strings.Fields(string(given)), "cgroup"))
}

// give makes the files of these controllers in a group.
func (u unified) give(dir string, controllers []string) error {
	for _, c := range controllers {
		for _, f := range map[string][]string{
			"cgroup": {"cgroup.procs", "cgroup.subtree_control"}, "memory": {"memory.max", "memory.swap.max"},
			"pids": {"pids.max"}, "cpu": {"cpu.max"},
		}[c] {
			if err := os.WriteFile(filepath.Join(dir, f), nil, 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

func (u unified) write(file, value string) error {
	if _, err := os.Stat(file); err != nil {
		return err
	}
	dir := filepath.Dir(file)
	switch filepath.Base(file) {
	case "cgroup.subtree_control":
		if procs, err := os.ReadFile(filepath.Join(dir, "cgroup.procs")); err != nil || len(procs) > 0 {
			return &os.PathError{Op: "write", Path: file, Err: unix.EBUSY}
		}
		old, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		below, err := filepath.Glob(filepath.Join(dir, "*", "cgroup.procs"))
		if err != nil {
			return err
		}
		for _, procs := range below {
			if err := u.give(filepath.Dir(procs), []string{strings.TrimPrefix(value, "+")}); err != nil {
				return err
			}
		}
		value = string(old) + " " + strings.TrimPrefix(value, "+")
	case "cgroup.procs": // a process is in one group only
		err := filepath.WalkDir(u.root, func(path string, _ os.DirEntry, err error) error {
			if err != nil || filepath.Base(path) != "cgroup.procs" {
				return err
			}
			all, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			rest := slices.DeleteFunc(strings.Fields(string(all)), func(pid string) bool { return pid == value })
			return os.WriteFile(path, []byte(strings.Join(rest, " ")), 0o600)
		})
		if err != nil {
			return err
		}
		old, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		value = strings.TrimSpace(string(old) + " " + value)
	}
	return os.WriteFile(file, []byte(value), 0o600)
}

// TestVersion2 makes groups as under systemd with Delegate=yes. The host is in its delegated group, moves into a leaf,
// and limits its workers beside the leaf.
func TestVersion2(t *testing.T) {
	u := unified{t.TempDir()}
	t.Cleanup(func() { mkdir, write = os.Mkdir, writeFile })
	mkdir, write = u.mkdir, u.write
	own, host := filepath.Join(u.root, "own"), strconv.Itoa(os.Getpid())
	for file, text := range map[string]string{"cgroup.controllers": "memory pids cpu",
		"cgroup.subtree_control": "memory pids cpu"} {
		if err := os.WriteFile(filepath.Join(u.root, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := u.mkdir(own, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := u.write(filepath.Join(own, "cgroup.procs"), host); err != nil {
		t.Fatal(err)
	}
	limits := Limits{MemoryBytes: 64 << 20, Pids: 40, CPUs: 0.5}
	// At the second call the host is in its leaf already.
	for i, memberships := range []string{"0::/own\n", "0::/own/" + hostLeaf + "\n"} {
		pid := 4711 + i
		g, err := makeGroup(limits, pid, memberships, u.root)
		if err != nil {
			t.Fatal(err)
		}
		if g.version != 2 || len(g.dirs) != 1 || filepath.Dir(g.dirs[0]) != own {
			t.Fatalf("%v, want one folder of version 2 under %s", g, own)
		}
		name := filepath.Join("own", filepath.Base(g.dirs[0]))
		got := map[string]string{}
		for _, file := range []string{"memory.max", "memory.swap.max", "pids.max", "cpu.max", "cgroup.procs"} {
			got[file] = u.read(filepath.Join(name, file))
		}
		want := map[string]string{"memory.max": "67108864", "memory.swap.max": "0", "pids.max": "40",
			"cpu.max": "50000 100000", "cgroup.procs": fmt.Sprint(pid)}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("the group differs (-want +got):\n%s", d)
		}
		if in := u.read(filepath.Join("own", hostLeaf, "cgroup.procs")); in != host ||
			u.read("own/cgroup.procs") != "" {
			t.Errorf("the host is in %q of its leaf and %q above, want %s in the leaf", in, u.read("own/cgroup.procs"),
				host)
		}
	}
	if got := u.read("own/cgroup.subtree_control"); got != "memory pids cpu" {
		t.Errorf("handed down: %q, each controller once", got)
	}
	// Processes of others in the host's group prevent all limits, which the error reports.
	if err := os.WriteFile(filepath.Join(own, "cgroup.subtree_control"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := u.write(filepath.Join(own, "cgroup.procs"), "1"); err != nil {
		t.Fatal(err)
	}
	if _, err := makeGroup(limits, 4713, "0::/own\n", u.root); err == nil ||
		!strings.Contains(err.Error(), "other processes are in the host's group") {
		t.Errorf("with others in the host's group: %v", err)
	}
}

// TestExplain checks that an exit error names a lack of memory, with the files of both versions, and only if the kernel
// has killed the process.
func TestExplain(t *testing.T) {
	killed := errors.New("signal: killed")
	for _, tc := range []struct {
		file, text string
		memory     int64
		want       string
	}{
		{"other", "oom_kill 1\n", 64 << 20, ""},
		{"memory.events", "low 0\nmax 7\noom 1\noom_kill 0\n", 64 << 20, ""},
		{"memory.events", "max 9\noom_kill 2\noom_group_kill 0\n", 64 << 20,
			`at the tenant's limits { memory = "64MiB" }`},
		{"memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n", 64 << 20,
			`at the tenant's limits { memory = "64MiB" }`},
		{"memory.events", "oom_kill 1\n", 0, "its tenant has no limit"},
	} {
		g := &Group{dirs: []string{t.TempDir(), t.TempDir()}, memory: tc.memory}
		if err := os.WriteFile(filepath.Join(g.dirs[1], tc.file), []byte(tc.text), 0o600); err != nil {
			t.Fatal(err)
		}
		got := g.Explain(killed)
		if !errors.Is(got, killed) || !strings.Contains(got.Error(), tc.want) || tc.want == "" &&
			got.Error() != killed.Error() {
			t.Errorf("with %s %q: %v, want %q", tc.file, tc.text, got, tc.want)
		}
		if err := g.Explain(nil); err != nil {
			t.Errorf("of one that ended well: %v", err)
		}
	}
}
