package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime/debug"
	"strings"
)

// peer is a subject of the comparison: a running server.
type peer struct {
	name    string
	version string
	uri     string // URI for Python clients; "" if the server does not use Pyro
	dial    func(ctx context.Context) (caller, error)
	address string // host and port for the lean load generator; "" if it cannot call the server
	pid     int
	stop    func()
	host    *hearth // nil for other servers
}

// Subjects in the order of the table.
const (
	nameHearth = "Hearth"
	namePyro   = "Pyro4 daemon"
	nameRedis  = "Redis"
	nameGRPC   = "gRPC-go"
	namePlugin = "go-plugin"
)

var subjects = []string{nameHearth, namePyro, nameRedis, nameGRPC, namePlugin}

// errSkip reports that a measurement is not possible on this machine.
var errSkip = errors.New("skipped")

// skipf returns an errSkip with a reason.
func skipf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errSkip, fmt.Sprintf(format, args...))
}

// verify calls a peer once per kind of work and checks the answers.
func (p *peer) verify(ctx context.Context) error {
	c, err := p.dial(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	defer c.close()
	small := work{name: "echo of bytes", method: "echo", blob: []byte("\x00\xff and more")}
	for _, w := range []*work{&add, &echo, &small} {
		if err := c.call(ctx, w); err != nil {
			return fmt.Errorf("%s, %s: %w", p.name, w.name, err)
		}
	}
	return nil
}

// firstLine runs a program and returns the first line of its output.
func firstLine(ctx context.Context, bin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, bin, args...) //nolint:gosec // an installed peer
	cmd.Env = baseEnv()
	out, err := cmd.Output()
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return line, nil
}

// moduleVersion returns the version of a module in this program.
func moduleVersion(path string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == path {
				return m.Version
			}
		}
	}
	return "(devel)"
}
