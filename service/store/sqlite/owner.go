package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/service/store"
	"github.com/hearthhost/hearth/service/store/sqlite/apply"
)

const (
	selectOwner = `SELECT epoch, node, incarnation, released, requested, writes, bytes, keys, latest
		FROM owner`
	takeOwner       = `UPDATE owner SET epoch = ?, node = ?, incarnation = ?, released = 0, requested = ''`
	requestOwner    = `UPDATE owner SET requested = ?`
	syncFull        = `PRAGMA synchronous = FULL`
	selectRequested = `SELECT requested FROM owner`
	freeOwner       = `UPDATE owner SET released = 1, requested = '', latest = max(latest, ?)
		WHERE epoch = ? AND incarnation = ?`
	saveTime = `UPDATE owner SET latest = ?1 WHERE latest < ?1 AND epoch = ?2 AND incarnation = ?3 AND released = 0`
)

// owner is the row of table owner.
type owner struct {
	token     store.Token
	released  bool
	requested string
	apply.Totals
	latest int64 // see store.Clock
}

func readOwner(row interface{ Scan(...any) error }) (o owner, err error) {
	err = row.Scan(&o.token.Epoch, &o.token.Node, &o.token.Incarnation, &o.released, &o.requested, &o.Writes, &o.Bytes,
		&o.Keys, &o.latest)
	return o, err
}

// acquireInterval is the time between two attempts to acquire a store that another process owns.
const acquireInterval = 2 * time.Millisecond

// own acquires the store and starts its writer. It waits until another owner that is alive releases the store, and
// takes it after Config.TakeOver. The caller holds opening.
func (f *file) own(ctx context.Context) error {
	if f.writer != nil {
		f.writer.stop()
		f.writer = nil
	}
	f.e.mu.Lock()
	handedOver := f.e.handedOver[f.tenant]
	f.e.mu.Unlock()
	if handedOver {
		return store.ErrMoved
	}
	conn, err := f.write.Conn(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	begun := time.Now()
	for {
		force := time.Since(begun) > f.e.cfg.TakeOver
		token, err := f.tryOwn(conn, force)
		if err == nil && token.Epoch != 0 {
			f.token = token
			f.writer, err = newWriter(f, conn)
			if err == nil {
				f.e.mu.Lock()
				delete(f.e.dormant, f.tenant)
				f.e.mu.Unlock()
				return nil
			}
		}
		if err != nil {
			return errors.Join(err, conn.Close())
		}
		select {
		case <-time.After(acquireInterval):
		case <-ctx.Done():
			return errors.Join(ctx.Err(), conn.Close())
		}
	}
}

// tryOwn takes the store if it has no other owner, or with force. Otherwise it requests the store from its owner and
// returns a zero token.
//
// It does not wait for the disk, so a store opens without an fsync. The fsync of the first commit includes the frames
// of this transaction, which are before those of the commit in the WAL: no commit is acknowledged under a token that is
// not durable. After a power failure before that, the next process takes the same epoch with another incarnation.
func (f *file) tryOwn(conn *sql.Conn, force bool) (t store.Token, err error) {
	ctx := context.Background()
	if _, err := conn.ExecContext(ctx, `PRAGMA synchronous = OFF`); err != nil {
		return t, err
	}
	defer func() { // after Rollback
		if _, failed := conn.ExecContext(ctx, syncFull); failed != nil {
			t, err = store.Token{}, errors.Join(err, failed)
		}
	}()
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return t, err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it does nothing
	o, err := readOwner(tx.QueryRowContext(ctx, selectOwner))
	if err != nil {
		return t, err
	}
	f.continueAfter(o.latest)
	me := f.e.incarnation
	foreign := o.token.Incarnation != me && !o.released && f.e.cfg.Alive != nil && f.e.cfg.Alive(o.token.Incarnation)
	if foreign && f.e.retired.Load() {
		return t, store.ErrMoved
	}
	if foreign && !force {
		if o.requested != me {
			if _, err := tx.ExecContext(ctx, requestOwner, me); err != nil {
				return t, err
			}
		}
		return t, tx.Commit()
	}
	if o.token.Incarnation == me && !o.released { // the file was closed meanwhile, its writer has ended
		return o.token, nil
	}
	t = store.Token{Epoch: o.token.Epoch + 1, Node: f.e.cfg.Node, Incarnation: me}
	if _, err := tx.ExecContext(ctx, takeOwner, t.Epoch, t.Node, t.Incarnation); err != nil {
		return t, err
	}
	return t, tx.Commit()
}

// Token returns the token of the process for a tenant's store. It acquires the store.
func (e *Engine) Token(ctx context.Context, tenant object.Tenant) (store.Token, error) {
	f, err := e.acquire(ctx, tenant)
	if err != nil {
		return store.Token{}, err
	}
	defer e.release(f)
	f.opening.Lock()
	defer f.opening.Unlock()
	return f.token, nil
}

// Requested returns the tenants whose stores this process owns and another one waits for.
func (e *Engine) Requested() (tenants []object.Tenant) {
	for _, f := range e.owned() {
		var incarnation string
		f.opening.Lock()
		if f.writer != nil {
			err := f.read.QueryRowContext(context.Background(), selectRequested).Scan(&incarnation)
			if err == nil && incarnation != "" && incarnation != e.incarnation {
				tenants = append(tenants, f.tenant)
			}
		}
		f.opening.Unlock()
		e.mu.Lock()
		f.users-- // not a use as in release
		if f.users == 0 {
			e.wakeLocked()
		}
		e.mu.Unlock()
	}
	return tenants
}

// owned returns the open files, which the caller releases.
func (e *Engine) owned() (files []*file) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, f := range e.files {
		if !f.closing {
			f.users++
			files = append(files, f)
		}
	}
	return files
}

