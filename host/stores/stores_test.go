package stores_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hearthhost/hearth/host/stores"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/service/store"
	"github.com/hearthhost/hearth/service/store/dump"
	"github.com/hearthhost/hearth/service/store/sqlite"
)

// fake is a host that serves the object acme.box, whose audit log may fail.
type fake struct {
	*stores.Stores
	engine  *sqlite.Engine
	dir     string
	limits  store.Limits
	fail    error
	mu      sync.Mutex // guards records
	records []stores.Record
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{dir: filepath.Join(t.TempDir(), "store")}
	var err error
	if f.engine, err = sqlite.New(sqlite.Config{Dir: f.dir}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.engine.Close() })
	f.Stores = stores.New(stores.Config{
		Engine:  f.engine,
		Dir:     f.dir,
		Limits:  func(object.ID) store.Limits { return f.limits },
		Tenants: func() []object.Tenant { return []object.Tenant{"acme"} },
		Serves:  func(id object.ID) bool { return id == "acme.box" },
		Record: func(r stores.Record) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.records = append(f.records, r)
			return f.fail
		},
	})
	return f
}

var root = stores.Operator{UID: 0}

// put stores a value.
func (f *fake) put(t *testing.T, key, value string) {
	t.Helper()
	if _, err := f.Set(t.Context(), root, "acme.box", key, &stores.Write{
		Value: []byte(value), IfVersion: store.AnyVersion,
	}); err != nil {
		t.Fatal(err)
	}
}

// requests has each request about the object acme.box.
var requests = map[string]func(*fake, *testing.T) error{
	"tenants": func(f *fake, t *testing.T) error { _, err := f.Tenants(t.Context(), root); return err },
	"objects": func(f *fake, t *testing.T) error { _, err := f.Objects(t.Context(), root, "acme", ""); return err },
	"keys": func(f *fake, t *testing.T) error {
		_, err := f.Keys(t.Context(), root, "acme.box", "", "")
		return err
	},
	"get": func(f *fake, t *testing.T) error { _, err := f.Get(t.Context(), root, "acme.box", "k"); return err },
	"set": func(f *fake, t *testing.T) error {
		w := &stores.Write{Value: []byte("2"), IfVersion: store.AnyVersion}
		_, err := f.Set(t.Context(), root, "acme.box", "k", w)
		return err
	},
	"rm":     func(f *fake, t *testing.T) error { return f.Remove(t.Context(), root, "acme.box", []string{"k"}) },
	"export": func(f *fake, t *testing.T) error { return f.Export(t.Context(), root, "acme", io.Discard) },
	"import": func(f *fake, t *testing.T) error {
		_, err := f.Import(t.Context(), root, "acme",
			strings.NewReader(`{"object":"acme.box","key":"k","value":3}`+"\n"))
		return err
	},
	"check": func(f *fake, t *testing.T) error { _, err := f.Check(t.Context(), root, "acme"); return err },
	"backup": func(f *fake, t *testing.T) error {
		c, err := f.Backup(t.Context(), root, "acme")
		if err == nil {
			err = c.Close()
		}
		return err
	},
}

// TestNoActionWithoutRecord makes each request with a working audit log and with one that fails. Each writes one
// record, and without it nothing is read or changed.
func TestNoActionWithoutRecord(t *testing.T) {
	for name, request := range requests {
		f := newFake(t)
		f.put(t, "k", "1")
		f.records = nil
		f.fail = errors.New("no audit log")
		if err := request(f, t); !errors.Is(err, f.fail) {
			t.Errorf("%s without an audit log: %v", name, err)
		}
		if it, err := f.engine.Get(t.Context(), "acme.box", "k"); err != nil || string(it.Value) != "1" {
			t.Errorf("%s without an audit log changed the value: %s, %v", name, it.Value, err)
		}
		f.fail = nil
		if err := request(f, t); err != nil || len(f.records) != 2 {
			t.Errorf("%s: %d records, %v; want one for each request", name, len(f.records), err)
		}
		if left, _ := filepath.Glob(filepath.Join(f.dir, ".*")); left != nil {
			t.Errorf("%s leaves %q", name, left)
		}
	}
}

