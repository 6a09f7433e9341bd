package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime/debug"
	"strings"
)

// peer is one subject of the comparison: a server that runs.
type peer struct {
	name    string
	version string
	uri     string // where a Python client finds it; "" if it is not Pyro's
	dial    func(ctx context.Context) (caller, error)
	pid     int
	stop    func()
	host    *hearth // nil: it is not Hearth
}

// The subjects, in the order of the table.
const (
	nameHearth = "Hearth"
	namePyro   = "Pyro4 daemon"
	nameRedis  = "Redis"
	nameGRPC   = "gRPC-go"
	namePlugin = "go-plugin"
)

var subjects = []string{nameHearth, namePyro, nameRedis, nameGRPC, namePlugin}

// errSkip says that something cannot be measured here, and that this is nobody's fault.
var errSkip = errors.New("skipped")

// skipf makes an errSkip with its reason.
func skipf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errSkip, fmt.Sprintf(format, args...))
}

// verify calls a peer once for each work, which it must answer right.
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

// firstLine runs a program that tells about itself.
func firstLine(ctx context.Context, bin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, bin, args...) //nolint:gosec // a peer that this machine has
	cmd.Env = plain()
	out, err := cmd.Output()
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return line, nil
}

// moduleVersion is the version of a module in this program.
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
