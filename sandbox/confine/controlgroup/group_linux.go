package controlgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/hearthhost/hearth/internal/cgroup"
)

// Limits are the limits of a control group. Zero fields mean no limit.
type Limits struct {
	MemoryBytes int64
	Pids        int
	CPUs        float64 // processor time, in processors
}

// Group is the control group of one process: a directory in one hierarchy (version 2), or in each of several (version
// 1).
type Group struct {
	version int
	dirs    []string
	memory  int64 // memory limit in bytes; 0 if unlimited
}

// String returns the version and the directories of the group.
func (g *Group) String() string {
	return fmt.Sprintf("version %d: %s", g.version, strings.Join(g.dirs, ", "))
}

// groupPrefix begins the name of a group. The host's pid and a number follow.
const groupPrefix = "hearth-worker-"

// hostLeaf is the name of the group into which a host moves itself, in version 2 only. There, a group that has
// processes cannot limit the groups below it.
const hostLeaf = "hearth-host"

var groups atomic.Uint64

// moving guards the move of the host into its leaf.
var moving sync.Mutex

// setting is a file of a group and its value. A file name that begins with "?" is optional.
type setting struct{ controller, file, value string }

// settings returns the settings for limits in a version of control groups.
func settings(limits Limits, version int) []setting {
	const period = 100_000 // µs
	quota := int64(limits.CPUs * period)
	var all []setting
	add := func(wanted bool, s ...setting) {
		if wanted {
			all = append(all, s...)
		}
	}
	memory, pids := strconv.FormatInt(limits.MemoryBytes, 10), strconv.Itoa(limits.Pids)
	if version == 2 {
		add(limits.MemoryBytes != 0, setting{"memory", "memory.max", memory},
			setting{"memory", "?memory.swap.max", "0"})
		add(limits.Pids != 0, setting{"pids", "pids.max", pids})
		add(limits.CPUs != 0, setting{"cpu", "cpu.max", fmt.Sprintf("%d %d", quota, period)})
		return all
	}
	add(limits.MemoryBytes != 0, setting{"memory", "memory.limit_in_bytes", memory},
		setting{"memory", "?memory.memsw.limit_in_bytes", memory})
	add(limits.Pids != 0, setting{"pids", "pids.max", pids})
	add(limits.CPUs != 0, setting{"cpu", "cpu.cfs_period_us", strconv.Itoa(period)},
		setting{"cpu", "cpu.cfs_quota_us", strconv.FormatInt(quota, 10)})
	return all
}

// New makes a group below the host's group, sets its limits and moves the process pid into it.
func New(limits Limits, pid int) (*Group, error) {
	memberships, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	return makeGroup(limits, pid, string(memberships), "/sys/fs/cgroup")
}

// makeGroup is New for a host with the given memberships, in the format of /proc/self/cgroup. The hierarchies are
// mounted below root.
func makeGroup(limits Limits, pid int, memberships, root string) (*Group, error) {
	name := fmt.Sprintf("%s%d-%d", groupPrefix, os.Getpid(), groups.Add(1))
	g := &Group{version: 1, memory: limits.MemoryBytes}
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err == nil {
		g.version = 2
	}
	made := map[string]string{} // the group's directory in each controller's hierarchy
	for _, s := range settings(limits, g.version) {
		dir, ok := made[s.controller]
		if !ok {
			base, err := g.base(s.controller, memberships, root)
			if err == nil {
				dir = filepath.Join(base, name)
				err = g.mkdir(dir)
			}
			if err != nil {
				g.Remove()
				return nil, fmt.Errorf("controller %s: %w", s.controller, err)
			}
			made[s.controller] = dir
		}
		file, optional := strings.CutPrefix(s.file, "?")
		if err := write(filepath.Join(dir, file), s.value); err != nil &&
			!(optional && errors.Is(err, os.ErrNotExist)) {
			g.Remove()
			return nil, err
		}
	}
	for _, dir := range g.dirs {
		if err := write(filepath.Join(dir, "cgroup.procs"), strconv.Itoa(pid)); err != nil {
			g.Remove()
			return nil, err
		}
	}
	return g, nil
}

