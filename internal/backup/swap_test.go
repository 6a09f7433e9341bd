package backup

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSwapAfterCheck replaces a file of a verified backup before it is copied: by other text, and by a link to a file
// with the right text. The restore fails, and no file has its name.
func TestSwapAfterCheck(t *testing.T) {
	for _, link := range []bool{false, true} {
		base := t.TempDir()
		script := filepath.Join(base, "a.lua")
		if err := os.WriteFile(script, []byte("script"), 0o600); err != nil {
			t.Fatal(err)
		}
		dir, to := filepath.Join(base, "backup"), t.TempDir()
		_, _, err := Create(&Config{
			Dir:   dir,
			State: "state",
			Items: []Item{{From: script, To: "a.lua"}, {From: script, To: "b.lua"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		from, m, err := open(dir, "")
		if err != nil {
			t.Fatal(err)
		}
		if err := verify(from, m); err != nil {
			t.Fatal(err)
		}
		swapped := filepath.Join(dir, "b.lua")
		if err := os.Remove(swapped); err != nil {
			t.Fatal(err)
		}
		if link {
			err = os.Symlink("a.lua", swapped)
		} else {
			err = os.WriteFile(swapped, []byte("scripT"), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		r := &restorer{t: &Target{Dir: dir, To: to}, m: m, from: from, stateDir: filepath.Join(to, "state"),
			stage: stagePrefix + "x"}
		if err := os.Mkdir(r.stateDir, 0o700); err != nil {
			t.Fatal(err)
		}
		if r.to, err = os.OpenRoot(to); err != nil {
			t.Fatal(err)
		}
		if r.state, err = os.OpenRoot(r.stateDir); err != nil {
			t.Fatal(err)
		}
		if _, err := r.run(); err == nil || !strings.Contains(err.Error(), "b.lua") {
			t.Errorf("run() = %v, want an error about b.lua", err)
		}
		if entries, _ := os.ReadDir(to); len(entries) != 1 {
			t.Errorf("files: %v", entries)
		}
		for _, c := range []io.Closer{from, r.to, r.state} {
			_ = c.Close()
		}
	}
}
