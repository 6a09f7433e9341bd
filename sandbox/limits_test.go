package sandbox_test

import (
	"strings"
	"testing"
	"time"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/object"
)

// TestResultIsCharged checks that a limit ends the writing of a slow result, although the script has ended. The results
// are a table of holes that is referred to many times, and a long text likewise.
func TestResultIsCharged(t *testing.T) {
	limits := object.Limits{Steps: 1_500_000, MaxDuration: time.Minute, ResultBytes: 1 << 30}
	for name, body := range map[string]string{
		"holes": "local h = {} for i = 1, 60000 do h[i] = i end for i = 1, 60000 do h[i] = nil end " +
			"local t = {} for i = 1, 10000 do t[i] = h end return t",
		"texts": "local s, t = ('x'):rep(1e5), {} for i = 1, 10000 do t[i] = s end return t",
	} {
		t.Run(name, func(t *testing.T) {
			a := startLimited(t, method(body), limits).call("f")
			if object.CodeOf(a.err) != object.CodeExhausted ||
				!strings.Contains(a.err.Error(), "while the result was written; the call was executed") {
				t.Errorf("error %v, value %.200v; want the limit of steps", a.err, a.value)
			}
			if !a.out.Broken {
				t.Error("the instance lives on")
			}
		})
	}
}

// TestArgumentsAreCharged checks that arguments with more memory than the limit are rejected while they are read. The
// call is not executed, and the instance continues.
func TestArgumentsAreCharged(t *testing.T) {
	h := startLimited(t, method("return a and #a"), object.Limits{Memory: 8 << 20})
	many := make([]any, 500_000)
	for i := range many {
		many[i] = []any{}
	}
	a := h.call("f", many)
	if object.CodeOf(a.err) != object.CodeExhausted || !strings.Contains(a.err.Error(), "8 MiB of memory while the "+
		"arguments were read; not executed") {
		t.Errorf("error %v; want the limit of memory", a.err)
	}
	h.call("f", []any{1, 2}).want(t, int64(2))
}

// TestRaiseReceivedException checks that an exception that was an argument can be raised like one of the script.
func TestRaiseReceivedException(t *testing.T) {
	h := start(t, method("error(a)"))
	h.call("f", map[string]any{
		"__class__": "ValueError", "__exception__": true, "args": codec.Tuple{"why"}, "attributes": map[string]any{},
	}).raises(t, "builtins.ValueError", "why")
}

// TestMarkersCopy checks that hearth.list and similar functions do not change their argument and do not nest.
func TestMarkersCopy(t *testing.T) {
	h := start(t, method("local t = {1, 2} local u, v = hearth.list(t), hearth.list(t) return u, v, "+
		"hearth.typeof(t), hearth.list(a)"))
	h.call("f", []any{3}).want(t, codec.Tuple{[]any{int64(1), int64(2)}, []any{int64(1), int64(2)}, "table",
		[]any{int64(3)}})
}
