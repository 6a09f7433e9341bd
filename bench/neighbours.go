package main

import (
	"context"
	"fmt"
	"time"
)

// flooding is the number of callers of a flood.
const flooding = 64

// neighbours measures the calls of one caller while many callers call another tenant: of the same host, and of another
// host on the same machine, which is the best that a host can reach without a processor for the caller alone.
func (b *bench) neighbours(ctx context.Context) error {
	r := row{load: fmt.Sprintf("1 lean caller beside %d of another tenant", flooding), work: add.name}
	if !b.selected(r.load, r.work) {
		return nil
	}
	var hosts [2]*hearth
	both := many{objects: 2, tenants: 2}
	for i := range hosts {
		h, err := b.newHearth(ctx, fmt.Sprintf("neighbours-%d", i), both)
		if err != nil {
			return err
		}
		defer h.p.stop()
		hosts[i] = h
	}
	for _, beside := range []struct {
		subject string
		flooded *hearth
	}{{"no others", nil}, {"the same host", hosts[0]}, {"another host", hosts[1]}} {
		r.cells = append(r.cells, cell{
			subject: beside.subject,
			host:    hosts[0],
			run: func(ctx context.Context, d time.Duration) (*sample, error) {
				if beside.flooded != nil {
					stop, err := beside.flooded.flood(ctx, leanLoad{Object: both.id(1), Conns: flooding, Each: d})
					if err != nil {
						return nil, err
					}
					defer func() { b.logf("beside %s: flood %.0f calls a second", beside.subject, stop(ctx)) }()
				}
				p := peer{name: nameHearth, address: hosts[0].plain, pid: hosts[0].p.cmd.Process.Pid}
				return p.measureLean(ctx, leanLoad{Object: both.id(0), Work: add.name, Conns: 1, Batch: 1, Each: d})
			},
		})
	}
	return b.rounds(ctx, []row{r})
}

// flood makes load on the host for l.Each and some time more. stop waits for its end and returns the calls a second.
func (h *hearth) flood(ctx context.Context, l leanLoad) (stop func(context.Context) float64, err error) {
	l.Subject, l.Address, l.Work, l.Batch = nameHearth, h.plain, add.name, 1
	l.Each += 300 * time.Millisecond
	cmd, err := l.command()
	if err != nil {
		return nil, err
	}
	cmd.Env = baseEnv()
	p, err := start(nameLean, true, cmd)
	if err != nil {
		return nil, err
	}
	err = expectLines(ctx, []*process{p}, "ready")
	if err == nil {
		_, err = p.stdin.Write([]byte("go\n"))
	}
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("starting a flood: %w", err)
	}
	return func(ctx context.Context) float64 {
		defer p.stop()
		if expectLines(ctx, []*process{p}, "end") != nil {
			return 0
		}
		line, err := p.line(ctx)
		if err != nil {
			return 0
		}
		elapsed, times, err := parseTimes(line)
		if err != nil {
			return 0
		}
		return float64(len(times)) / elapsed.Seconds()
	}, nil
}
