package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hearthhost/hearth/client"
)

// spareFiles is the number of files that this process and a host open besides connections.
const spareFiles = 500

// connections measures Hearth with increasing numbers of open connections, some busy and the others idle. Each number
// has a new host. Its connections stay open until the end of the measurement.
func (b *bench) connections(ctx context.Context) error {
	r := row{load: fmt.Sprintf("connections open, %d of them busy at most", busy), work: add.name}
	if !b.selected(r.load, r.work) {
		return nil
	}
	var held [][]caller
	for _, n := range b.cfg.conns {
		c := cell{subject: thousands(n)}
		if limit := openFiles(); limit < uint64(n+spareFiles) {
			c.why = fmt.Sprintf("ulimit -n is %d", limit)
			b.skip("%d connections: the hard limit of open files (ulimit -Hn) is %d, and %d are needed", n, limit,
				n+spareFiles)
			r.cells = append(r.cells, c)
			continue
		}
		h, err := b.newHearth(ctx, fmt.Sprintf("conns-%d", n), many{})
		if err != nil {
			return err
		}
		defer h.p.stop()
		cfg, err := h.config(client.Profile{Address: h.plain, Channel: "plain"})
		if err != nil {
			return err
		}
		all, err := openMany(ctx, cfg, n)
		defer closeAll(all)
		if err != nil {
			return fmt.Errorf("opening %d connections: %w", n, err)
		}
		held = append(held, all)
		c.host, c.run = h, func(ctx context.Context, d time.Duration) (*sample, error) {
			return measure(ctx, all[:min(busy, n)], &add, 1, d, newMeter(h.p.cmd.Process.Pid))
		}
		r.cells = append(r.cells, c)
	}
	if err := b.rounds(ctx, []row{r}); err != nil {
		return err
	}
	// The idle connections must still be open, otherwise the measurement is void.
	for _, all := range held {
		for i, c := range all {
			if err := c.call(ctx, &add); err != nil {
				return fmt.Errorf("of %d open connections number %d is gone: %w", len(all), i, err)
			}
		}
	}
	return nil
}

// openMany opens connections, several concurrently.
func openMany(ctx context.Context, cfg client.Config, n int) ([]caller, error) {
	all := make([]caller, 0, n)
	var (
		mu    sync.Mutex // guards all and first
		first error
		wg    sync.WaitGroup
		next  = make(chan struct{})
	)
	for range min(n, 4*runtime.NumCPU()) {
		wg.Go(func() {
			for range next {
				c, err := dialPyro(ctx, cfg, workID)
				mu.Lock()
				if err == nil {
					all = append(all, c)
				} else if first == nil {
					first = err
				}
				mu.Unlock()
			}
		})
	}
	for range n {
		next <- struct{}{}
	}
	close(next)
	wg.Wait()
	return all, first
}

// openFiles returns the number of files that this process and its hosts may open. Go raises the soft limit to the hard
// limit in both.
func openFiles() uint64 {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0
	}
	return l.Max
}

// objects measures Hearth with increasing numbers of objects in one tenant each, and with increasing numbers of
// tenants. Each tenant has a worker process.
func (b *bench) objects(ctx context.Context) error {
	const tenants = 10
	err := b.called(ctx, fmt.Sprintf("objects of %d tenants", tenants), b.cfg.objects, func(int) int { return tenants })
	if err != nil {
		return err
	}
	return b.called(ctx, "tenants with one object each", b.cfg.tenants, func(n int) int { return n })
}

// called measures rows in which many objects are called one after another. Each number has a new host. Each object is
// called once before the measurement, so that its script is loaded.
func (b *bench) called(ctx context.Context, what string, numbers []int, tenants func(int) int) error {
	r := row{load: fmt.Sprintf("%s, called in turn over %d connections", what, busy), work: add.name}
	if !b.selected(r.load, r.work) {
		return nil
	}
	for _, n := range numbers {
		m := many{n, tenants(n)}
		h, err := b.newHearth(ctx, fmt.Sprintf("%s-%d", strings.Fields(what)[0], n), m)
		if err != nil {
			return err
		}
		defer h.p.stop()
		cfg, err := h.config(client.Profile{Address: h.plain, Channel: "plain"})
		if err != nil {
			return err
		}
		callers, err := dialAll(ctx, busy,
			func(ctx context.Context) (caller, error) { return dialPyro(ctx, cfg, workID) })
		if err != nil {
			return err
		}
		for i, c := range callers {
			callers[i] = newRoundRobin(c.(*pyroCaller), m, i*n/busy)
		}
		defer closeAll(callers)
		if err := callers[0].(*roundRobin).all(ctx); err != nil {
			return fmt.Errorf("%d objects: %w", n, err)
		}
		c := cell{
			subject: thousands(n),
			host:    h,
			run: func(ctx context.Context, d time.Duration) (*sample, error) {
				return measure(ctx, callers, &add, 1, d, newMeter(h.p.cmd.Process.Pid))
			},
		}
		r.cells = append(r.cells, c)
	}
	return b.rounds(ctx, []row{r})
}

// roundRobin is a connection that calls many objects in turn.
type roundRobin struct {
	*pyroCaller
	over []*client.Object
	next int
}

func newRoundRobin(c *pyroCaller, m many, first int) *roundRobin {
	s := &roundRobin{pyroCaller: c, next: first}
	for i := range m.objects {
		s.over = append(s.over, c.session.Object(m.id(i)))
	}
	return s
}

// call implements caller.
func (s *roundRobin) call(ctx context.Context, w *work) error {
	s.object = s.over[s.next]
	s.next = (s.next + 1) % len(s.over)
	return s.pyroCaller.call(ctx, w)
}

// all calls every object once.
func (s *roundRobin) all(ctx context.Context) error {
	for range s.over {
		if err := s.call(ctx, &add); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// newHearth starts a host. The caller stops it.
func (b *bench) newHearth(ctx context.Context, name string, more many) (*hearth, error) {
	dir := filepath.Join(b.dir, name)
	if err := os.Mkdir(dir, 0o755); err != nil { //nolint:gosec // a worker of another user passes through
		return nil, err
	}
	h, err := startHearth(ctx, b.cfg.hearth, dir, more)
	if err != nil {
		return nil, err
	}
	b.hosts = append(b.hosts, h)
	return h, nil
}
