package sqlite_test

import (
	"database/sql"
	"testing"
	"time"

	"github.com/hearthhost/hearth/service/store"
	"github.com/hearthhost/hearth/service/store/sqlite"
)

// TestClockSetBack sets the clock back between two processes. A key that has expired does not reappear, and the time to
// live of a new key is as long as it should be. With kill, the first process does not close its files.
func TestClockSetBack(t *testing.T) {
	for _, killed := range []bool{false, true} {
		now := time.Unix(1_800_000_000, 0)
		cfg := sqlite.Config{Dir: t.TempDir(), Clock: func() time.Time { return now }}
		first := newEngine(t, cfg)
		short := put("acme.a", "short", "1")
		short.Writes[0].TTL = time.Second
		commit(t, first, short)
		now = now.Add(2 * time.Second)
		commit(t, first, put("acme.a", "other", "1"))
		want := func(e store.Engine, key string, found bool) {
			t.Helper()
			it, err := e.Get(t.Context(), "acme.a", key)
			if err != nil || (it.Version != 0) != found {
				t.Errorf("killed %t: Get(%s) = %+v, %v; want found %t", killed, key, it, err, found)
			}
		}
		want(first, "short", false)
		if !killed {
			if err := first.Close(); err != nil {
				t.Fatal(err)
			}
		}
		now = now.Add(-time.Hour)
		second := newEngine(t, cfg)
		want(second, "short", false)
		short.Writes[0].Key = "later"
		commit(t, second, short)
		want(second, "later", true)
		now = now.Add(2 * time.Second)
		want(second, "later", false)
	}
}

// TestFirstSchema opens a file of the first schema.
func TestFirstSchema(t *testing.T) {
	dir := t.TempDir()
	e := newEngine(t, sqlite.Config{Dir: dir})
	commit(t, e, put("acme.a", "k", "1"))
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", e.Path("acme"))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{`ALTER TABLE owner DROP COLUMN latest`, `PRAGMA user_version = 1`} {
		if _, err := db.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	e = newEngine(t, sqlite.Config{Dir: dir})
	wantValue(t, e, "acme.a", "k", "1")
	commit(t, e, put("acme.a", "k", "2"))
}
