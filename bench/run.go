package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// config says how much is measured.
type config struct {
	hearth  string         // the binary
	rounds  int            // of each row
	each    time.Duration  // how long a subject is measured in a round
	blobsMB []int          // sizes of large values
	conns   []int          // open connections
	objects []int          // that are served and called
	tenants []int          // that have them
	only    *regexp.Regexp // of "load, work"; nil: every row
}

// The full run, and one for a smoke test, whose figures mean nothing.
func full(hearth string) config {
	return config{hearth: hearth, rounds: 5, each: 700 * time.Millisecond,
		blobsMB: []int{4, 10}, conns: []int{1, 100, 1000, 10000}, objects: []int{10, 1000, 10000}, tenants: []int{1, 10,
			100}}
}

func quick(hearth string) config {
	return config{hearth: hearth, rounds: 1, each: 50 * time.Millisecond,
		blobsMB: []int{1, 10}, conns: []int{1, 100}, objects: []int{10}, tenants: []int{2}}
}

// longest bounds a run: one that hangs ends, and its servers with it.
const longest = 15 * time.Minute

// bench is one run.
type bench struct {
	cfg    config
	dir    string // of the servers' files; deleted at the end
	out    io.Writer
	hearth *hearth
	hosts  []*hearth        // all that were started
	peers  map[string]*peer // by name; those that are missing are in skips
	skips  []string
	rows   []row
}

// measureAll runs the servers, measures, and ends them, however it goes. The bench has what
// was measured, even if there is an error; it is nil if nothing could be.
func measureAll(ctx context.Context, cfg config, out io.Writer) (*bench, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, longest, fmt.Errorf("it took longer than %s", longest))
	defer cancel()
	b := &bench{cfg: cfg, out: out, peers: map[string]*peer{}}
	dir, err := os.MkdirTemp("", "hearth-bench")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err := os.RemoveAll(dir); err != nil {
			b.tell("%v", err)
		}
	}()
	// A worker of another user passes through.
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // see above
		return nil, err
	}
	b.dir = dir
	defer func() {
		for _, p := range b.peers {
			p.stop()
		}
	}()
	for _, step := range []func(context.Context) error{b.start, b.compare, b.channels, b.prove, b.connections,
		b.objects} {
		if err := step(ctx); err != nil {
			if cause := context.Cause(ctx); cause != nil {
				return b, cause // what it made of the step is of no interest
			}
			for _, h := range b.hosts {
				b.tell("the end of the log in %s:\n%s", filepath.Base(h.dir), h.p.log)
			}
			return b, err
		}
	}
	return b, nil
}

// start runs one server of each kind, and has each answer once. A peer that this machine
// has not is skipped; one that answers wrong ends the run.
func (b *bench) start(ctx context.Context) error {
	for _, s := range []struct {
		name string
		run  func() (*peer, error)
	}{
		{nameHearth, func() (*peer, error) {
			h, err := b.anotherHearth(ctx, "hearth", many{})
			if err != nil {
				return nil, err
			}
			b.hearth = h
			version, err := hearthVersion(ctx, b.cfg.hearth)
			if err != nil {
				h.p.stop()
				return nil, err
			}
			p, err := h.peer(nameHearth, "plain")
			if err != nil {
				h.p.stop()
				return nil, err
			}
			p.version = version
			return p, nil
		}},
		{namePyro, func() (*peer, error) { return startPyro(ctx, b.dir) }},
		{nameRedis, func() (*peer, error) { return startRedis(ctx, b.dir) }},
		{nameGRPC, func() (*peer, error) { return startGRPC(ctx) }},
		{namePlugin, startPlugin},
	} {
		p, err := s.run()
		if errors.Is(err, errSkip) {
			b.skip("%s: %v", s.name, err)
			continue
		}
		if err != nil {
			return err
		}
		b.peers[s.name] = p
		if err := p.verify(ctx); err != nil {
			return err
		}
		b.tell("%s runs as process %d: %s", p.name, p.pid, p.version)
	}
	return nil
}

// prove makes sure of what the figures of Hearth say.
func (b *bench) prove(context.Context) error { return b.hearth.prove() }

// skip notes, and says loudly, what is not measured.
func (b *bench) skip(format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	b.skips = append(b.skips, what)
	b.tell("!! NOT MEASURED: %s", what)
}

func (b *bench) tell(format string, args ...any) {
	fmt.Fprintf(b.out, format+"\n", args...)
}

// hearthVersion is version and commit in a line.
func hearthVersion(ctx context.Context, bin string) (string, error) {
	first, err := firstLine(ctx, bin, "version")
	if err != nil {
		return "", fmt.Errorf("running %s: %w; make build makes it", bin, err)
	}
	return "Hearth" + strings.TrimPrefix(first, "hearth"), nil
}

// absolute is a path that a process in another folder understands.
func absolute(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(abs); err != nil {
		return "", fmt.Errorf("the hearth to measure: %w; make build makes it, -hearth names another", err)
	}
	return abs, nil
}