// Retire makes the engine give up its stores to the process that replaces this one. It still acquires stores that the
// other process does not own. A store that the other process requests is released when idle reports true for its
// tenant, or after patience, and is not acquired again. since is the time since the request was first seen. onRequest,
// if not nil, is called before that. Retire returns when ctx is done.
func (e *Engine) Retire(ctx context.Context, patience time.Duration,
	idle func(tenant object.Tenant, since time.Duration) bool, onRequest func(object.Tenant),
) {
	e.retired.Store(true)
	e.releaseDormant(ctx)
	requested := map[object.Tenant]time.Time{} // time of the first request
	tick := time.NewTicker(acquireInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, tenant := range e.Requested() {
			since, ok := requested[tenant]
			if !ok {
				since = time.Now()
				requested[tenant] = since
				if onRequest != nil {
					onRequest(tenant)
				}
			}
			if waited := time.Since(since); waited < patience && !idle(tenant, waited) {
				continue
			}
			delete(requested, tenant)
			e.mu.Lock()
			e.handedOver[tenant] = true
			e.mu.Unlock()
			if err := e.Release(tenant); err == nil {
				e.cfg.Log.Info("store handed to the new process", "tenant", tenant)
			}
		}
	}
}

// releaseDormant releases the stores that this process owns and has closed: it reads no requests from their files.
func (e *Engine) releaseDormant(ctx context.Context) {
	e.mu.Lock()
	tenants := slices.Collect(maps.Keys(e.dormant))
	e.mu.Unlock()
	for _, tenant := range tenants {
		f, err := e.acquire(ctx, tenant)
		if err == nil {
			err = e.Release(tenant)
			e.release(f)
		}
		if err != nil && ctx.Err() == nil {
			e.cfg.Log.Error("a store is not released; the new process takes it later", "tenant", tenant, "err", err)
		}
	}
}

// Release implements [store.Engine].
func (e *Engine) Release(tenant object.Tenant) error {
	e.mu.Lock()
	f := e.files[tenant]
	if f == nil || f.closing {
		e.mu.Unlock()
		return nil
	}
	f.users++
	e.mu.Unlock()
	defer e.release(f)
	f.opening.Lock()
	defer f.opening.Unlock()
	if f.writer == nil {
		return nil
	}
	f.writer.stop()
	f.writer = nil
	_, err := f.write.ExecContext(context.Background(), freeOwner, f.now(), f.token.Epoch, f.token.Incarnation)
	if err != nil {
		return f.failure("release", err)
	}
	return nil
}
