package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"sync"
	"time"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/service/store"
	"github.com/hearthhost/hearth/service/store/sqlite/apply"
)

// writer commits the batches of one file in its goroutine. The batches that arrive while a transaction waits for the
// disk are in the next one, so they share an fsync.
//
// A batch that violates a condition or a quota fails alone. If the transaction fails, all of its batches fail, and the
// writer checks with a further transaction that none of them can appear later: the frames that it wrote into the WAL
// are overwritten. Until that has succeeded, the writer rejects batches.
type writer struct {
	f    *file
	conn *sql.Conn
	stmt apply.Statements
	// cache has rows of the file; it belongs to the goroutine of run.
	cache *apply.Cache

	// The goroutine of run uses these fields.
	uncertain bool  // a transaction has failed, and its batches may be in the WAL
	purgeAt   int64 // time of the next purge
	pending   int64 // bytes written since the last checkpoint

	mu       sync.Mutex // guards the fields below
	queue    []*commit
	group    []*commit // those in the running transaction
	stopping bool
	fenced   bool
	wake     chan struct{} // holds a token if queue or stopping has changed
	ended    chan struct{} // closed when run has ended
}

// commit is a batch, or an import, that waits for its transaction.
type commit struct {
	ctx    context.Context
	batch  *store.Batch
	load   func(*apply.Transaction) error // of an import, which shares no transaction; its batch is nil
	result store.Result
	err    error
	done   chan struct{} // closed when result and err are set
	notify func()        // called then, by the writer's goroutine; it does not wait; may be nil
}

// Bounds of a transaction.
const (
	maxGroup      = 1000     // batches
	maxGroupBytes = 16 << 20 // keys and values
)

// newWriter starts the writer of a file whose store the process owns. The connection belongs to it.
func newWriter(f *file, conn *sql.Conn) (*writer, error) {
	if _, err := conn.ExecContext(context.Background(), syncFull); err != nil {
		return nil, err
	}
	w := &writer{f: f, conn: conn, cache: apply.NewCache(), wake: make(chan struct{}, 1), ended: make(chan struct{})}
	err := conn.Raw(func(dc any) error { return w.stmt.Prepare(dc.(driver.ConnPrepareContext), selectOwner) })
	if err != nil {
		return nil, err
	}
	go w.run()
	return w, nil
}

// lost reports whether another process has taken the store.
func (w *writer) lost() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.fenced
}

// stop ends the writer after the batches in its queue.
func (w *writer) stop() {
	w.mu.Lock()
	w.stopping = true
	w.mu.Unlock()
	w.signal()
	<-w.ended
}

// errStopped is the error of commit after stop.
var errStopped = errors.New("the writer has ended")

func (w *writer) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// commit waits until a batch is durable or has failed. The end of ctx prevents a commit that has not begun.
func (w *writer) commit(ctx context.Context, b *store.Batch) (store.Result, error) {
	return w.wait(&commit{ctx: ctx, batch: b, done: make(chan struct{})})
}

// wait waits for the transaction of a commit.
func (w *writer) wait(c *commit) (store.Result, error) {
	if !w.enqueue(c) {
		return store.Result{}, errStopped
	}
	<-c.done
	return c.result, c.err
}

// enqueue appends a commit to the queue. It returns false after stop.
func (w *writer) enqueue(c *commit) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopping {
		return false
	}
	w.queue = append(w.queue, c)
	w.signal()
	return true
}

