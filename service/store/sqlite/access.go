package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"os"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/service/store"
)

// The statements of readers get no context that can end: with one, the driver starts a goroutine for each of them. None
// takes long.

// Get implements [store.Engine].
func (e *Engine) Get(ctx context.Context, id object.ID, key string) (store.Item, error) {
	if err := store.CheckKey(key); err != nil {
		return store.Item{}, err
	}
	f, err := e.acquire(ctx, id.Tenant())
	if err != nil {
		return store.Item{}, err
	}
	defer e.release(f)
	it := store.Item{Key: key}
	switch err := f.get.QueryRowContext(context.Background(), string(id), key).
		Scan(&it.Value, &it.Version, &it.Expires); {
	case errors.Is(err, sql.ErrNoRows):
	case err != nil:
		return store.Item{}, f.failure("read", err)
	case store.Expired(it.Expires, f.now()):
		return store.Item{Key: key}, nil
	}
	return it, nil
}

// List implements [store.Engine].
func (e *Engine) List(ctx context.Context, id object.ID, r store.Range) (items []store.Item, more bool, err error) {
	if err := r.Check(); err != nil {
		return nil, false, err
	}
	f, err := e.acquire(ctx, id.Tenant())
	if err != nil {
		return nil, false, err
	}
	defer e.release(f)
	stmt := f.list[0]
	if r.Reverse {
		stmt = f.list[1]
	}
	from, to := r.Bounds()
	rows, err := stmt.QueryContext(context.Background(), string(id), from, to, f.now(), r.Limit+1)
	if err != nil {
		return nil, false, f.failure("read", err)
	}
	defer rows.Close() //nolint:errcheck // Err has the errors of reading
	size := 0
	for rows.Next() {
		var it store.Item
		if err := rows.Scan(&it.Key, &it.Value, &it.Version, &it.Expires); err != nil {
			return nil, false, f.failure("read", err)
		}
		size += len(it.Key) + len(it.Value)
		if len(items) == r.Limit || len(items) > 0 && size > store.MaxPageBytes {
			return items, true, nil
		}
		items = append(items, it)
	}
	if err := rows.Err(); err != nil {
		return nil, false, f.failure("read", err)
	}
	return items, false, nil
}

// Commit implements [store.Engine].
func (e *Engine) Commit(ctx context.Context, b *store.Batch) (store.Result, error) {
	if err := b.Check(); err != nil {
		return store.Result{}, err
	}
	for {
		r, err := e.commit(ctx, b)
		if !errors.Is(err, errStopped) {
			return r, err
		}
	}
}

// commit is Commit. It returns errStopped if the store is released at the same time.
func (e *Engine) commit(ctx context.Context, b *store.Batch) (store.Result, error) {
	f, err := e.acquire(ctx, b.Object.Tenant())
	if err != nil {
		return store.Result{}, err
	}
	defer e.release(f)
	w := f.current()
	if w == nil {
		return store.Result{}, errStopped
	}
	return w.commit(ctx, b)
}

var _ store.Beginner = (*Engine)(nil)

// Begin implements [store.Beginner]. The file must be open.
func (e *Engine) Begin(ctx context.Context, b *store.Batch, done func(store.Result, error)) bool {
	if b.Check() != nil {
		return false
	}
	f := e.reserveOpen(b.Object.Tenant())
	if f == nil {
		return false
	}
	if f.opening.TryLock() {
		w := f.writer
		f.opening.Unlock()
		c := &commit{ctx: ctx, batch: b, done: make(chan struct{})}
		c.notify = func() {
			e.release(f)
			done(c.result, c.err)
		}
		if w != nil && !w.lost() && w.enqueue(c) {
			return true
		}
	}
	e.release(f)
	return false
}

// current returns the writer of a file, nil after the store was released.
func (f *file) current() *writer {
	f.opening.Lock()
	defer f.opening.Unlock()
	return f.writer
}

// Answer implements [store.Engine].
func (e *Engine) Answer(ctx context.Context, id object.ID, call store.CallKey) (a store.Answer, found bool, err error) {
	f, err := e.acquire(ctx, id.Tenant())
	if err != nil {
		return a, false, err
	}
	defer e.release(f)
	a.Call = call
	var sum []byte
	now := f.now()
	err = f.answer.QueryRowContext(context.Background(), string(id), string(call.Principal), call.Key, now).
		Scan(&sum, &a.State, &a.Exception, &a.Payload)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return store.Answer{}, false, nil
	case err != nil:
		return store.Answer{}, false, f.failure("read", err)
	}
	copy(a.Sum[:], sum)
	return a, true, nil
}

