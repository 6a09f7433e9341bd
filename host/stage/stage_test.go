package stage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hearthhost/hearth/host/history"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/script"
)

// worker is a worker of a test. Objects whose names begin with "bad" do not load. Tests of objects whose names begin
// with "red" fail.
type worker struct {
	mu        sync.Mutex // guards the fields below
	staged    []object.ID
	discarded []object.ID
	running   int
	most      int // largest number of concurrent calls
}

func (w *worker) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running++
	w.most = max(w.most, w.running)
}

func (w *worker) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running--
}

func (w *worker) Stage(_ context.Context, v *script.Version) (*object.Description, error) {
	w.begin()
	defer w.end()
	if strings.HasPrefix(v.ID.Name(), "bad") {
		return nil, &script.LoadError{Msg: "syntax error"}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.staged = append(w.staged, v.ID)
	about := new(object.Description)
	for i := range len(v.Script.Source) / 100 {
		about.Warnings = append(about.Warnings, fmt.Sprintf("acme/x.lua:%d: @param: no such parameter", i+1))
	}
	return about, nil
}

func (w *worker) Test(
	_ context.Context, v *script.Version, _ script.Script,
) ([]script.TestResult, error) {
	w.begin()
	defer w.end()
	if strings.HasPrefix(v.ID.Name(), "red") {
		return []script.TestResult{{Name: "one"}, {Name: "two", Err: "1 is not 2"}}, nil
	}
	return []script.TestResult{{Name: "one"}}, nil
}

func (w *worker) Discard(v *script.Version) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.discarded = append(w.discarded, v.ID)
}

// newStager returns a stager with an empty history.
func newStager(t *testing.T) *Stager {
	t.Helper()
	store := &history.Store{Dir: t.TempDir(), MaxBytes: history.DefaultMaxBytes}
	return &Stager{History: store, Log: slog.New(slog.DiscardHandler)}
}

// version returns a version of an object.
func version(id object.ID, source string) *script.Version {
	return script.NewVersion(id, script.Script{Source: []byte(source)}, script.NewLibs(nil), object.Limits{})
}

// TestWarnings checks that wrong annotations are logged, with a bound, and that the version is staged.
func TestWarnings(t *testing.T) {
	var log strings.Builder
	s := newStager(t)
	s.Log = slog.New(slog.NewTextHandler(&log, nil))
	c := &Candidate{Version: version("acme.odd", strings.Repeat(" ", 100*(maxWarnings+5)))}
	s.Stage(t.Context(), new(worker), []*Candidate{c})
	if c.Err != nil {
		t.Error(c.Err)
	}
	if n := strings.Count(log.String(), "\n"); n != maxWarnings+1 ||
		!strings.Contains(log.String(), "object=acme.odd err=\"acme/x.lua:1: @param: no such parameter\"") {
		t.Errorf("%d lines: %s", n, log.String())
	}
}

// TestStage stages versions of each kind: those that load and pass their tests get a checksum, the others an error.
// At most two load at a time.
func TestStage(t *testing.T) {
	tests := &script.Script{File: "acme/x_test.lua"}
	all := []*Candidate{
		{Version: version("acme.good", "return 1")},
		{Version: version("acme.bad", "return")},
		{Version: version("acme.green", "return 2"), Tests: tests},
		{Version: version("acme.red", "return 3"), Tests: tests},
		{Version: version("acme.changed", "return 5"), Previous: version("acme.changed", "return 4")},
	}
	w := new(worker)
	s := newStager(t)
	s.Stage(t.Context(), w, all)
	for _, c := range all {
		fails := strings.HasPrefix(c.Version.ID.Name(), "bad") || strings.HasPrefix(c.Version.ID.Name(), "red")
		var unloadable *script.LoadError
		if fails != errors.As(c.Err, &unloadable) || fails != (c.Sum == "") {
			t.Errorf("%s: error %v, checksum %q", c.Version.ID, c.Err, c.Sum)
		}
	}
	if err := all[3].Err; err == nil || err.Error() != (&script.LoadError{
		Msg: "acme/x_test.lua: test two failed: 1 is not 2",
	}).Error() {
		t.Errorf("a failed test: %v", err)
	}
	if slices.Sort(w.staged); fmt.Sprint(w.staged) != "[acme.changed acme.good acme.green]" {
		t.Errorf("staged: %v", w.staged)
	}
	if fmt.Sprint(w.discarded) != "[acme.red]" {
		t.Errorf("discarded: %v, want only the object with a failed test", w.discarded)
	}
	if w.most > 2 {
		t.Errorf("%d versions loaded at a time, want at most 2", w.most)
	}
	for id, want := range map[object.ID]int{"acme.changed": 2, "acme.good": 0} {
		if kept, err := s.History.List(id); err != nil || len(kept) != want {
			t.Errorf("%s: %d stored versions, want %d; %v", id, len(kept), want, err)
		}
	}
}

// TestManyNewObjects: more than maxStaged new objects are not staged; a changed one beside them is.
func TestManyNewObjects(t *testing.T) {
	all := []*Candidate{{Version: version("acme.changed", "return 2"), Previous: version("acme.changed", "return 1")}}
	for i := range maxStaged + 1 {
		all = append(all, &Candidate{Version: version(object.ID(fmt.Sprintf("acme.bad%d", i)), "return")})
	}
	w := new(worker)
	newStager(t).Stage(t.Context(), w, all)
	if fmt.Sprint(w.staged) != "[acme.changed]" {
		t.Errorf("staged: %v", w.staged)
	}
	for _, c := range all {
		if c.Err != nil || c.Sum == "" {
			t.Errorf("%s: error %v, checksum %q", c.Version.ID, c.Err, c.Sum)
		}
	}
}

// TestStageCanceled: a version that is not staged before the end of the context has its cause as error.
func TestStageCanceled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("the host stops")
	cancel(stop)
	c := &Candidate{Version: version("acme.good", "return 1")}
	w := new(worker)
	newStager(t).Stage(ctx, w, []*Candidate{c})
	if !errors.Is(c.Err, stop) || len(w.staged) != 0 {
		t.Errorf("error %v, staged %v", c.Err, w.staged)
	}
}