// TestReadsCreateNoStore makes each request that reads while the tenant has no store.
func TestReadsCreateNoStore(t *testing.T) {
	for name, request := range requests {
		if name == "set" || name == "import" {
			continue
		}
		f := newFake(t)
		err := request(f, t)
		missing := name == "get" || name == "rm" || name == "backup"
		if missing != (object.CodeOf(err) == object.CodeNotFound) || !missing && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if entries, err := os.ReadDir(f.dir); err == nil && len(entries) > 0 {
			t.Errorf("%s creates %v", name, entries)
		}
	}
}

// TestBadNames makes requests about names that are no tenants and no objects. None reaches the file system.
func TestBadNames(t *testing.T) {
	f := newFake(t)
	for _, tenant := range []object.Tenant{"", ".", "..", "../acme", "acme/../acme", "nosuch", "a\x00"} {
		for name, do := range map[string]func() error{
			"objects": func() error { _, err := f.Objects(t.Context(), root, tenant, ""); return err },
			"export":  func() error { return f.Export(t.Context(), root, tenant, io.Discard) },
			"import": func() error {
				_, err := f.Import(t.Context(), root, tenant, strings.NewReader(""))
				return err
			},
			"check":  func() error { _, err := f.Check(t.Context(), root, tenant); return err },
			"backup": func() error { _, err := f.Backup(t.Context(), root, tenant); return err },
		} {
			if err := do(); object.CodeOf(err) != object.CodeNotFound {
				t.Errorf("%s of %q: %v", name, tenant, err)
			}
		}
	}
	for _, id := range []string{"", "acme", "acme.", "acme.box:", "acme.box:a/b", "../x.y", "Pyro.Daemon"} {
		_, err := f.Get(t.Context(), root, id, "k")
		if object.CodeOf(err) != object.CodeInvalid {
			t.Errorf("get of %q: %v", id, err)
		}
	}
	if len(f.records) != 0 {
		t.Errorf("records: %v", f.records)
	}
}

// TestSetStoresCanonicalText sets values with white space and other forms of a number. Objects read and increment them.
func TestSetStoresCanonicalText(t *testing.T) {
	f := newFake(t)
	for value, want := range map[string]string{
		" 5\n":                   "5",
		"{\"a\" :[1,2.50 ],\n}":  "",
		"{\"a\" :[1,2.50 ]\n}":   `{"a": [1, 2.5]}`,
		`"\u00e9"`:               `"é"`,
		`{"$bytes":"AP8="}`:      `{"$bytes": "AP8="}`,
		"1 2":                    "",
		"":                       "",
		strings.Repeat("[", 100): "",
	} {
		version, err := f.Set(t.Context(), root, "acme.box", "k", &stores.Write{
			Value: []byte(value), IfVersion: store.AnyVersion,
		})
		if want == "" {
			if object.CodeOf(err) != object.CodeInvalid {
				t.Errorf("set %q: %v", value, err)
			}
			continue
		}
		v, failed := f.Get(t.Context(), root, "acme.box", "k")
		if err != nil || failed != nil || string(v.Value) != want || v.Version != version {
			t.Errorf("set %q: %+v, version %d, %v, %v", value, v, version, err, failed)
		}
	}
}

// TestRoundTrip exports keys and imports them into another store, and into the same one.
func TestRoundTrip(t *testing.T) {
	f := newFake(t)
	for i := range 2500 {
		f.put(t, fmt.Sprintf("k%04d", i), fmt.Sprint(i))
	}
	page, err := f.Keys(t.Context(), root, "acme.box", "k", "k0099")
	if err != nil || len(page.Rows) != store.MaxPage || !page.More || page.Rows[0].Key != "k0100" {
		t.Errorf("%d keys, more %t, %v", len(page.Rows), page.More, err)
	}
	var out bytes.Buffer
	if err := f.Export(t.Context(), root, "acme", &out); err != nil {
		t.Fatal(err)
	}
	other := newFake(t)
	for range 2 {
		n, err := other.Import(t.Context(), root, "acme", bytes.NewReader(out.Bytes()))
		if err != nil || n != 2500 {
			t.Fatalf("%d keys, %v", n, err)
		}
	}
	v, err := other.Get(t.Context(), root, "acme.box", "k2499")
	if err != nil || string(v.Value) != "2499" || v.Version != 7500 {
		t.Errorf("%+v, %v", v, err)
	}
	if damage, err := other.Check(t.Context(), root, "acme"); err != nil || damage != nil {
		t.Errorf("Check() = %q, %v", damage, err)
	}
}