// Settle implements [store.Engine].
func (e *Engine) Settle(ctx context.Context, id object.ID) error {
	f, err := e.acquire(ctx, id.Tenant())
	if err != nil {
		return err
	}
	defer e.release(f)
	if w := f.current(); w != nil {
		return w.settle(ctx, id)
	}
	return nil
}

// Usage implements [store.Engine].
func (e *Engine) Usage(ctx context.Context, tenant object.Tenant) (u store.Usage, err error) {
	f, err := e.acquire(ctx, tenant)
	if err != nil {
		return u, err
	}
	defer e.release(f)
	if err := f.read.QueryRowContext(context.Background(), selectTotals).Scan(&u.Bytes, &u.Keys); err != nil {
		return u, f.failure("read", err)
	}
	u.File = e.FileBytes(tenant)
	return u, nil
}

// FileBytes returns the size of a tenant's files, 0 if it has none. It opens none.
func (e *Engine) FileBytes(tenant object.Tenant) (n int64) {
	for _, suffix := range []string{"", "-wal"} {
		if info, err := os.Stat(e.Path(tenant) + suffix); err == nil {
			n += info.Size()
		}
	}
	return n
}

// Objects implements [store.Engine].
func (e *Engine) Objects(ctx context.Context, tenant object.Tenant, after object.ID, limit int) (
	list []store.ObjectUsage, err error) {
	f, err := e.acquire(ctx, tenant)
	if err != nil {
		return nil, err
	}
	defer e.release(f)
	rows, err := f.read.QueryContext(context.Background(), selectObjects, string(after), limit)
	if err != nil {
		return nil, f.failure("read", err)
	}
	defer rows.Close() //nolint:errcheck // Err has the errors of reading
	for rows.Next() {
		var o store.ObjectUsage
		if err := rows.Scan(&o.Object, &o.Bytes, &o.Keys); err != nil {
			return nil, f.failure("read", err)
		}
		list = append(list, o)
	}
	if err := rows.Err(); err != nil {
		return nil, f.failure("read", err)
	}
	return list, nil
}

// Backup writes a copy of a tenant's store, as it is at one moment, into a new or empty file. Calls continue meanwhile.
func (e *Engine) Backup(ctx context.Context, tenant object.Tenant, path string) error {
	f, err := e.acquire(ctx, tenant)
	if err != nil {
		return err
	}
	defer e.release(f)
	// A connection that may write is required; the writer's is in use.
	db, err := f.connect(1, "-512", "0")
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // it has written nothing
	if _, err := db.ExecContext(context.WithoutCancel(ctx), `VACUUM INTO ?`, path); err != nil {
		return f.failure("back up", err)
	}
	return os.Chmod(path, 0o600)
}

// Check reads a whole store and returns the damage that SQLite finds, one line each, at most 100. Without damage it
// returns the objects whose recorded size is wrong.
func (e *Engine) Check(ctx context.Context, tenant object.Tenant) (damage []string, err error) {
	f, err := e.acquire(ctx, tenant)
	if err != nil {
		return nil, err
	}
	defer e.release(f)
	lines, err := f.lines(ctx, `PRAGMA integrity_check`)
	if err != nil {
		return nil, f.failure("check", err)
	}
	for _, line := range lines {
		if line != "ok" {
			damage = append(damage, line)
		}
	}
	if damage != nil {
		return damage, nil
	}
	objects, err := f.lines(ctx, selectMiscounted)
	if err != nil {
		return nil, f.failure("check", err)
	}
	for _, id := range objects {
		damage = append(damage, "the recorded size of "+id+" differs from the size of its keys")
	}
	return damage, nil
}

// lines returns the texts of a statement with one column.
func (f *file) lines(ctx context.Context, query string) (lines []string, err error) {
	rows, err := f.read.QueryContext(context.WithoutCancel(ctx), query)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // Err has the errors of reading
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return nil, err
		}
		lines = append(lines, line)
	}
	return lines, rows.Err()
}
