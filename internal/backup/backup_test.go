package backup_test

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/internal/backup"
	"github.com/hearthhost/hearth/internal/upgrade"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/service/store"
	"github.com/hearthhost/hearth/service/store/sqlite"
)

// put stores a value in the store of acme in a folder, and returns the engine.
func put(t *testing.T, dir, value string) *sqlite.Engine {
	t.Helper()
	e, err := sqlite.New(sqlite.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	if _, err := e.Commit(t.Context(), &store.Batch{Object: "acme.a", Writes: []store.Write{
		{Op: store.Put, Key: "k", Value: []byte(value), If: store.AnyVersion},
	}}); err != nil {
		t.Fatal(err)
	}
	return e
}

func write(t *testing.T, path, text string, mode fs.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// create makes a backup of a small host and returns its folder and the SHA-256 of its manifest.
func create(t *testing.T) (dir, sum string) {
	t.Helper()
	host := t.TempDir()
	e := put(t, filepath.Join(host, "state", "store"), "1")
	write(t, filepath.Join(host, "policy.hcl"), "policy", 0o644)
	write(t, filepath.Join(host, "scripts", "acme", "a.lua"), "script", 0o644)
	write(t, filepath.Join(host, "plugins", "acme", "p"), "program", 0o777)
	write(t, filepath.Join(host, "state", "audit.jsonl"), "one\ntwo\nthr", 0o600)
	write(t, filepath.Join(host, "state", "audit-00000000000000000005.jsonl"), "zero\n", 0o600)
	if err := os.Symlink("/etc/passwd", filepath.Join(host, "scripts", "acme", "link.lua")); err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(t.TempDir(), "backup")
	m, sum, err := backup.Create(&backup.Config{
		Dir:     dir,
		Version: "test",
		State:   "state",
		Audit:   filepath.Join(host, "state", "audit.jsonl"),
		AuditTo: "state",
		Tenants: []string{"acme"},
		Items: []backup.Item{
			{From: filepath.Join(host, "policy.hcl"), To: "policy.hcl"},
			{From: filepath.Join(host, "scripts"), To: "scripts"},
			{From: filepath.Join(host, "plugins"), To: "plugins"},
			{From: filepath.Join(host, "missing"), To: "missing"},
		},
		Store: func(tenant string, to io.Writer) error {
			name := filepath.Join(t.TempDir(), "copy")
			if err := e.Backup(t.Context(), object.Tenant(tenant), name); err != nil {
				return err
			}
			text, err := os.ReadFile(name)
			if err == nil {
				_, err = to.Write(text)
			}
			return err
		},
	})
	if err != nil || len(m.Files) != 6 {
		t.Fatalf("%+v, %v", m, err)
	}
	return dir, sum
}

// TestRoundTrip restores a backup. Modes are kept, except that only the owner may write.
func TestRoundTrip(t *testing.T) {
	dir, sum := create(t)
	_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		info, _ := e.Info()
		if info.Mode().Perm()&0o077 != 0 || err != nil {
			t.Errorf("%s has mode %v, %v", path, info.Mode(), err)
		}
		return nil
	})
	to := filepath.Join(t.TempDir(), "new")
	r, err := backup.Restore(t.Context(), &backup.Target{Dir: dir, To: to, Sum: sum})
	if err != nil || r.Files != 6 || r.Aside != "" {
		t.Fatalf("%+v, %v", r, err)
	}
	for name, want := range map[string]string{
		"policy.hcl":                             "policy",
		"scripts/acme/a.lua":                     "script",
		"plugins/acme/p":                         "program",
		"state/audit.jsonl":                      "one\ntwo\n",
		"state/audit-00000000000000000005.jsonl": "zero\n",
	} {
		if text, err := os.ReadFile(filepath.Join(to, name)); err != nil || string(text) != want {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
	for name, want := range map[string]fs.FileMode{"plugins/acme/p": 0o755, "scripts/acme/a.lua": 0o644} {
		if info, err := os.Stat(filepath.Join(to, name)); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	put(t, filepath.Join(to, "state", "store"), "2") // the restored store can be written
}

// TestOverwrite restores over an existing host. Without the flag nothing is changed. With it the former state is put
// aside, and the epoch of the store is greater than the former one.
func TestOverwrite(t *testing.T) {
	dir, _ := create(t)
	to := t.TempDir()
	stores := filepath.Join(to, "state", "store")
	for range 3 {
		if err := put(t, stores, "former").Close(); err != nil {
			t.Fatal(err)
		}
	}
	epoch, err := sqlite.Epoch(filepath.Join(stores, "acme.db"))
	if err != nil || epoch < 3 {
		t.Fatal(epoch, err)
	}
	target := &backup.Target{Dir: dir, To: to}
	if _, err := backup.Restore(t.Context(), target); err == nil || !strings.Contains(err.Error(), "--overwrite") {
		t.Fatalf("without the flag: %v", err)
	}
	target.Overwrite = true
	for range 2 { // also over a restored state
		r, err := backup.Restore(t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		if now, err := sqlite.Epoch(filepath.Join(stores, "acme.db")); err != nil || now <= epoch {
			t.Errorf("epoch %d after %d, %v", now, epoch, err)
		}
		if _, err := os.Stat(filepath.Join(r.Aside, "store", "acme.db")); err != nil {
			t.Error(err)
		}
	}
	other := t.TempDir()
	write(t, filepath.Join(other, "policy.hcl"), "mine", 0o600)
	if _, err := backup.Restore(t.Context(), &backup.Target{Dir: dir, To: other}); err == nil {
		t.Error("an existing policy was replaced without the flag")
	}
	if text, _ := os.ReadFile(filepath.Join(other, "policy.hcl")); string(text) != "mine" {
		t.Errorf("policy: %q", text)
	}
}

// TestRunningHost restores into the state folder of a running host: it holds the lock.
func TestRunningHost(t *testing.T) {
	dir, _ := create(t)
	to := t.TempDir()
	lock, err := upgrade.LockState(t.Context(), filepath.Join(to, "state"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release(true)
	_, err = backup.Restore(t.Context(), &backup.Target{Dir: dir, To: to, Overwrite: true})
	if err == nil || !strings.Contains(err.Error(), "another host runs") {
		t.Errorf("Restore() = %v", err)
	}
	if entries, _ := os.ReadDir(to); len(entries) != 1 {
		t.Errorf("files: %v", entries)
	}
}

// change rewrites the manifest of a backup.
func change(t *testing.T, dir string, do func(*backup.Manifest)) {
	t.Helper()
	path := filepath.Join(dir, backup.ManifestFile)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var m backup.Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	do(&m)
	if text, err = json.Marshal(m); err != nil {
		t.Fatal(err)
	}
	write(t, path, string(text), 0o600)
}

// manifest returns an attack that rewrites the manifest.
func manifest(do func(*backup.Manifest)) func(t *testing.T, dir string) {
	return func(t *testing.T, dir string) { change(t, dir, do) }
}

// TestAttacks changes backups in ways that could write outside of the target, or restore other content. Each restore
// fails with the reason, and writes nothing.
func TestAttacks(t *testing.T) {
	rename := func(to string) func(t *testing.T, dir string) {
		return manifest(func(m *backup.Manifest) { m.Files[0].Path = to })
	}
	const outside = "not a relative path"
	script := func(dir string) string { return filepath.Join(dir, "scripts", "acme", "a.lua") }
	for name, tc := range map[string]struct {
		do   func(t *testing.T, dir string)
		want string
	}{
		"parent":        {rename("../evil"), outside},
		"inner parent":  {rename("scripts/../../evil"), outside},
		"absolute":      {rename("/etc/evil"), outside},
		"dot":           {rename("."), outside},
		"empty":         {rename(""), outside},
		"control":       {rename("a\nb"), outside},
		"backslash":     {rename(`..\evil`), outside},
		"manifest":      {rename("manifest.json"), "itself"},
		"twice":         {rename("policy.hcl"), "twice"},
		"below a file":  {rename("policy.hcl/x"), "as a file and as a folder"},
		"other store":   {rename("state/store/acme.db-wal"), "not the store of a tenant"},
		"nested store":  {rename("state/store/x/acme.db"), "not the store of a tenant"},
		"not there":     {rename("scripts/acme/b.lua"), "is not in manifest.json"},
		"state outside": {manifest(func(m *backup.Manifest) { m.State = "../x" }), outside},
		"state a file":  {manifest(func(m *backup.Manifest) { m.State = "policy.hcl" }), "as a file"},
		"setuid mode":   {manifest(func(m *backup.Manifest) { m.Files[0].Mode = "4755" }), "not a mode"},
		"format":        {manifest(func(m *backup.Manifest) { m.Format = 2 }), "format 2"},
		"size":          {manifest(func(m *backup.Manifest) { m.Files[0].Size = -1 }), "malformed"},
		"sum":           {manifest(func(m *backup.Manifest) { m.Files[0].SHA256 = "00" }), "malformed"},
		"no JSON": {func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "manifest.json"), "{", 0o600)
		}, "malformed"},
		"no file": {func(t *testing.T, dir string) { remove(t, script(dir)) }, "scripts/acme/a.lua is missing"},
		"unfinished": {func(t *testing.T, dir string) {
			remove(t, filepath.Join(dir, "manifest.json"))
		}, "not a backup"},
		"changed": {func(t *testing.T, dir string) {
			write(t, script(dir), "scripT", 0o600)
		}, "a.lua was changed"},
		"longer": {func(t *testing.T, dir string) {
			write(t, script(dir), "script!", 0o600)
		}, "a.lua was changed"},
		"extra": {func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "x"), "x", 0o600)
		}, "x is not in manifest.json"},
		"extra folder": {func(t *testing.T, dir string) {
			if err := os.Mkdir(filepath.Join(dir, "more"), 0o700); err != nil {
				t.Fatal(err)
			}
		}, "more is not in manifest.json"},
		"link to a file": {func(t *testing.T, dir string) {
			remove(t, script(dir))
			symlink(t, "../../policy.hcl", script(dir))
		}, "is not a regular file"},
		"link to a folder": {func(t *testing.T, dir string) {
			err := os.Rename(filepath.Join(dir, "scripts"), filepath.Join(filepath.Dir(dir), "elsewhere"))
			if err != nil {
				t.Fatal(err)
			}
			symlink(t, "../elsewhere", filepath.Join(dir, "scripts"))
		}, "is not a regular file"},
		"link as the manifest": {func(t *testing.T, dir string) {
			outside := filepath.Join(filepath.Dir(dir), "m")
			if err := os.Rename(filepath.Join(dir, "manifest.json"), outside); err != nil {
				t.Fatal(err)
			}
			symlink(t, outside, filepath.Join(dir, "manifest.json"))
		}, "is not a regular file"},
		"open folder": {func(t *testing.T, dir string) {
			if err := os.Chmod(dir, 0o777); err != nil {
				t.Fatal(err)
			}
		}, "world-writable"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, sum := create(t)
			tc.do(t, dir)
			to := filepath.Join(t.TempDir(), "new")
			_, err := backup.Restore(t.Context(), &backup.Target{Dir: dir, To: to})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Restore() = %v, want an error with %q", err, tc.want)
			}
			if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the target was written: %v", err)
			}
			if _, err := backup.Verify(dir, sum); err == nil {
				t.Error("Verify() = nil")
			}
		})
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func symlink(t *testing.T, to, path string) {
	t.Helper()
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
}

