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

// config is the extent of a run.
type config struct {
	hearth  string         // path of the binary
	rounds  int            // rounds per row
	each    time.Duration  // duration per subject and round
	blobsMB []int          // sizes of large values
	conns   []int          // numbers of open connections
	objects []int          // numbers of objects
	tenants []int          // numbers of tenants
	only    *regexp.Regexp // selects rows by "load, work"; nil selects all
}

// full is the extent of a full run.
func full(hearth string) config {
	return config{
		hearth:  hearth,
		rounds:  5,
		each:    700 * time.Millisecond,
		blobsMB: []int{4, 10},
		conns:   []int{1, 100, 1000, 10000},
		objects: []int{10, 1000, 10000},
		tenants: []int{1, 10, 100},
	}
}

// quick is the extent of a smoke test. Its figures mean nothing.
func quick(hearth string) config {
	return config{
		hearth:  hearth,
		rounds:  1,
		each:    50 * time.Millisecond,
		blobsMB: []int{1, 10},
		conns:   []int{1, 100},
		objects: []int{10},
		tenants: []int{2},
	}
}

// maxRun bounds a run. A run that hangs ends with its servers.
const maxRun = 15 * time.Minute

// bench is a run.
type bench struct {
	cfg    config
	dir    string // folder for the servers' files; deleted at the end
	out    io.Writer
	hearth *hearth
	hosts  []*hearth        // all started hosts
	peers  map[string]*peer // running peers by name
	skips  []string         // missing peers and measurements, with reasons
	rows   []row
}

// measureAll starts the servers, measures, and stops them in any case. With an error the bench has the rows measured so
// far; it is nil if nothing was measured.
func measureAll(ctx context.Context, cfg config, out io.Writer) (*bench, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, maxRun, fmt.Errorf("it took longer than %s", maxRun))
	defer cancel()
	b := &bench{cfg: cfg, out: out, peers: map[string]*peer{}}
	dir, err := os.MkdirTemp("", "hearth-bench")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err := os.RemoveAll(dir); err != nil {
			b.logf("%v", err)
		}
	}()
	// A worker may run as another user and needs access.
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // see above
		return nil, err
	}
	b.dir = dir
	defer func() {
		for _, p := range b.peers {
			p.stop()
		}
	}()
	for _, step := range []func(context.Context) error{b.start, b.compare, b.channels, b.checkAudit, b.connections,
		b.objects, b.neighbours, b.durable} {
		if err := step(ctx); err != nil {
			if cause := context.Cause(ctx); cause != nil {
				return b, cause // the step's error is only a consequence
			}
			for _, h := range b.hosts {
				b.logf("the end of the log in %s:\n%s", filepath.Base(h.dir), h.p.log)
			}
			return b, err
		}
	}
	return b, nil
}

// start starts one server of each kind and verifies it. A peer that is not installed is skipped. A wrong answer ends
// the run.
func (b *bench) start(ctx context.Context) error {
	for _, s := range []struct {
		name string
		run  func() (*peer, error)
	}{
		{nameHearth, func() (*peer, error) {
			h, err := b.newHearth(ctx, "hearth", many{})
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
		{nameRedis, func() (*peer, error) { return startRedis(ctx, b.dir, false) }},
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
		b.logf("%s runs as process %d: %s", p.name, p.pid, p.version)
	}
	return nil
}

// checkAudit checks that the host audited all measured calls.
func (b *bench) checkAudit(context.Context) error { return b.hearth.checkAudit() }

// skip records and logs a missing measurement.
func (b *bench) skip(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	b.skips = append(b.skips, text)
	b.logf("!! NOT MEASURED: %s", text)
}

func (b *bench) logf(format string, args ...any) {
	fmt.Fprintf(b.out, format+"\n", args...)
}

// hearthVersion returns version and commit.
func hearthVersion(ctx context.Context, bin string) (string, error) {
	first, err := firstLine(ctx, bin, "version")
	if err != nil {
		return "", fmt.Errorf("running %s: %w; run make build", bin, err)
	}
	return "Hearth" + strings.TrimPrefix(first, "hearth"), nil
}

// absolute returns an absolute path, for processes in other folders.
func absolute(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(abs); err != nil {
		return "", fmt.Errorf("the hearth binary to measure: %w; run make build, or name another binary with -hearth",
			err)
	}
	return abs, nil
}
