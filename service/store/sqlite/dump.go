package sqlite

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/service/store"
	"github.com/hearthhost/hearth/service/store/sqlite/apply"
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
	rows, err := db.QueryContext(context.WithoutCancel(ctx), selectAll, f.now())
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

// Import is a list of keys that are stored together.
type Import = apply.Import

// Import stores keys in one transaction, except those that have expired, and returns their number. A key that exists is
// replaced. After an error nothing is stored, except that after [store.ErrUnknown] it may be.
func (e *Engine) Import(ctx context.Context, tenant object.Tenant, in *Import) (n int64, err error) {
	load := func(t *apply.Transaction) error {
		n = 0
		return t.Import(tenant, in, &n)
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