// settle waits for the commits of an object that have begun.
func (w *writer) settle(ctx context.Context, id object.ID) error {
	w.mu.Lock()
	var last *commit
	for _, list := range [][]*commit{w.group, w.queue} {
		for _, c := range list {
			if c.load != nil || c.batch.Object == id {
				last = c
			}
		}
	}
	w.mu.Unlock()
	if last == nil {
		return nil
	}
	select {
	case <-last.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run commits groups until the writer is stopped.
func (w *writer) run() {
	defer close(w.ended)
	defer w.conn.Close() //nolint:errcheck // it returns the connection to its pool
	defer func() { _ = w.conn.Raw(func(any) error { return w.stmt.Close() }) }()
	for {
		group := w.take()
		if group == nil {
			return
		}
		w.commitGroup(group)
		w.mu.Lock()
		w.group = nil
		w.mu.Unlock()
		for _, c := range group {
			close(c.done)
			if c.notify != nil {
				c.notify()
			}
		}
		w.checkpoint()
	}
}

// take returns the next group, or nil if the writer is to end.
func (w *writer) take() []*commit {
	for {
		w.mu.Lock()
		n, bytes := 0, 0
		for n < len(w.queue) && n < maxGroup && (n == 0 || bytes < maxGroupBytes) {
			if w.queue[n].load != nil {
				if n == 0 {
					n, bytes = 1, checkpointBytes
				}
				break
			}
			bytes += size(w.queue[n].batch)
			n++
		}
		if n > 0 {
			w.group = append([]*commit(nil), w.queue[:n]...)
			w.queue = append(w.queue[:0:0], w.queue[n:]...)
			w.pending += int64(bytes)
			w.mu.Unlock()
			return w.group
		}
		stopping := w.stopping
		w.mu.Unlock()
		if stopping {
			return nil
		}
		<-w.wake
	}
}

func size(b *store.Batch) (n int) {
	for i := range b.Writes {
		n += len(b.Writes[i].Key) + len(b.Writes[i].Value)
	}
	return n
}

// commitGroup commits a group and sets the results of its batches.
func (w *writer) commitGroup(group []*commit) {
	m := &w.f.e.metrics
	if err := w.recover(); err != nil {
		fail(group, w.f.failure("commit", err))
		return
	}
	begun := time.Now()
	err := w.transact(group)
	if err != nil && len(group) > 1 && code(err)&0xff == sqlite3.SQLITE_FULL {
		for _, c := range group { // one of them may be too large, and others delete
			c.result, c.err = store.Result{}, nil
			if err := w.transact([]*commit{c}); err != nil {
				w.failGroup([]*commit{c}, err)
			}
		}
		err = nil
	}
	if err != nil {
		w.failGroup(group, err)
	}
	m.observe(group, time.Since(begun))
}

// failGroup sets the error of a group whose transaction has failed.
func (w *writer) failGroup(group []*commit, err error) {
	if errors.Is(err, store.ErrFenced) {
		w.mu.Lock()
		w.fenced = true
		w.mu.Unlock()
		w.f.e.metrics.Fenced.Add(int64(len(group)))
		fail(group, err)
		return
	}
	failure := w.f.failure("commit", err)
	if w.uncertain {
		if again := w.recover(); again != nil {
			failure = store.ErrUnknown
			w.f.e.cfg.Log.Error("store is off until its file can be written", "tenant", w.f.tenant, "file", w.f.path,
				"err", again)
		}
	}
	fail(group, failure)
}

// fail sets the error of the batches that have none.
func fail(group []*commit, err error) {
	for _, c := range group {
		if c.err == nil {
			c.result, c.err = store.Result{}, err
		}
	}
}

// recover makes sure that the batches of a failed transaction cannot appear. It writes a transaction, whose frames
// replace theirs in the WAL.
func (w *writer) recover() error {
	if !w.uncertain {
		return nil
	}
	ctx := context.Background()
	if _, err := w.conn.ExecContext(ctx, `UPDATE owner SET writes = writes + 1`); err != nil {
		return err
	}
	w.uncertain = false
	return nil
}

// transact commits a group in one transaction. It sets the results of the batches. An error means that none is stored;
// if uncertain is set, some may be.
func (w *writer) transact(group []*commit) error {
	return w.conn.Raw(func(any) error { return w.transactRaw(group) })
}

// transactRaw is transact while the writer has the driver's connection. Its statements have no context: a commit that
// has begun is not given up, since its outcome would be unknown.
func (w *writer) transactRaw(group []*commit) (err error) {
	if err := w.stmt.Begin.Exec(); err != nil {
		return err
	}
	committed := false
	defer func() {
		if !committed {
			w.cache.Clear()
			failed := w.stmt.Rollback.Exec()
			if failed != nil && err == nil {
				err = failed
			}
		}
	}()
	o, err := w.owner()
	if err != nil {
		return err
	}
	if o.token != w.f.token || o.released {
		return store.ErrFenced
	}
	now := max(w.f.now(), o.latest)
	t := apply.New(&w.stmt, &o.Totals, w.cache, now)
	if now >= w.purgeAt {
		w.purgeAt = now + purgeInterval
		n, err := t.Purge(purgeRows)
		if err != nil {
			return err
		}
		if n == purgeRows {
			w.purgeAt = now
		}
	}
	for _, c := range group {
		if err := c.ctx.Err(); err != nil {
			c.err = err
			continue
		}
		if c.load != nil {
			if err := c.load(t); err != nil {
				return err
			}
			w.cache.Clear()
			continue
		}
		var failed error
		if c.result, failed, err = t.Apply(c.batch); err != nil {
			return err
		}
		c.err = failed
	}
	if !t.Changed {
		return nil // only batches that failed
	}
	if err := t.Finish(); err != nil {
		return err
	}
	begun := time.Now()
	if err := w.stmt.Commit.Exec(); err != nil {
		// After a full disk or a failed write, the transaction is incomplete in the WAL.
		w.uncertain = code(err)&0xff != sqlite3.SQLITE_FULL && code(err) != sqlite3.SQLITE_IOERR_WRITE
		return err
	}
	w.f.e.metrics.Sync.observe(SyncBounds, int64(time.Since(begun)))
	committed = true
	return nil
}

// owner reads the row of the owner.
func (w *writer) owner() (o owner, err error) {
	var released int64
	err = w.stmt.Owner.Each(func(row []driver.Value) error {
		return apply.Scan(row, &o.token.Epoch, &o.token.Node, &o.token.Incarnation, &released, &o.requested, &o.Writes,
			&o.Bytes, &o.Keys, &o.latest)
	})
	o.released = released != 0
	return o, err
}

// Purges of expired keys.
const (
	purgeInterval = 1000 // ms between two purges
	purgeRows     = 500  // rows that one transaction removes
)

// checkpointBytes is the size of batches after which the WAL is copied into the file.
const checkpointBytes = 2 << 20

// checkpoint copies the WAL into the file when it has grown. Batches wait meanwhile.
func (w *writer) checkpoint() {
	w.pending += 8 << 10 // the pages that every transaction changes
	if w.pending < checkpointBytes {
		return
	}
	w.pending = 0
	err := w.conn.Raw(func(any) error { return w.stmt.Checkpoint.Exec() })
	if err != nil {
		w.f.failure("checkpoint", err) //nolint:errcheck // it logs; the WAL keeps the state
	}
}
