package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/service/store"
	"github.com/hearthhost/hearth/service/store/sqlite"
)

// entry is a key of an object.
type entry struct {
	id object.ID
	store.Item
}

// importOf returns an import of entries.
func importOf(limits store.Limits, above int64, entries ...entry) *sqlite.Import {
	return &sqlite.Import{
		Limits: func(object.ID) store.Limits { return limits },
		Above:  above,
		Next: func() (object.ID, *store.Item, error) {
			if len(entries) == 0 {
				return "", nil, io.EOF
			}
			e := entries[0]
			entries = entries[1:]
			return e.id, &e.Item, nil
		},
	}
}

// all returns the keys of a tenant as text.
func all(t *testing.T, e *sqlite.Engine, tenant object.Tenant) (list []string) {
	t.Helper()
	err := e.Each(t.Context(), tenant, func(id object.ID, it *store.Item) error {
		list = append(list, fmt.Sprintf("%s %s=%s", id, it.Key, it.Value))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestImport imports keys beside others. Existing keys are replaced, expired ones are left out. The versions are
// greater than those of the source.
func TestImport(t *testing.T) {
	now := time.Now()
	e := newEngine(t, sqlite.Config{Clock: func() time.Time { return now }})
	commit(t, e, put("acme.a", "k", "1"), put("acme.a", "other", "1"), put("acme.b", "k", "1"))
	n, err := e.Import(t.Context(), "acme", importOf(store.Limits{}, 1000,
		entry{"acme.a", store.Item{Key: "k", Value: []byte("2"), Version: 1000}},
		entry{"acme.c:x", store.Item{Key: "k", Value: []byte(`"x"`), Expires: now.UnixMilli() + 5000}},
		entry{"acme.c:x", store.Item{Key: "old", Value: []byte("1"), Expires: now.UnixMilli()}},
		entry{"acme.a", store.Item{Key: "k", Value: []byte("3")}},
	))
	if err != nil || n != 3 {
		t.Fatalf("%d keys, %v", n, err)
	}
	want := []string{"acme.a k=3", "acme.a other=1", "acme.b k=1", `acme.c:x k="x"`}
	if got := all(t, e, "acme"); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	it, err := e.Get(t.Context(), "acme.c:x", "k")
	if err != nil || it.Version <= 1000 || it.Expires != now.UnixMilli()+5000 {
		t.Errorf("%+v, %v", it, err)
	}
	if damage, err := e.Check(t.Context(), "acme"); err != nil || damage != nil {
		t.Errorf("Check() = %q, %v", damage, err)
	}
	if u, err := e.Usage(t.Context(), "acme"); err != nil || u.Keys != 4 {
		t.Errorf("%+v, %v", u, err)
	}
	r, err := e.Commit(t.Context(), put("acme.a", "k", "4"))
	if err != nil || r.Version != it.Version+2 {
		t.Errorf("version %d, %v, want %d", r.Version, err, it.Version+2)
	}
}

// TestImportIsAtomic lets imports fail after many keys. Nothing of them is stored, and commits continue.
func TestImportIsAtomic(t *testing.T) {
	e := newEngine(t, sqlite.Config{})
	commit(t, e, put("acme.a", "k", "1"))
	many := make([]entry, 0, 25_000)
	for i := range 25_000 {
		many = append(many, entry{object.ID(fmt.Sprintf("acme.a:%d", i/12_000)), store.Item{
			Key: fmt.Sprint(i), Value: []byte("1"),
		}})
	}
	broken := errors.New("the source failed")
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	failing := importOf(store.Limits{}, 0, many...)
	next := failing.Next
	calls := 0
	failing.Next = func() (object.ID, *store.Item, error) {
		calls++
		if calls == 20_000 {
			return "", nil, broken
		}
		return next()
	}
	far := time.Now().AddDate(101, 0, 0).UnixMilli()
	for name, tc := range map[string]struct {
		ctx  context.Context
		in   *sqlite.Import
		want string
	}{
		"quota of the tenant": {t.Context(), importOf(store.Limits{TenantBytes: 500_000}, 0, many...), "(store)"},
		"quota of an object": {
			t.Context(), importOf(store.Limits{ObjectBytes: 300_000}, 0, many...), "(object_store)",
		},
		"large value": {t.Context(), importOf(store.Limits{ValueBytes: 3}, 0, append(slices.Clone(many),
			entry{"acme.z", store.Item{Key: "k", Value: []byte("1234")}})...), "(store_value)"},
		"another tenant": {t.Context(), importOf(store.Limits{}, 0, append(slices.Clone(many),
			entry{"zoo.z", store.Item{Key: "k", Value: []byte("1")}})...), "not an object of tenant acme"},
		"far expiry": {t.Context(), importOf(store.Limits{}, 0, append(slices.Clone(many),
			entry{"acme.z", store.Item{Key: "k", Value: []byte("1"), Expires: far}})...), "100 years"},
		"version":  {t.Context(), importOf(store.Limits{}, store.MaxVersion+1, many...), "not a version"},
		"source":   {t.Context(), failing, "cannot be used"},
		"canceled": {canceled, importOf(store.Limits{}, 0, many...), "canceled"},
	} {
		n, err := e.Import(tc.ctx, "acme", tc.in)
		if err == nil || n != 0 || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %d keys, %v, want an error with %q", name, n, err, tc.want)
		}
		if got := all(t, e, "acme"); len(got) != 1 {
			t.Errorf("%s: %d keys are stored", name, len(got))
		}
	}
	commit(t, e, put("acme.a", "k", "2"))
	if n, err := e.Import(t.Context(), "acme", importOf(store.Limits{}, 0, many...)); n != 25_000 || err != nil {
		t.Errorf("%d keys, %v", n, err)
	}
	if damage, err := e.Check(t.Context(), "acme"); err != nil || damage != nil {
		t.Errorf("Check() = %q, %v", damage, err)
	}
}

// TestEachIsOneMoment writes two keys together while Each reads. It returns equal values.
func TestEachIsOneMoment(t *testing.T) {
	e := newEngine(t, sqlite.Config{})
	both := func(n int) *store.Batch {
		b := put("acme.a", "first", fmt.Sprint(n))
		b.Writes = append(b.Writes, put("acme.a", "second", fmt.Sprint(n)).Writes...)
		return b
	}
	commit(t, e, both(0))
	seen := map[string]bool{}
	err := e.Each(t.Context(), "acme", func(_ object.ID, it *store.Item) error {
		if len(seen) == 0 {
			commit(t, e, both(1))
		}
		seen[string(it.Value)] = true
		return nil
	})
	if err != nil || len(seen) != 1 {
		t.Errorf("%v, %v, want the values of one moment", seen, err)
	}
	stop := errors.New("stop")
	if err := e.Each(t.Context(), "acme", func(object.ID, *store.Item) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("Each() = %v", err)
	}
}

// TestTenants lists the stores of a folder, without other files.
func TestTenants(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	e := newEngine(t, sqlite.Config{Dir: dir})
	if list, err := e.Tenants(); err != nil || list != nil {
		t.Errorf("without a folder: %v, %v", list, err)
	}
	commit(t, e, put("zoo.a", "k", "1"), put("acme.a", "k", "1"))
	for _, name := range []string{".copy-1.db", "a b.db", "x.txt"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("acme.db", filepath.Join(dir, "link.db")); err != nil {
		t.Fatal(err)
	}
	if list, err := e.Tenants(); err != nil || !slices.Equal(list, []object.Tenant{"acme", "zoo"}) {
		t.Errorf("%v, %v", list, err)
	}
}

// TestCheckCounts changes the recorded size of an object as another program could. Check names the object.
func TestCheckCounts(t *testing.T) {
	e := newEngine(t, sqlite.Config{})
	b := put("acme.a", "k", `"é"`)
	b.Answer = &store.Answer{Call: store.CallKey{Principal: "p", Key: "k"}, State: store.Done, Payload: []byte("é"),
		TTL: time.Hour}
	commit(t, e, b, put("acme.b", "k", "1"))
	if damage, err := e.Check(t.Context(), "acme"); err != nil || damage != nil {
		t.Fatalf("Check() = %q, %v", damage, err)
	}
	for _, text := range []string{"UPDATE usage SET bytes = bytes + 1 WHERE object = 'acme.b'",
		"DELETE FROM usage WHERE object = 'acme.b'"} {
		if _, err := sqlOf(t, e.Path("acme")).ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
		damage, err := e.Check(t.Context(), "acme")
		if err != nil || len(damage) != 1 || !strings.Contains(damage[0], "acme.b") {
			t.Errorf("after %s: Check() = %q, %v", text, damage, err)
		}
	}
}

// TestPurgedAnswer: a batch over the quota removes expired answers, and the one that it replaces is counted once.
func TestPurgedAnswer(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	e := newEngine(t, sqlite.Config{Clock: func() time.Time { return now }})
	answer := func(key string, size int) *store.Batch {
		b := put("acme.a", "k", "1")
		b.Limits = store.Limits{ObjectBytes: 4000}
		b.Answer = &store.Answer{
			Call:    store.CallKey{Principal: "p", Key: key},
			State:   store.Done,
			Payload: make([]byte, size),
			TTL:     time.Millisecond,
		}
		return b
	}
	commit(t, e, answer("same", 1000), answer("other", 2000))
	now = now.Add(2 * time.Millisecond) // the writer itself does not look for expired answers yet
	commit(t, e, answer("same", 2500))
	if damage, err := e.Check(t.Context(), "acme"); err != nil || damage != nil {
		t.Errorf("Check() = %q, %v", damage, err)
	}
}