// base returns the directory of the host's group in a controller's hierarchy. It enables the controller for groups
// below.
func (g *Group) base(controller, memberships, root string) (string, error) {
	mount := root
	if g.version == 1 {
		mount = filepath.Join(root, controller)
	}
	path, ok := cgroup.Membership(controller, memberships, g.version)
	if !ok {
		return "", errors.New("the host is in no group of it")
	}
	dir := filepath.Join(mount, path)
	if _, err := os.Stat(dir); err != nil { //nolint:gosec // the kernel names the group
		dir = mount // a container mounts only its part of the hierarchy
	}
	if g.version == 1 {
		sweep(dir)
		return dir, nil
	}
	dir = strings.TrimSuffix(dir, "/"+hostLeaf)
	sweep(dir)
	return dir, enable(dir, controller)
}

// enable enables a controller of version 2 for the groups below dir. If the host's process prevents that, the host
// moves into a leaf first.
func enable(dir, controller string) error {
	moving.Lock()
	defer moving.Unlock()
	file := filepath.Join(dir, "cgroup.subtree_control")
	if b, err := os.ReadFile(file); err == nil { //nolint:gosec // under /sys/fs/cgroup
		for c := range strings.FieldsSeq(string(b)) {
			if c == controller {
				return nil
			}
		}
	}
	err := write(file, "+"+controller)
	if !errors.Is(err, unix.EBUSY) {
		return err
	}
	leaf := filepath.Join(dir, hostLeaf)
	if err := mkdir(leaf, 0o755); err != nil && !errors.Is(err, os.ErrExist) { // readable like the groups around it
		return err
	}
	if err := write(filepath.Join(leaf, "cgroup.procs"), strconv.Itoa(os.Getpid())); err != nil {
		return err
	}
	if err := write(file, "+"+controller); err != nil {
		return fmt.Errorf("%w (other processes are in the host's group)", err)
	}
	return nil
}

// mkdir makes a directory of g. In version 2, one directory serves all controllers.
func (g *Group) mkdir(dir string) error {
	for _, d := range g.dirs {
		if d == dir {
			return nil
		}
	}
	if err := mkdir(dir, 0o755); err != nil {
		return err
	}
	g.dirs = append(g.dirs, dir)
	return nil
}

// Explain adds the reason to the exit error of a process that the kernel has killed for lack of memory. The exit error
// shows only the signal.
func (g *Group) Explain(end error) error {
	switch {
	case end == nil || !g.oomKilled():
		return end
	case g.memory == 0:
		return fmt.Errorf("%w, out of memory: the kernel killed it, and its tenant has no limit; "+
			"the memory of the machine or of the host's control group is exhausted", end)
	}
	return fmt.Errorf("%w, out of memory: the kernel killed it at the tenant's limits { memory = \"%dMiB\" }; "+
		"raise the limit, or reduce the memory use", end, g.memory>>20)
}

// oomKilled reports whether the kernel has killed a process of the group for lack of memory.
func (g *Group) oomKilled() bool {
	for _, dir := range g.dirs {
		for _, file := range []string{"memory.events", "memory.oom_control"} { // files of version 2 and of version 1
			// A missing file counts as no.
			text, _ := os.ReadFile(filepath.Join(dir, file)) //nolint:gosec // under /sys/fs/cgroup
			for line := range strings.Lines(string(text)) {
				if n, ok := strings.CutPrefix(strings.TrimSpace(line), "oom_kill "); ok && n != "0" {
					return true
				}
			}
		}
	}
	return false
}

// Remove deletes the group. Its process must have been waited for.
func (g *Group) Remove() {
	for _, dir := range g.dirs {
		_ = unix.Rmdir(dir)
	}
}

// sweep removes the empty groups of hosts that were killed.
func sweep(base string) {
	old, err := filepath.Glob(filepath.Join(base, groupPrefix+"*"))
	if err != nil {
		return
	}
	for _, dir := range old {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), groupPrefix), "-")
		if n, err := strconv.Atoi(pid); err == nil && n > 0 && errors.Is(unix.Kill(n, 0), unix.ESRCH) {
			_ = unix.Rmdir(dir) // fails while a process is in it
		}
	}
}

// Operations of a control group file system. Tests replace them.
var (
	mkdir = os.Mkdir
	write = writeFile
)

func writeFile(file, value string) error {
	f, err := os.OpenFile(file, os.O_WRONLY, 0) //nolint:gosec // a control file under /sys/fs/cgroup
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}