// TestImportRefusesLines imports lines beyond limits. The error has the line, and nothing is stored.
func TestImportRefusesLines(t *testing.T) {
	f := newFake(t)
	f.limits = store.Limits{ValueBytes: 100, TenantBytes: 400}
	good := func(i int) string {
		return fmt.Sprintf(`{"object":"acme.box","key":"k%d","value":"0123456789"}`+"\n", i)
	}
	many := ""
	for i := range 20 {
		many += good(i)
	}
	far := time.Now().AddDate(101, 0, 0).UTC().Format(time.RFC3339)
	for text, want := range map[string]int{
		good(1) + `{"object":"acme.box","key":"k","value":"` + strings.Repeat("x", 100) + "\"}\n": 2,
		good(1) + `{"object":"acme.box","key":"k","value":1,"expires":"` + far + "\"}\n":          2,
		many:                                  9,
		good(1) + good(2)[:20]:                2,
		good(1) + "\n":                        2,
		strings.Repeat(good(1), 5) + "junk\n": 6,
	} {
		n, err := f.Import(t.Context(), root, "acme", strings.NewReader(text))
		line, ok := errors.AsType[*dump.LineError](err)
		if n != 0 || !ok || line.Line != want {
			t.Errorf("import %.60q: %d keys, %v, want an error of line %d", text, n, err, want)
		}
	}
	broken := errors.New("the connection broke")
	_, err := f.Import(t.Context(), root, "acme", io.MultiReader(strings.NewReader(good(1)), errReader{broken}))
	if !errors.Is(err, broken) {
		t.Errorf("import of a broken body: %v", err)
	}
	if entries, _ := os.ReadDir(f.dir); len(entries) != 0 {
		t.Errorf("files: %v", entries)
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

// TestBackup copies a store while batches of two keys are committed. Each copy has both keys of a batch.
func TestBackup(t *testing.T) {
	f := newFake(t)
	pair := func(n int) *store.Batch {
		b := &store.Batch{Object: "acme.box"}
		for _, key := range []string{"first", "second"} {
			b.Writes = append(b.Writes, store.Write{Op: store.Put, Key: key, Value: fmt.Append(nil, n),
				If: store.AnyVersion})
		}
		return b
	}
	if _, err := f.engine.Commit(t.Context(), pair(0)); err != nil {
		t.Fatal(err)
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for n := 1; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := f.engine.Commit(t.Context(), pair(n)); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for range 5 {
		c, err := f.Backup(t.Context(), root, "acme")
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		to, err := os.OpenFile(filepath.Join(dir, "acme.db"), os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(to, c); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(c.Close(), to.Close()); err != nil {
			t.Fatal(err)
		}
		e, err := sqlite.New(sqlite.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		first, err := e.Get(t.Context(), "acme.box", "first")
		second, err2 := e.Get(t.Context(), "acme.box", "second")
		if err != nil || err2 != nil || first.Version == 0 || string(first.Value) != string(second.Value) {
			t.Errorf("%s, %s, %v, %v", first.Value, second.Value, err, err2)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	<-done
}

// TestClean removes the temporary files of a host that was killed, and no store.
func TestClean(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{".copy-1", ".copy-22", "acme.db"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := stores.Clean(dir); err != nil {
		t.Fatal(err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 || entries[0].Name() != "acme.db" {
		t.Errorf("files: %v", entries)
	}
	if err := stores.Clean(filepath.Join(dir, "missing")); err != nil {
		t.Error(err)
	}
}
