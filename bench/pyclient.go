package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed peers/client.py
var pyroClient string

// measurePython measures with n processes of unmodified Pyro4 clients.
func measurePython(ctx context.Context, uri string, n int, w *work, d time.Duration) (*sample, error) {
	clients := make([]*process, 0, n)
	defer func() {
		for _, p := range clients {
			p.stop()
		}
	}()
	for range n {
		seconds := strconv.FormatFloat(d.Seconds(), 'f', -1, 64)
		//nolint:gosec,noctx // our script; stop ends it
		cmd := exec.Command(python, "-c", pyroClient, uri, w.method, w.text, seconds)
		cmd.Env = baseEnv()
		p, err := start("a Python client", true, cmd)
		if err != nil {
			return nil, err
		}
		clients = append(clients, p)
	}
	for _, p := range clients {
		if line, err := p.line(ctx); err != nil {
			return nil, err
		} else if line != "ready" {
			return nil, fmt.Errorf("a Python client sent %q instead of its ready line", line)
		}
	}
	for _, p := range clients {
		if _, err := p.stdin.Write([]byte("go\n")); err != nil {
			return nil, fmt.Errorf("starting the load of a Python client: %w", err)
		}
	}
	var s sample
	for _, p := range clients {
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

// parseTimes parses the report of a client: seconds, then nanoseconds of each call.
func parseTimes(line string) (time.Duration, []time.Duration, error) {
	fields := strings.Fields(line)
	if len(fields) < 2 {
		return 0, nil, errors.New("a Python client made no call")
	}
	seconds, err := strconv.ParseFloat(fields[0], 64)
	if err != nil {
		return 0, nil, fmt.Errorf("parsing the report of a Python client: %w", err)
	}
	times := make([]time.Duration, 0, len(fields)-1)
	for _, f := range fields[1:] {
		ns, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, nil, fmt.Errorf("parsing the report of a Python client: %w", err)
		}
		times = append(times, time.Duration(ns))
	}
	return time.Duration(seconds * float64(time.Second)), times, nil
}