// TestLinksInTheTarget plants links where files are restored. Nothing is written through them.
func TestLinksInTheTarget(t *testing.T) {
	dir, _ := create(t)
	outside := t.TempDir()
	to := t.TempDir()
	symlink(t, outside, filepath.Join(to, "scripts"))
	_, err := backup.Restore(t.Context(), &backup.Target{Dir: dir, To: to, Overwrite: true})
	if err == nil {
		t.Error("Restore() wrote through a link")
	}
	if entries, _ := os.ReadDir(outside); len(entries) != 0 {
		t.Errorf("files outside: %v", entries)
	}
}

// TestManifestSum changes the manifest and a file consistently: only the sum in another place shows it.
func TestManifestSum(t *testing.T) {
	dir, sum := create(t)
	change(t, dir, func(m *backup.Manifest) { m.Version = "other" })
	if _, err := backup.Verify(dir, ""); err != nil {
		t.Error(err)
	}
	if _, err := backup.Verify(dir, sum); err == nil || !strings.Contains(err.Error(), "was changed") {
		t.Errorf("Verify() = %v", err)
	}
}

// TestCreateRefuses names folders that cannot receive a backup.
func TestCreateRefuses(t *testing.T) {
	base := t.TempDir()
	write(t, filepath.Join(base, "full", "x"), "x", 0o600)
	write(t, filepath.Join(base, "file"), "x", 0o600)
	for _, name := range []string{"open", "scripts"} {
		if err := os.MkdirAll(filepath.Join(base, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(base, "open"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"full":        "is not empty",
		"open":        "other users can enter",
		"file":        "not a directory",
		"no/parent":   "no such file",
		"scripts/sub": "which is copied",
	} {
		_, _, err := backup.Create(&backup.Config{
			Dir:   filepath.Join(base, name),
			State: "state",
			Items: []backup.Item{{From: filepath.Join(base, "scripts"), To: "scripts"}},
		})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", name, err, want)
		}
	}
	failed := errors.New("the host has ended")
	dir := filepath.Join(base, "new")
	_, _, err := backup.Create(&backup.Config{Dir: dir, State: "state", Tenants: []string{"acme"},
		Store: func(string, io.Writer) error { return failed }})
	if !errors.Is(err, failed) {
		t.Errorf("Create() = %v", err)
	}
	if _, err := backup.Verify(dir, ""); err == nil || !strings.Contains(err.Error(), "not finished") {
		t.Errorf("Verify() of an unfinished backup = %v", err)
	}
}
