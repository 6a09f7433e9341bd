package sqlite

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/service/store"
)

// Tenants returns the tenants with a store, sorted. It opens none.
func (e *Engine) Tenants() (tenants []object.Tenant, err error) {
	entries, err := os.ReadDir(e.cfg.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, entry := range entries {
		name, ok := strings.CutSuffix(entry.Name(), ".db")
		if ok && object.ValidName(name) && entry.Type().IsRegular() {
			tenants = append(tenants, object.Tenant(name))
		}
	}
	slices.Sort(tenants)
	return tenants, err
}

// Each calls do with the keys of a tenant, in order of objects and keys. All are those of one moment. Meanwhile the
// file grows with each commit, so do must not wait long. Each returns the first error of do.
func (e *Engine) Each(ctx context.Context, tenant object.Tenant, do func(object.ID, *store.Item) error) error {
	f, err := e.acquire(ctx, tenant)
	if err != nil {
		return err
	}
	defer e.release(f)
	db, err := f.connect(1, "-512", "1") // the readers of calls do not wait
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // it was only read
	rows, err := db.QueryContext(context.WithoutCancel(ctx), selectAll, e.clock.Millis())
	if err != nil {
		return f.failure("read", err)
	}
	defer rows.Close() //nolint:errcheck // Err has the errors of reading
	for rows.Next() {
		var id object.ID
		var it store.Item
		if err := rows.Scan(&id, &it.Key, &it.Value, &it.Version, &it.Expires); err != nil {
			return f.failure("read", err)
		}
		if err := do(id, &it); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return f.failure("read", err)
	}
	return nil
}

// Import describes keys that are stored together.
type Import struct {
	// Limits returns the limits of an object and of its tenant.
	Limits func(object.ID) store.Limits
	// Next returns the next key of an object of the tenant, [io.EOF] after the last one. The item is valid until the
	// following call. The commits of the tenant wait while it runs.
	Next func() (object.ID, *store.Item, error)
	// Above is at least the version of every item. The keys get new versions, which are greater: a version that was
	// read from the store of which the items come belongs to no other value.
	Above int64
}

// Import stores keys in one transaction, except those that have expired, and returns their number. A key that exists is
// replaced. After an error nothing is stored, except that after [store.ErrUnknown] it may be.
func (e *Engine) Import(ctx context.Context, tenant object.Tenant, in *Import) (n int64, err error) {
	load := func(t *transaction) error {
		n = 0
		return t.importAll(tenant, in, &n)
	}
	f, err := e.acquire(ctx, tenant)
	if err != nil {
		return 0, err
	}
	defer e.release(f)
	w := f.current()
	if w == nil {
		return 0, store.ErrMoved
	}
	_, err = w.wait(&commit{ctx: ctx, load: load, done: make(chan struct{})})
	if errors.Is(err, errStopped) {
		err = store.ErrMoved
	}
	if err != nil {
		n = 0
	}
	return n, err
}

// importAll applies the keys of an import and counts them.
func (t *transaction) importAll(tenant object.Tenant, in *Import, n *int64) error {
	if in.Above < 0 || in.Above > store.MaxVersion {
		return object.Errorf(object.CodeInvalid, "store: version %d is not a version; not stored", in.Above)
	}
	t.owner.writes = max(t.owner.writes, in.Above)
	b, size := &store.Batch{}, 0
	for {
		id, it, err := in.Next()
		end := errors.Is(err, io.EOF)
		switch {
		case end:
		case err != nil:
			return err
		case id.Tenant() != tenant:
			return object.Errorf(object.CodeInvalid, "store: %s is not an object of tenant %s; not stored", id, tenant)
		case store.Expired(it.Expires, t.now):
			continue
		}
		full := len(b.Writes) == store.MaxWrites ||
			!end && size+len(it.Key)+len(it.Value) > store.MaxBatchBytes
		if len(b.Writes) > 0 && (end || full || id != b.Object) {
			if err := t.importBatch(b, in.Limits(b.Object)); err != nil {
				return err
			}
			*n += int64(len(b.Writes))
			b.Writes, size = b.Writes[:0], 0
		}
		if end {
			return nil
		}
		w := store.Write{Op: store.Put, Key: it.Key, Value: append([]byte(nil), it.Value...), If: store.AnyVersion}
		if it.Expires != 0 {
			left := it.Expires - t.now
			if left > store.MaxTTL.Milliseconds() {
				return object.Errorf(object.CodeInvalid, "store: %s of %s expires in more than 100 years; not stored",
					store.Shown(it.Key), id)
			}
			w.TTL = time.Duration(left) * time.Millisecond
		}
		b.Object = id
		b.Writes = append(b.Writes, w)
		size += len(w.Key) + len(w.Value)
	}
}

// importBatch applies a part of an import. It forgets the usage of its object: an import may have millions of objects.
func (t *transaction) importBatch(b *store.Batch, limits store.Limits) error {
	b.Limits = limits
	if err := b.Check(); err != nil {
		return err
	}
	_, failed, err := t.apply(b)
	if err == nil {
		err = failed
	}
	if err == nil {
		err = t.finish()
	}
	clear(t.objects)
	return err
}
