package sqlite_test

import (
	"context"
	"errors"
	"testing"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/service/store"
	"github.com/hearthhost/hearth/service/store/sqlite"
)

// TestBegin begins commits without waiting for them. The store must be open; results and errors are those of Commit.
func TestBegin(t *testing.T) {
	e := newEngine(t, sqlite.Config{})
	type result struct {
		store.Result
		err error
	}
	results := make(chan result, 100)
	begin := func(ctx context.Context, b *store.Batch) bool {
		return e.Begin(ctx, b, func(r store.Result, err error) { results <- result{r, err} })
	}
	if begin(t.Context(), add("acme.a", "n", 1)) {
		t.Fatal("a commit begins in a store that is not open")
	}
	commit(t, e, put("acme.a", "text", `"x"`))
	for range cap(results) {
		if !begin(t.Context(), add("acme.a", "n", 1)) {
			t.Fatal("a commit does not begin")
		}
	}
	for i := range cap(results) {
		if r := <-results; r.err != nil || len(r.Integers) != 1 || r.Integers[0] != int64(i+1) {
			t.Fatalf("increment %d: %v, %v", i+1, r.Integers, r.err)
		}
	}
	wantValue(t, e, "acme.a", "n", "100")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	conditional := put("acme.a", "n", "1")
	conditional.Writes[0].If = 5
	for _, tc := range []struct {
		ctx  context.Context
		b    *store.Batch
		want string
	}{
		{t.Context(), add("acme.a", "text", 1), store.ClassType},
		{t.Context(), conditional, store.ClassConflict},
		{ended, add("acme.a", "n", 1), ""},
	} {
		if !begin(tc.ctx, tc.b) {
			t.Fatal("a commit does not begin")
		}
		r := <-results
		failed, _ := errors.AsType[*object.Error](r.err)
		canceled := tc.want == "" && errors.Is(r.err, context.Canceled)
		if !canceled && (failed == nil || failed.Class != tc.want || tc.want == "") {
			t.Errorf("the commit ends with %v, want %q", r.err, tc.want)
		}
	}
	if begin(t.Context(), put("acme.a", "", "1")) {
		t.Error("a malformed batch is begun")
	}
	if err := e.Release("acme"); err != nil {
		t.Fatal(err)
	}
	if begin(t.Context(), add("acme.a", "n", 1)) {
		t.Error("a commit begins in a store that was released")
	}
	wantValue(t, e, "acme.a", "n", "100")
}
