package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// cpuTime is processor time in user and kernel mode.
type cpuTime struct{ user, system time.Duration }

func (t cpuTime) total() time.Duration { return t.user + t.system }

func (t cpuTime) add(other cpuTime) cpuTime {
	return cpuTime{t.user + other.user, t.system + other.system}
}

func (t cpuTime) sub(other cpuTime) cpuTime {
	return cpuTime{t.user - other.user, t.system - other.system}
}

// cost is the processor time of one measurement by role. It is zero if it was not read.
type cost struct {
	server  cpuTime
	workers cpuTime // all descendants of the server
	load    cpuTime
}

func (c cost) total() time.Duration { return c.server.total() + c.workers.total() + c.load.total() }

func (c cost) add(other cost) cost {
	return cost{c.server.add(other.server), c.workers.add(other.workers), c.load.add(other.load)}
}

// meter reads the cost of a measurement from /proc. Where /proc is missing, all costs are zero. A nil meter reads
// nothing. Not safe for concurrent use.
type meter struct {
	server  int   // process id
	load    []int // process ids
	workers []int // descendants of the server at the begin
	started cost
}

// newMeter returns a meter for a server with this process as its load.
func newMeter(server int) *meter { return &meter{server: server, load: []int{os.Getpid()}} }

// begin starts a measurement. The server's workers must run already: the time of later ones is not counted.
func (m *meter) begin() {
	if m == nil {
		return
	}
	m.workers = descendants(m.server)
	m.started = m.read()
}

// end returns the cost since begin.
func (m *meter) end() cost {
	if m == nil {
		return cost{}
	}
	now := m.read()
	return cost{
		server:  now.server.sub(m.started.server),
		workers: now.workers.sub(m.started.workers),
		load:    now.load.sub(m.started.load),
	}
}

func (m *meter) read() cost {
	return cost{server: sumTimes([]int{m.server}), workers: sumTimes(m.workers), load: sumTimes(m.load)}
}

func sumTimes(pids []int) cpuTime {
	var sum cpuTime
	for _, pid := range pids {
		if s, err := readStat(pid); err == nil { // the process may have ended
			sum = sum.add(s.time)
		}
	}
	return sum
}

// descendants returns the processes that a process has started, and those that they have started.
func descendants(pid int) []int {
	paths, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil
	}
	children := map[int][]int{}
	for _, path := range paths {
		child, err := strconv.Atoi(filepath.Base(path))
		if err != nil {
			continue
		}
		if s, err := readStat(child); err == nil { // the process may have ended
			children[s.parent] = append(children[s.parent], child)
		}
	}
	all := children[pid]
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

// stat is a part of /proc/PID/stat.
type stat struct {
	parent int
	time   cpuTime // of all threads, with the ended ones
}

func readStat(pid int) (stat, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	return parseStat(text)
}

// clockTick is the unit of times in /proc on all Linux systems.
const clockTick = time.Second / 100

// parseStat parses the text of /proc/PID/stat. The program's name in parentheses may contain spaces and parentheses.
func parseStat(text []byte) (stat, error) {
	const parent, user, system = 1, 11, 12 // numbers of the fields behind the name
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) <= system {
		return stat{}, fmt.Errorf("reading /proc/PID/stat: %d fields behind the name", len(fields))
	}
	var numbers [3]int
	for i, field := range [...]int{parent, user, system} {
		n, err := strconv.Atoi(string(fields[field]))
		if err != nil {
			return stat{}, fmt.Errorf("reading /proc/PID/stat: %w", err)
		}
		numbers[i] = n
	}
	return stat{
		parent: numbers[0],
		time:   cpuTime{time.Duration(numbers[1]) * clockTick, time.Duration(numbers[2]) * clockTick},
	}, nil
}
