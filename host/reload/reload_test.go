package reload

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hearthhost/hearth/host/admit"
	"github.com/hearthhost/hearth/host/backend"
	"github.com/hearthhost/hearth/host/dispatch"
	"github.com/hearthhost/hearth/host/usage"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy/policyfile"
	"github.com/hearthhost/hearth/sandbox/script"
)

// worker is a worker of a test whose Stage returns err.
type worker struct {
	backend.Worker
	err       error
	discarded int
	active    map[object.ID]*script.Version
}

func (w *worker) Stage(context.Context, *script.Version) (*object.Description, error) {
	return new(object.Description), w.err
}

func (w *worker) Discard(*script.Version) { w.discarded++ }

func (w *worker) Activate(all ...*script.Version) {
	for _, v := range all {
		w.active[v.ID] = v
	}
}

// newReloader returns a reloader of a tenant acme with an object acme.echo, whose worker is w. It does not run.
func newReloader(t *testing.T, w *worker) *Reloader {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "scripts", "acme"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "scripts", "acme", "echo.lua"), []byte("return 2"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := policyfile.Parse("policy.hcl", []byte(`
listener "local" { address = "127.0.0.1:0" }
tenant "acme" {}
`), dir, os.Getuid(), nil)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	current, err := NewCurrent(p, log)
	if err != nil {
		t.Fatal(err)
	}
	var counters usage.Registry
	counters.Init()
	var shares admit.Shares
	shares.Init(1<<30, 1024)
	d := dispatch.New(dispatch.Config{Snapshot: current.Snapshot, Queue: new(admit.FairQueue), Usage: &counters})
	l, err := New(Config{
		Current: current,
		Backends: backend.New(backend.Config{
			Worker:     []string{"never started"},
			ObjectCall: d.ObjectCall,
			Secrets:    current.Secrets,
			Usage:      &counters,
			Shares:     &shares,
			Life:       t.Context(),
			Log:        log,
		}),
		Dispatcher: d,
		Usage:      &counters,
		Shares:     &shares,
		CutRevoked: func(time.Time) {},
		HandedOver: func() bool { return false },
		Record:     func(string, object.ID, string) {},
		Log:        log,
	})
	if err != nil {
		t.Fatal(err)
	}
	current.Load().Backends.Tenants["acme"].Worker = w
	return l
}

// TestNew serves the objects of the scripts folder at once, without staging.
func TestNew(t *testing.T) {
	l := newReloader(t, new(worker))
	snap := l.cfg.Current.Load()
	if len(snap.IDs) != 1 || !snap.Backends.Has("acme.echo") || !snap.Snapshot.Has("acme.echo") {
		t.Errorf("the first generation serves %v", snap.IDs)
	}
	if applied, refused, last := l.Counts(); applied != 0 || refused != 0 || !last.IsZero() {
		t.Errorf("after the start %d changes applied and %d refused, the last at %v", applied, refused, last)
	}
}

// TestRollbackDuringReload has a reload replace a tenant's worker during a rollback. Staging in the closed worker fails
// with CodeRetired. The operator gets an error with the reason, not the text of a host that shuts down.
func TestRollbackDuringReload(t *testing.T) {
	for name, tc := range map[string]struct {
		staged   error // result of staging
		replaced bool  // whether the worker is replaced
		want     object.Code
	}{
		"closed worker":   {object.ErrRetired, true, object.CodeInvalid},
		"replaced worker": {nil, true, object.CodeInvalid},
		"load error":      {&script.LoadError{Msg: "no"}, false, object.CodeInvalid},
		"other error":     {object.ErrShutdown, false, object.CodeUnavailable},
		"success":         {nil, false, object.CodeOK},
	} {
		t.Run(name, func(t *testing.T) {
			w := &worker{err: tc.staged, active: map[object.ID]*script.Version{}}
			l := newReloader(t, w)
			libs := script.NewLibs(nil)
			source := script.Script{Source: []byte("return 1")}
			old := script.NewVersion("acme.echo", source, libs, object.Limits{})
			if err := l.history.Add(old, time.Now(), false); err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			if _, err := l.rollback(t.Context(), "acme.echo", "", done); err != nil {
				t.Fatal(err)
			}
			finish := <-l.jobs.finished
			if tc.replaced {
				l.change(func(*Generation) {
					next := l.next.Backends.Tenants["acme"].Clone()
					next.Worker = &worker{active: map[object.ID]*script.Version{}}
					l.next.Backends.Tenants["acme"] = next
				})
			}
			l.change(finish)
			err := <-done
			if object.CodeOf(err) != tc.want || object.Retired(err) {
				t.Errorf("rollback: %v (%v), want %v", err, object.CodeOf(err), tc.want)
			}
			if active := w.active["acme.echo"]; (active != nil) != (tc.want == object.CodeOK) {
				t.Errorf("active version: %v", active)
			}
			if want := tc.staged == nil && tc.replaced; (w.discarded == 1) != want {
				t.Errorf("the version was discarded %d times", w.discarded)
			}
		})
	}
}

// TestRefusals: set reports only changes of the error, and list sorts by key.
func TestRefusals(t *testing.T) {
	l := newReloader(t, new(worker))
	no, other := errors.New("no"), errors.New("other")
	for i, step := range []struct {
		key     string
		err     error
		changed bool
	}{
		{"acme.echo", no, true},
		{"acme.echo", no, false},
		{"acme.echo", other, true},
		{"policy", no, true},
		{"acme.zero", nil, false},
	} {
		id := object.ID(step.key)
		if step.key == "policy" {
			id = ""
		}
		if got := l.refused.set(step.key, id, "file", step.err); got != step.changed {
			t.Errorf("step %d: set() = %v, want %v", i, got, step.changed)
		}
	}
	all := l.refused.list(l.cfg.Current.Load().Policy)
	if len(all.All) != 2 || all.All[0].Err != "other" || len(all.IDs) != 1 || all.IDs[0] != "acme.echo" {
		t.Errorf("list() = %+v", all)
	}
	if !l.refused.set("policy", "", "file", nil) || len(l.refused) != 1 {
		t.Errorf("after clearing: %v", l.refused)
	}
}

// TestJobs starts jobs of different keys: their results come in the reloader's goroutine, and a key is free afterwards.
func TestJobs(t *testing.T) {
	j := newJobs()
	results := map[string]int{}
	for _, key := range []string{"a", "b"} {
		j.start(t.Context(), key, func(ctx context.Context) {
			if _, ok := ctx.Deadline(); !ok {
				t.Error("a job has no time limit")
			}
		}, func(*Generation) { results[key]++ })
	}
	if !j.has("a") || !j.has("b") || j.has("c") {
		t.Errorf("running: %v", j.running)
	}
	for range 2 {
		(<-j.finished)(nil)
	}
	if j.has("a") || j.has("b") || results["a"] != 1 || results["b"] != 1 || j.count != 2 {
		t.Errorf("running %v, results %v, count %d", j.running, results, j.count)
	}
}
