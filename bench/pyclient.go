package main

import (
	"context"
	_ "embed"
	"os/exec"
	"strconv"
	"time"
)

//go:embed peers/client.py
var pyroClient string

// measurePython measures with n processes of unmodified Pyro4 clients.
func (p *peer) measurePython(ctx context.Context, n int, w *work, d time.Duration) (*sample, error) {
	cmds := make([]*exec.Cmd, n)
	for i := range cmds {
		seconds := strconv.FormatFloat(d.Seconds(), 'f', -1, 64)
		//nolint:gosec,noctx // our script; stop ends it
		cmds[i] = exec.Command(python, "-c", pyroClient, p.uri, w.method, w.text, seconds)
	}
	return measureProcesses(ctx, p.pid, "a Python client", cmds)
}
