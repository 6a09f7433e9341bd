package backup

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/internal/upgrade"
	"github.com/hearthhost/hearth/service/store"
	"github.com/hearthhost/hearth/service/store/sqlite"
)

// killedRestore is the variable with which the test's program restores a backup and ends at a step: "STEP DIR TO".
const killedRestore = "HEARTH_TEST_RESTORE"

// exitKilled is the exit code of a restore that ends at its step.
const exitKilled = 7

// TestRestoreHelper is a restore that ends in the middle, for TestKilledRestore. It does nothing without the variable.
func TestRestoreHelper(t *testing.T) {
	var step int
	var dir, to string
	if n, _ := fmt.Sscan(os.Getenv(killedRestore), &step, &dir, &to); n < 3 {
		return
	}
	killStep = func() {
		if step--; step < 0 {
			os.Exit(exitKilled) // no deferred function runs, as when the process is killed
		}
	}
	if _, err := Restore(t.Context(), &Target{Dir: dir, To: to, Overwrite: true}); err != nil {
		t.Fatal(err)
	}
}

// put stores a value in the store of acme, and returns the engine.
func put(t *testing.T, dir, value string) *sqlite.Engine {
	t.Helper()
	e, err := sqlite.New(sqlite.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	_, err = e.Commit(t.Context(), &store.Batch{Object: "acme.a", Writes: []store.Write{
		{Op: store.Put, Key: "k", Value: []byte(value), If: store.AnyVersion},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestKilledRestore ends a restore before each change of a name. A host does not start with the files, unless all are
// those of the former state or all are those of the backup; the error has the command that repeats the restore. After
// that the state is the one of the backup, and the epoch of the store is greater than each one before.
func TestKilledRestore(t *testing.T) {
	base := t.TempDir()
	host := put(t, filepath.Join(base, "host", "store"), "1")
	script := filepath.Join(base, "a.lua")
	if err := os.WriteFile(script, []byte("script"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(base, "backup")
	_, _, err := Create(&Config{
		Dir:     dir,
		State:   "state",
		Tenants: []string{"acme"},
		Items:   []Item{{From: script, To: "a.lua"}, {From: script, To: "state/history/b.lua"}},
		Store: func(_ string, to io.Writer) error {
			name := filepath.Join(t.TempDir(), "copy")
			if err := host.Backup(t.Context(), "acme", name); err != nil {
				return err
			}
			b, err := os.ReadFile(name)
			if err == nil {
				_, err = to.Write(b)
			}
			return err
		},
	})
	if err := errors.Join(err, host.Close()); err != nil {
		t.Fatal(err)
	}
	interrupted := 0
	for step := 0; ; step++ {
		to := filepath.Join(base, fmt.Sprint("to", step))
		state := filepath.Join(to, "state")
		stores := filepath.Join(state, "store")
		for range 3 { // its epoch is greater than that of the backup
			e := put(t, stores, "2")
			if err := errors.Join(e.Release("acme"), e.Close()); err != nil {
				t.Fatal(err)
			}
		}
		before, err := sqlite.Epoch(filepath.Join(stores, "acme.db"))
		if err != nil || before < 3 {
			t.Fatalf("epoch %d, %v", before, err)
		}
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestRestoreHelper$")
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s %s", killedRestore, step, dir, to))
		out, err := cmd.CombinedOutput()
		if err == nil {
			break // it has no such step
		}
		if cmd.ProcessState.ExitCode() != exitKilled {
			t.Fatalf("step %d: %v\n%s", step, err, out)
		}
		if err := upgrade.CheckRestore(state); err != nil {
			interrupted++
			if !strings.Contains(err.Error(), fmt.Sprintf("hearth restore %q --to %q", dir, to)) {
				t.Errorf("step %d: %v", step, err)
			}
		} else {
			e := newEngine(t, stores)
			it, err := e.Get(t.Context(), "acme.a", "k")
			if err := errors.Join(err, e.Close()); err != nil || string(it.Value) != "2" || step > 0 {
				t.Errorf("step %d: a host starts with the value %s, %v", step, it.Value, err)
			}
		}
		if _, err := Restore(t.Context(), &Target{Dir: dir, To: to, Overwrite: true}); err != nil {
			t.Fatalf("step %d, repeated: %v", step, err)
		}
		if err := upgrade.CheckRestore(state); err != nil {
			t.Errorf("step %d, repeated: %v", step, err)
		}
		if now, err := sqlite.Epoch(filepath.Join(stores, "acme.db")); err != nil || now <= before {
			t.Errorf("step %d: epoch %d after %d, %v", step, now, before, err)
		}
		e := newEngine(t, stores)
		it, err := e.Get(t.Context(), "acme.a", "k")
		if err := errors.Join(err, e.Close()); err != nil || string(it.Value) != "1" {
			t.Errorf("step %d: the restored value is %s, %v", step, it.Value, err)
		}
		for _, name := range []string{filepath.Join(to, "a.lua"), filepath.Join(state, "history", "b.lua")} {
			if text, err := os.ReadFile(name); err != nil || string(text) != "script" {
				t.Errorf("step %d: %s: %q, %v", step, name, text, err)
			}
		}
	}
	if interrupted < 4 {
		t.Errorf("%d restores were interrupted", interrupted)
	}
}

func newEngine(t *testing.T, dir string) *sqlite.Engine {
	t.Helper()
	e, err := sqlite.New(sqlite.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return e
}
