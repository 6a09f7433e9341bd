package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/service/store"
	"github.com/hearthhost/hearth/service/store/sqlite"
)

// put returns a batch with one key.
func put(id object.ID, key, value string) *store.Batch {
	return &store.Batch{Object: id, Writes: []store.Write{{
		Op: store.Put, Key: key, Value: []byte(value), If: store.AnyVersion,
	}}}
}

func add(id object.ID, key string, n int64) *store.Batch {
	return &store.Batch{Object: id, Writes: []store.Write{{
		Op: store.Increment, Key: key, Delta: n, If: store.AnyVersion,
	}}}
}

// commit commits batches and fails the test if that fails.
func commit(t testing.TB, e store.Engine, batches ...*store.Batch) {
	t.Helper()
	for _, b := range batches {
		if _, err := e.Commit(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
}

// wantValue fails the test unless a key has a value; "" is a missing key.
func wantValue(t testing.TB, e store.Engine, id object.ID, key, want string) {
	t.Helper()
	if it, err := e.Get(t.Context(), id, key); err != nil || string(it.Value) != want {
		t.Errorf("Get(%s, %q) = %q, %v, want %q", id, key, it.Value, err, want)
	}
}

// sqlOf opens a file as another program does.
func sqlOf(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// TestFileForOperators: the file is private, and SQLite's JSON functions read its values.
func TestFileForOperators(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	e := newEngine(t, sqlite.Config{Dir: dir})
	commit(t, e, put("acme.cart", "order/1", `{"total": 12}`))
	for name, want := range map[string]os.FileMode{"": 0o700 | os.ModeDir, "acme.db": 0o600, "acme.db-wal": 0o600} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode() != want {
			t.Errorf("mode of %q is %v, %v, want %v", name, info.Mode(), err, want)
		}
	}
	var total int
	err := sqlOf(t, e.Path("acme")).QueryRowContext(t.Context(),
		`SELECT value->>'$.total' FROM kv WHERE object = 'acme.cart' AND key = 'order/1'`).Scan(&total)
	if err != nil || total != 12 {
		t.Errorf("total = %d, %v, want 12", total, err)
	}
}

// TestForeignFiles opens files of newer programs, of other programs, and damaged ones. Each is refused with a reason,
// and none is changed. The stores of other tenants are not affected.
func TestForeignFiles(t *testing.T) {
	dir := t.TempDir()
	e := newEngine(t, sqlite.Config{Dir: dir})
	newer, other := sqlOf(t, e.Path("newer")), sqlOf(t, e.Path("other"))
	for db, text := range map[*sql.DB]string{
		newer: "PRAGMA application_id = 1215460456; PRAGMA user_version = 99; CREATE TABLE x (y)",
		other: "CREATE TABLE x (y)",
	} {
		if _, err := db.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(e.Path("damaged"), []byte(strings.Repeat("damaged ", 2000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/null", e.Path("link")); err != nil {
		t.Fatal(err)
	}
	for tenant, want := range map[object.Tenant]string{
		"newer":   "schema 99",
		"other":   "another program",
		"damaged": "damaged",
		"link":    "not a regular file",
		"../x":    "not the name of a tenant",
	} {
		_, err := e.Get(t.Context(), object.ID(tenant)+".a", "k")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", tenant, err, want)
		}
	}
	commit(t, e, put("acme.a", "k", "1"))
}

// TestIsolation stores the same keys for several objects, keyed ones included. Each object reads its own values.
func TestIsolation(t *testing.T) {
	e := newEngine(t, sqlite.Config{})
	ids := []object.ID{"acme.a", "acme.b", "acme.a:b", "acme.a:", "acme.ab", "zoo.a"}
	keys := []string{"k", "a:k", "b", ":b", "%", "_", "'; DROP TABLE kv; --"}
	for i, id := range ids {
		for j, key := range keys {
			commit(t, e, put(id, key, fmt.Sprint(i*100+j)))
		}
	}
	for i, id := range ids {
		items, _, err := e.List(t.Context(), id, store.Range{Limit: 100})
		if err != nil || len(items) != len(keys) {
			t.Errorf("%s has %d keys, %v, want %d", id, len(items), err, len(keys))
		}
		for j, key := range keys {
			wantValue(t, e, id, key, fmt.Sprint(i*100+j))
		}
	}
}

// TestManyTenants uses more tenants than files may be open.
func TestManyTenants(t *testing.T) {
	e := newEngine(t, sqlite.Config{MaxOpen: 3})
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			id := object.ID(fmt.Sprintf("tenant%d.a", i%10))
			if _, err := e.Commit(t.Context(), add(id, "n", 1)); err != nil {
				t.Error(err)
			}
			if n := e.OpenFiles(); n > 3 {
				t.Errorf("%d files are open, want at most 3", n)
			}
		})
	}
	wg.Wait()
	for i := range 10 {
		wantValue(t, e, object.ID(fmt.Sprintf("tenant%d.a", i)), "n", "4")
	}
}

// TestGroup commits from many goroutines. The batches share transactions, and those that fail do not affect others.
func TestGroup(t *testing.T) {
	e := newEngine(t, sqlite.Config{})
	commit(t, e, put("acme.a", "text", `"x"`))
	var wg sync.WaitGroup
	const n = 200
	failed := make(chan error, n)
	for i := range n {
		wg.Go(func() {
			key := "n"
			if i%4 == 0 {
				key = "text"
			}
			if _, err := e.Commit(t.Context(), add("acme.a", key, 1)); err != nil {
				failed <- err
			}
		})
	}
	wg.Wait()
	if len(failed) != n/4 {
		t.Errorf("%d batches failed, want %d", len(failed), n/4)
	}
	wantValue(t, e, "acme.a", "n", fmt.Sprint(n-n/4))
	wantValue(t, e, "acme.a", "text", `"x"`)
	if m := e.Metrics(); m.Batches.Load() != n+1 || m.Commits.Load() > n {
		t.Errorf("%d batches in %d commits", m.Batches.Load(), m.Commits.Load())
	}
}

// TestCancelledCommit ends the context of a batch that has not begun. Nothing is stored.
func TestCancelledCommit(t *testing.T) {
	e := newEngine(t, sqlite.Config{})
	commit(t, e, put("acme.a", "k", "1"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Commit(ctx, put("acme.a", "k", "2")); !errors.Is(err, context.Canceled) {
		t.Errorf("Commit returns %v", err)
	}
	wantValue(t, e, "acme.a", "k", "1")
}

// TestFenced has two processes with one folder. The one that acquires the store later owns it. Nothing that the other
// one commits is stored, until that acquires the store again.
func TestFenced(t *testing.T) {
	dir := t.TempDir()
	first, second := newEngine(t, sqlite.Config{Dir: dir, Node: "a"}), newEngine(t, sqlite.Config{Dir: dir, Node: "b"})
	commit(t, first, put("acme.a", "k", "1"))
	commit(t, second, put("acme.a", "k", "2"))
	if _, err := first.Commit(t.Context(), put("acme.a", "k", "3")); !errors.Is(err, store.ErrFenced) {
		t.Errorf("the earlier owner's commit returns %v", err)
	}
	wantValue(t, second, "acme.a", "k", "2")
	t1, err1 := first.Token(t.Context(), "acme")
	if err1 != nil || t1.Epoch != 3 || t1.Node != "a" || t1.Incarnation != first.Incarnation() {
		t.Errorf("the token is %+v, %v, want epoch 3 of a", t1, err1)
	}
	if _, err := second.Commit(t.Context(), put("acme.a", "k", "4")); !errors.Is(err, store.ErrFenced) {
		t.Errorf("the earlier owner's commit returns %v", err)
	}
	wantValue(t, first, "acme.a", "k", "2")
}

// TestRelease has two processes that both live. The second waits until the first releases the store, and takes it from
// a process that does not.
func TestRelease(t *testing.T) {
	dir := t.TempDir()
	alive := func(string) bool { return true }
	first := newEngine(t, sqlite.Config{Dir: dir, Alive: alive, TakeOver: time.Hour})
	second := newEngine(t, sqlite.Config{Dir: dir, Alive: alive, TakeOver: time.Hour})
	commit(t, first, put("acme.a", "k", "1"))
	done := make(chan error)
	go func() {
		_, err := second.Commit(t.Context(), put("acme.a", "k", "2"))
		done <- err
	}()
	for len(first.Requested()) == 0 { // the second process waits
		time.Sleep(time.Millisecond)
	}
	commit(t, first, put("acme.a", "k", "3"))
	if err := first.Release("acme"); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	wantValue(t, second, "acme.a", "k", "2")
	third := newEngine(t, sqlite.Config{Dir: dir, Alive: alive, TakeOver: time.Millisecond})
	commit(t, third, put("acme.a", "k", "4"))
	if _, err := second.Commit(t.Context(), put("acme.a", "k", "5")); !errors.Is(err, store.ErrFenced) {
		t.Errorf("the commit of a process that did not release the store returns %v", err)
	}
	wantValue(t, third, "acme.a", "k", "4")
}

// TestBadBatches commits malformed batches. Each error names the fault.
func TestBadBatches(t *testing.T) {
	e := newEngine(t, sqlite.Config{})
	many := &store.Batch{Object: "acme.a"}
	for range store.MaxWrites + 1 {
		many.Writes = append(many.Writes, put("acme.a", "k", "1").Writes...)
	}
	large := &store.Batch{Object: "acme.a"}
	for range 9 {
		large.Writes = append(large.Writes, put("acme.a", "k", strings.Repeat("1", 1<<20)).Writes...)
	}
	ttl := put("acme.a", "k", "1")
	ttl.Writes[0].TTL = -time.Second
	for want, b := range map[string]*store.Batch{
		"key is empty":                     put("acme.a", "", "1"),
		"key is 513 bytes, at most 512":    put("acme.a", strings.Repeat("k", 513), "1"),
		"key is not UTF-8":                 put("acme.a", "\xff", "1"),
		"key contains U+0000":              put("acme.a", "a\x00b", "1"),
		`value of "k" is 1048577 bytes`:    put("acme.a", "k", strings.Repeat("1", 1<<20+1)),
		"10001 operations in one call":     many,
		"the writes of one call are 94371": large,
		"ttl is -1s":                       ttl,
	} {
		if _, err := e.Commit(t.Context(), b); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Commit returns %v, want an error with %q", err, want)
		}
	}
	if u, err := e.Usage(t.Context(), "acme"); err != nil || u.Keys != 0 {
		t.Errorf("%d keys, %v", u.Keys, err)
	}
}

// TestFull fills quotas. Deletes and reads continue, and there is room again after a delete.
func TestFull(t *testing.T) {
	e := newEngine(t, sqlite.Config{})
	lim := store.Limits{ObjectBytes: 1 << 20}
	batch := func(key string) *store.Batch {
		b := put("acme.a", key, `"`+strings.Repeat("x", 300<<10)+`"`)
		b.Limits = lim
		return b
	}
	commit(t, e, batch("1"), batch("2"), batch("3"))
	_, err := e.Commit(t.Context(), batch("4"))
	if full, ok := errors.AsType[*object.Error](err); !ok || full.Class != store.ClassFull {
		t.Fatalf("Commit returns %v, want %s", err, store.ClassFull)
	}
	commit(t, e, &store.Batch{Object: "acme.a", Limits: lim, Writes: []store.Write{
		{Op: store.Delete, Key: "1", If: store.AnyVersion},
	}}, batch("4"))
	wantValue(t, e, "acme.a", "1", "")
	if u, err := e.Usage(t.Context(), "acme"); err != nil || u.Keys != 3 || u.Bytes > 1<<20 || u.File < u.Bytes {
		t.Errorf("usage %+v, %v", u, err)
	}
}

// TestBackup copies a store while it is written. The copy is a complete store.
func TestBackup(t *testing.T) {
	e := newEngine(t, sqlite.Config{})
	for i := range 100 {
		commit(t, e, put("acme.a", fmt.Sprint(i), fmt.Sprint(i)))
	}
	dir := t.TempDir()
	if err := e.Backup(t.Context(), "acme", filepath.Join(dir, "acme.db")); err != nil {
		t.Fatal(err)
	}
	commit(t, e, put("acme.a", "0", "100"))
	restored := newEngine(t, sqlite.Config{Dir: dir})
	wantValue(t, restored, "acme.a", "0", "0")
	wantValue(t, restored, "acme.a", "99", "99")
	if damage, err := restored.Check(t.Context(), "acme"); err != nil || len(damage) > 0 {
		t.Errorf("Check: %v, %v", damage, err)
	}
}

// TestRetire replaces a process. The new one gets each store when the calls of the old one have ended, and the old one
// does not take it again.
func TestRetire(t *testing.T) {
	dir := t.TempDir()
	alive := func(string) bool { return true }
	old := newEngine(t, sqlite.Config{Dir: dir, Alive: alive, TakeOver: time.Hour})
	successor := newEngine(t, sqlite.Config{Dir: dir, Alive: alive, TakeOver: time.Hour})
	commit(t, old, put("acme.a", "k", "1"), put("zoo.a", "k", "1"))
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { old.Retire(ctx, time.Hour, func(object.Tenant, time.Duration) bool { return true }, nil) })
	commit(t, successor, put("acme.a", "k", "2"))
	if _, err := old.Commit(t.Context(), put("acme.a", "k", "3")); !errors.Is(err, store.ErrMoved) {
		t.Errorf("the old process commits: %v", err)
	}
	if _, err := old.Get(t.Context(), "acme.a", "k"); !errors.Is(err, store.ErrMoved) {
		t.Errorf("the old process reads: %v", err)
	}
	commit(t, old, put("zoo.a", "k", "2")) // not requested
	wantValue(t, successor, "acme.a", "k", "2")
	wantValue(t, successor, "zoo.a", "k", "2")
	cancel()
	wg.Wait()
}

// TestRetireDormantStores replaces a process that owns more stores than it has open files. The new process gets each of
// them without waiting for the time after which it takes a store by force.
func TestRetireDormantStores(t *testing.T) {
	dir := t.TempDir()
	alive := func(string) bool { return true }
	old := newEngine(t, sqlite.Config{Dir: dir, MaxOpen: 2, Alive: alive, TakeOver: time.Hour})
	fresh := newEngine(t, sqlite.Config{Dir: dir, Alive: alive, TakeOver: time.Hour})
	ids := []object.ID{"a.x", "b.x", "c.x", "d.x", "e.x"}
	for _, id := range ids {
		commit(t, old, put(id, "k", `"old"`))
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { old.Retire(ctx, time.Hour, func(object.Tenant, time.Duration) bool { return true }, nil) })
	defer wg.Wait()
	defer cancel()
	for _, id := range ids {
		wantValue(t, fresh, id, "k", `"old"`)
		commit(t, fresh, put(id, "k", `"new"`))
	}
	for _, id := range ids {
		if _, err := old.Commit(t.Context(), put(id, "k", `"late"`)); !errors.Is(err, store.ErrMoved) {
			t.Errorf("a commit of the old process to %s: %v", id, err)
		}
		wantValue(t, fresh, id, "k", `"new"`)
	}
}
