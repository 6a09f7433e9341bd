package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the engine of Hearth's stores

	"github.com/hearthhost/hearth/client"
	"github.com/hearthhost/hearth/object"
)

// countID is a keyed object, whose instances are durable counters.
const countID = "bench.count"

var count = work{name: "durable increment", method: "count"}

// durable measures increments that are on the disk before they are answered. Each connection has its own counter, and
// checks that each answer is one more than the last.
func (b *bench) durable(ctx context.Context) error {
	loads := []struct {
		name string
		n    int
	}{{oneCaller, 1}, {fmt.Sprintf("%d connections", busy), busy}}
	if !b.selected(loads[0].name, count.name) && !b.selected(loads[1].name, count.name) {
		return nil
	}
	h, err := b.newHearth(ctx, "durable", many{})
	if err != nil {
		return err
	}
	defer h.p.stop()
	cfg, err := h.config(client.Profile{Address: h.plain, Channel: "plain"})
	if err != nil {
		return err
	}
	dir := filepath.Join(b.dir, "durable-peers")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	database, err := openCounters(ctx, filepath.Join(dir, "count.db"))
	if err != nil {
		return err
	}
	defer database.close()
	disk, err := os.Create(filepath.Join(dir, "log")) //nolint:gosec // in our folder
	if err != nil {
		return err
	}
	defer disk.Close()
	var mu sync.Mutex // guards disk
	subjects := []durableSubject{
		{"Hearth, a keyed object", h, newMeter(h.p.cmd.Process.Pid), "",
			func(ctx context.Context, i int) (func() (int64, error), func(), error) {
				c, err := dialPyro(ctx, cfg, object.ID(fmt.Sprintf("%s:c%02d", countID, i)))
				if err != nil {
					return nil, nil, err
				}
				return func() (int64, error) {
					v, err := c.object.Call(context.Background(), count.method)
					n, _ := v.(int64)
					return n, err
				}, c.close, nil
			}},
		{name: "Redis, appendfsync always", why: "not here"},
		{"SQLite, each commits alone", nil, &meter{load: []int{os.Getpid()}}, "",
			func(_ context.Context, i int) (func() (int64, error), func(), error) {
				return func() (int64, error) { return database.increment(i) }, func() {}, nil
			}},
		{"64 bytes and fsync, one at a time", nil, &meter{load: []int{os.Getpid()}}, "",
			func(context.Context, int) (func() (int64, error), func(), error) {
				var n int64
				return func() (int64, error) {
					mu.Lock()
					defer mu.Unlock()
					n++
					_, err := disk.Write(make([]byte, 64))
					return n, errors.Join(err, disk.Sync())
				}, func() {}, nil
			}},
	}
	if b.peers[nameRedis] != nil {
		p, err := startRedis(ctx, dir, true)
		if err != nil {
			return err
		}
		defer p.stop()
		subjects[1] = durableSubject{"Redis, appendfsync always", nil, newMeter(p.pid), "",
			func(ctx context.Context, i int) (func() (int64, error), func(), error) {
				c, err := dialResp(ctx, p.address)
				if err != nil {
					return nil, nil, err
				}
				key := fmt.Sprintf("c%02d", i)
				return func() (int64, error) {
					n, _, err := c.do("FCALL", count.method, "1", key)
					return n, err
				}, c.close, nil
			}}
	}
	var rows []row
	for _, load := range loads {
		r := row{load: load.name, work: count.name}
		for _, s := range subjects {
			r.cells = append(r.cells, s.cell(load.n))
		}
		rows = append(rows, r)
	}
	return b.rounds(ctx, rows)
}

// durableSubject is a subject of durable. open returns the function that increments counter i, and the one that closes
// its connection.
type durableSubject struct {
	name  string
	host  *hearth
	meter *meter
	why   string
	open  func(ctx context.Context, i int) (increment func() (int64, error), end func(), err error)
}

// cell measures n connections of a subject.
func (s *durableSubject) cell(n int) cell {
	c := cell{subject: s.name, host: s.host, why: s.why}
	if s.open == nil {
		return c
	}
	c.run = func(ctx context.Context, d time.Duration) (*sample, error) {
		next := 0
		callers, err := dialAll(ctx, n, func(ctx context.Context) (caller, error) {
			increment, end, err := s.open(ctx, next)
			next++
			return &counter{increment: increment, end: end}, err
		})
		if err != nil {
			return nil, err
		}
		defer closeAll(callers)
		return measure(ctx, callers, &count, 1, d, s.meter)
	}
	return c
}

// counter is a caller of a durable counter.
type counter struct {
	increment func() (int64, error)
	end       func()
	last      int64 // last answer; 0 before the first one
}

// call implements caller.
func (c *counter) call(context.Context, *work) error {
	n, err := c.increment()
	if err != nil {
		return err
	}
	if n < 1 || c.last > 0 && n != c.last+1 {
		return fmt.Errorf("%w: %d after %d", errWrong, n, c.last)
	}
	c.last = n
	return nil
}

// batch implements caller.
func (*counter) batch(context.Context, *work, int) error { return errNoBatch }

func (c *counter) close() {
	if c.end != nil {
		c.end()
	}
}

// counters are counters in a SQLite file with the settings of Hearth's stores. Each increment is a transaction.
type counters struct {
	db   *sql.DB
	stmt *sql.Stmt
}

func openCounters(ctx context.Context, path string) (*counters, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(ctx, "CREATE TABLE counters (k INTEGER PRIMARY KEY, n INTEGER) STRICT"); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	stmt, err := db.PrepareContext(ctx,
		"INSERT INTO counters VALUES (?, 1) ON CONFLICT DO UPDATE SET n = n + 1 RETURNING n")
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &counters{db, stmt}, nil
}

func (c *counters) increment(key int) (n int64, err error) {
	err = c.stmt.QueryRowContext(context.Background(), key).Scan(&n)
	return n, err
}

func (c *counters) close() {
	_ = c.stmt.Close()
	_ = c.db.Close()
}
