package main

import (
	"context"
	"fmt"
	"time"
)

// Sizes of the loads.
const (
	busy      = 50 // connections that call concurrently
	batchSize = 16
)

const oneCaller = "1 Go caller"

// whyNoPyro is the cell text of rows for Python clients without Pyro.
const whyNoPyro = "no Pyro4 here"

// goRow returns a row of a load by this program, with all subjects.
func (b *bench) goRow(load string, n int, w work, batch int) row {
	r := row{load: load, work: w.name}
	for _, name := range subjects {
		c := cell{subject: name}
		p := b.peers[name]
		switch {
		case p == nil:
			c.why = "not here"
		case batch > 1 && (name == nameGRPC || name == namePlugin):
			c.why = "n/a"
		default:
			c.host = p.host
			c.run = func(ctx context.Context, d time.Duration) (*sample, error) {
				return p.measure(ctx, n, &w, batch, d)
			}
		}
		r.cells = append(r.cells, c)
	}
	return r
}

// measure opens connections, measures over them and closes them.
func (p *peer) measure(ctx context.Context, n int, w *work, batch int, d time.Duration) (*sample, error) {
	callers, err := dialAll(ctx, n, p.dial)
	if err != nil {
		return nil, err
	}
	defer closeAll(callers)
	return measure(ctx, callers, w, batch, d, newMeter(p.pid))
}

// leanRow returns a row of a load by the lean load generator, with the subjects whose messages it has prepared.
func (b *bench) leanRow(load string, n int, w work, batch int) row {
	r := row{load: load, work: w.name}
	for _, name := range []string{nameHearth, nameRedis} {
		c := cell{subject: name}
		if p := b.peers[name]; p == nil {
			c.why = "not here"
		} else {
			c.host = p.host
			c.run = func(ctx context.Context, d time.Duration) (*sample, error) {
				return p.measureLean(ctx, leanLoad{Work: w.name, Conns: n, Batch: batch, Each: d})
			}
		}
		r.cells = append(r.cells, c)
	}
	return r
}

// pythonRow returns a row of a load by unmodified Pyro4 clients.
func (b *bench) pythonRow(load string, n int, w work) row {
	r := row{load: load, work: w.name}
	for _, name := range []string{nameHearth, namePyro} {
		c := cell{subject: name}
		if p := b.peers[name]; p == nil || b.peers[namePyro] == nil {
			c.why = whyNoPyro
		} else {
			c.host = p.host
			c.run = func(ctx context.Context, d time.Duration) (*sample, error) {
				return p.measurePython(ctx, n, &w, d)
			}
		}
		r.cells = append(r.cells, c)
	}
	return r
}

// compare measures all peers.
func (b *bench) compare(ctx context.Context) error {
	var rows []row
	for _, w := range []work{add, echo} {
		rows = append(rows,
			b.goRow(oneCaller, 1, w, 1),
			b.goRow(fmt.Sprintf("%d connections", busy), busy, w, 1),
			b.goRow(fmt.Sprintf("%d connections, batches of %d", busy, batchSize), busy, w, batchSize),
			b.leanRow("1 lean caller", 1, w, 1),
			b.leanRow(fmt.Sprintf("%d lean connections", busy), busy, w, 1),
			b.leanRow(fmt.Sprintf("%d lean connections, batches of %d", busy, batchSize), busy, w, batchSize),
			b.pythonRow("1 Python client", 1, w),
			b.pythonRow("4 Python clients", 4, w))
	}
	for _, mb := range b.cfg.blobsMB {
		rows = append(rows, b.goRow(oneCaller, 1, newBlob(mb), 1))
	}
	return b.rounds(ctx, rows)
}

// Channels of Hearth.
var ways = []struct{ name, subject string }{{"plain", "plain"}, {"hmac", "HMAC channel"}, {"tls", "mutual TLS"}}

// channels measures the cost of Hearth's channels.
func (b *bench) channels(ctx context.Context) error {
	var rows []row
	for _, load := range []struct {
		name string
		n    int
	}{{oneCaller, 1}, {fmt.Sprintf("%d connections", busy), busy}} {
		for _, w := range []work{add, echo} {
			r := row{load: load.name, work: w.name}
			for _, ch := range ways {
				p, err := b.hearth.peer(ch.subject, ch.name)
				if err != nil {
					return err
				}
				if err := p.verify(ctx); err != nil {
					return err
				}
				r.cells = append(r.cells, cell{
					subject: ch.subject,
					host:    b.hearth,
					run: func(ctx context.Context, d time.Duration) (*sample, error) {
						return p.measure(ctx, load.n, &w, 1, d)
					},
				})
			}
			rows = append(rows, r)
		}
	}
	return b.rounds(ctx, rows)
}
