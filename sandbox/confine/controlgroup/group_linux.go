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

// Group is a control group of one worker: a directory in one hierarchy (version 2), or
// one in each of several (version 1).
type Group struct {
	version int
	dirs    []string
	memory  int64 // its limit in bytes; 0: none
}

func (g *Group) String() string {
	return fmt.Sprintf("version %d: %s", g.version, strings.Join(g.dirs, ", "))
}

// groupPrefix begins the name of a worker's group; the host's pid and a number follow.
const groupPrefix = "hearth-worker-"

// hostLeaf is the group into which a host moves itself, in version 2 only: a group with
// processes of its own cannot limit those below it.
const hostLeaf = "hearth-host"

var groups atomic.Uint64

// moving guards the host's move into its leaf.
var moving sync.Mutex

// setting is one file of a group and what to write.
type setting struct{ controller, file, value string }

// settings returns what limits wants, in the words of a version.
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
		add(limits.MemoryBytes != 0, setting{"memory", "memory.max", memory}, setting{"memory", "?memory.swap.max", "0"})
		add(limits.Pids != 0, setting{"pids", "pids.max", pids})
		add(limits.CPUs != 0, setting{"cpu", "cpu.max", fmt.Sprintf("%d %d", quota, period)})
		return all
	}
	add(limits.MemoryBytes != 0, setting{"memory", "memory.limit_in_bytes", memory}, setting{"memory", "?memory.memsw.limit_in_bytes", memory})
	add(limits.Pids != 0, setting{"pids", "pids.max", pids})
	add(limits.CPUs != 0, setting{"cpu", "cpu.cfs_period_us", strconv.Itoa(period)}, setting{"cpu", "cpu.cfs_quota_us", strconv.FormatInt(quota, 10)})
	return all
}

// New makes a group with limits's limits under the host's own and moves pid there.
func New(limits Limits, pid int) (*Group, error) {
	memberships, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	return makeGroup(limits, pid, string(memberships), "/sys/fs/cgroup")
}

// makeGroup is New for a process with these memberships (the text of
// /proc/self/cgroup) where the hierarchies are mounted under root.
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
		if err := write(filepath.Join(dir, file), s.value); err != nil && !(optional && errors.Is(err, os.ErrNotExist)) {
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

// base returns the directory of the host's own group in a controller's hierarchy, with
// the controller enabled for groups below.
func (g *Group) base(controller, memberships, root string) (string, error) {
	mount := root
	if g.version == 1 {
		mount = filepath.Join(root, controller)
	}
	path, ok := cgroup.Membership(controller, memberships, g.version)
	if !ok {
		return "", errors.New("the host is in no group of it")
	}
	own := filepath.Join(mount, path)
	if _, err := os.Stat(own); err != nil { //nolint:gosec // the kernel names the group
		own = mount // inside a container only its own part is mounted
	}
	if g.version == 1 {
		sweep(own)
		return own, nil
	}
	own = strings.TrimSuffix(own, "/"+hostLeaf)
	sweep(own)
	return own, enable(own, controller)
}

// enable hands a controller of version 2 down to the groups below dir. If the host itself
// is in the way, it moves into a leaf of its own first.
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
	if err := mkdir(leaf, 0o755); err != nil && !errors.Is(err, os.ErrExist) { // readable as its neighbours are
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

// mkdir makes dir, which belongs to g from then on. One directory serves all controllers
// of version 2.
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

// Explain adds to how a process of the group ended that the kernel killed it for want of memory,
// if it did: the signal alone does not tell.
func (g *Group) Explain(end error) error {
	switch {
	case end == nil || !g.oomKilled():
		return end
	case g.memory == 0:
		return fmt.Errorf("%w, out of memory: the kernel killed it, and its tenant has no limit: the machine, or the host's own control group, is short", end)
	}
	return fmt.Errorf(`%w, out of memory: the kernel killed it at limits { memory = "%dMiB" } of its tenant: raise that, or find what needs so much`, end, g.memory>>20)
}

// oomKilled reports whether the kernel has killed a process of the group for want of memory.
func (g *Group) oomKilled() bool {
	for _, dir := range g.dirs {
		for _, file := range []string{"memory.events", "memory.oom_control"} { // of version 2, of version 1
			text, _ := os.ReadFile(filepath.Join(dir, file)) //nolint:gosec // under /sys/fs/cgroup; not there: no
			for line := range strings.Lines(string(text)) {
				if n, ok := strings.CutPrefix(strings.TrimSpace(line), "oom_kill "); ok && n != "0" {
					return true
				}
			}
		}
	}
	return false
}

// Remove takes the group away. It is empty: its process has been waited for.
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
			_ = unix.Rmdir(dir) // refused as long as a process is in it
		}
	}
}

// What a control file system does, which a test does in its place.
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
