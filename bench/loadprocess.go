package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// measureProcesses measures a server with load that other processes make. Each prints "ready" after its first call,
// waits for a line, makes the load, prints "end", and then its report, which parseTimes reads.
func measureProcesses(ctx context.Context, server int, name string, cmds []*exec.Cmd) (*sample, error) {
	m := meter{server: server}
	loads := make([]*process, 0, len(cmds))
	defer func() {
		for _, p := range loads {
			p.stop()
		}
	}()
	for _, cmd := range cmds {
		cmd.Env = baseEnv()
		p, err := start(name, true, cmd)
		if err != nil {
			return nil, err
		}
		loads = append(loads, p)
		m.load = append(m.load, p.cmd.Process.Pid)
	}
	if err := expectLines(ctx, loads, "ready"); err != nil {
		return nil, err
	}
	m.begin()
	for _, p := range loads {
		if _, err := p.stdin.Write([]byte("go\n")); err != nil {
			return nil, fmt.Errorf("starting the load of %s: %w", p.name, err)
		}
	}
	if err := expectLines(ctx, loads, "end"); err != nil {
		return nil, err
	}
	s := sample{cost: m.end()}
	for _, p := range loads {
		line, err := p.line(ctx)
		if err != nil {
			return nil, err
		}
		elapsed, times, err := parseTimes(line)
		if err != nil {
			return nil, err
		}
		s.elapsed = max(s.elapsed, elapsed)
		s.calls += len(times)
		s.times = append(s.times, times...)
	}
	slices.Sort(s.times)
	return &s, nil
}

// expectLines reads one line of each process.
func expectLines(ctx context.Context, all []*process, want string) error {
	for _, p := range all {
		line, err := p.line(ctx)
		if err != nil {
			return err
		}
		if line != want {
			return fmt.Errorf("%s sent %q instead of %q", p.name, line, want)
		}
	}
	return nil
}

// parseTimes parses the report of a load: seconds, then nanoseconds of each call or batch.
func parseTimes(line string) (time.Duration, []time.Duration, error) {
	fields := strings.Fields(line)
	if len(fields) < 2 {
		return 0, nil, errors.New("a load made no call")
	}
	seconds, err := strconv.ParseFloat(fields[0], 64)
	if err != nil {
		return 0, nil, fmt.Errorf("parsing the report of a load: %w", err)
	}
	times := make([]time.Duration, 0, len(fields)-1)
	for _, f := range fields[1:] {
		ns, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, nil, fmt.Errorf("parsing the report of a load: %w", err)
		}
		times = append(times, time.Duration(ns))
	}
	return time.Duration(seconds * float64(time.Second)), times, nil
}
