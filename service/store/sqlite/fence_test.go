package sqlite_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/hearthhost/hearth/service/store"
	"github.com/hearthhost/hearth/service/store/sqlite"
)

// TestFence restores a copy of a store beside the process that owns it. The copy contains the token of that process,
// which is alive. After Fence it cannot write the copy, and versions are greater than those of the original.
func TestFence(t *testing.T) {
	e := newEngine(t, sqlite.Config{Dir: filepath.Join(t.TempDir(), "old")})
	commit(t, e, put("acme.a", "k", "1"))
	old, err := e.Token(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	copied := filepath.Join(dir, "acme.db")
	if err := e.Backup(t.Context(), "acme", copied); err != nil {
		t.Fatal(err)
	}
	if epoch, err := sqlite.Epoch(copied); err != nil || epoch != old.Epoch {
		t.Errorf("Epoch() = %d, %v", epoch, err)
	}
	const above = 70
	if err := sqlite.Fence(copied, above); err != nil {
		t.Fatal(err)
	}
	db := sqlOf(t, copied)
	var same int
	err = db.QueryRowContext(t.Context(),
		`SELECT count(*) FROM owner WHERE epoch <= ? OR incarnation = ? OR NOT released`,
		above, old.Incarnation).Scan(&same)
	if err != nil || same != 0 {
		t.Errorf("the former owner can write the copy: %d, %v", same, err)
	}
	_ = db.Close()
	restored := newEngine(t, sqlite.Config{Dir: dir})
	wantValue(t, restored, "acme.a", "k", "1")
	r, err := restored.Commit(t.Context(), put("acme.a", "k", "2"))
	if err != nil || r.Version < 1<<32 {
		t.Errorf("version %d, %v", r.Version, err)
	}
	if now, err := restored.Token(t.Context(), "acme"); err != nil || now.Epoch <= above {
		t.Errorf("epoch %d, %v", now.Epoch, err)
	}
}

// TestFencedOwner lets another program restore the epoch of a file in use: the commits of its owner fail.
func TestFencedOwner(t *testing.T) {
	e := newEngine(t, sqlite.Config{})
	commit(t, e, put("acme.a", "k", "1"))
	if err := sqlite.Fence(e.Path("acme"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Commit(t.Context(), put("acme.a", "k", "2")); !errors.Is(err, store.ErrFenced) {
		t.Errorf("commit of the former owner: %v", err)
	}
}

// TestFenceRefusesOtherFiles gives it files that are no stores. None is changed.
func TestFenceRefusesOtherFiles(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"text": "not a database, but a text of some length", "link": ""} {
		path := filepath.Join(dir, name)
		var err error
		if text == "" {
			err = os.Symlink("text", path)
		} else {
			err = os.WriteFile(path, []byte(text), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := sqlite.Fence(path, 0); err == nil {
			t.Errorf("Fence(%s) succeeds", name)
		}
	}
	if epoch, err := sqlite.Epoch(filepath.Join(dir, "missing")); epoch != 0 || err != nil {
		t.Errorf("Epoch of a missing file: %d, %v", epoch, err)
	}
	if text, _ := os.ReadFile(filepath.Join(dir, "text")); string(text) != "not a database, but a text of some length" {
		t.Errorf("the file was changed: %q", text)
	}
}
