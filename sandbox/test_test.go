package sandbox_test

import (
	"strings"
	"testing"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox"
)

const tested = `local C = hearth.object { instance = "single" }
function C:init(state) self.n = state and state.n or 0 end
function C.expose:add(k) self.n = self.n + k; return self.n, k end
function C.get:total() return self.n end
function C.set:total(v) self.n = v end
function C:handover() return { n = self.n } end
function C:hidden() end
function C.expose:other() return hearth.proxy("acme.other"):hi() end
return C`

func TestRunTests(t *testing.T) {
	results, err := sandbox.RunTests(t.Context(),
		sandbox.Config{ID: "acme.c", Source: []byte(tested), Limits: object.Limits{Steps: 100_000}},
		"acme/c_test.lua", []byte(`
local T = {}
function T.adds()
  local c = new()
  local sum, k = c:add(2)
  assert(sum == 2 and k == 2 and c.total == 2)
  c.total = 7
  assert(c:add(1) == 8)
  assert(new().total == 0, "an instance of its own")
end
function T.hands_over() local c = new(); c:add(3); assert(new(c:handover()).total == 3) end
function T.fails() assert(new():add(1) == 2, "one and one") end
function T.hidden() new():hidden() end
function T.reads_fields() return new().n end
function T.sets() new().n = 1 end
function T.spins() while true do end end
function T.calls_others() new():other() end
function T.a_dot() local c = new(); c.add(1) end
return T`))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, r := range results {
		got[r.Name] = r.Err
	}
	for name, want := range map[string]string{
		"adds": "", "hands_over": "",
		"fails": "one and one", "hidden": "hidden is not exposed", "reads_fields": "n is not exposed",
		"sets":  "n cannot be set",
		"spins": "limit exceeded: 100000 steps", "calls_others": "a test calls no other objects",
		"a_dot": "with a colon",
	} {
		if err, ran := got[name]; !ran || want == "" && err != "" || !strings.Contains(err, want) {
			t.Errorf("%s: %q, want %q", name, err, want)
		}
	}
	if len(got) != 9 {
		t.Errorf("%d tests ran: %v", len(got), got)
	}
	for source, want := range map[string]string{
		"return 1":                     "returns a table of functions",
		"return {}":                    "it has no tests",
		"return { a = 1 }":             "a is not",
		"return { function() end }":    "1 is not",
		"this is not Lua":              "acme/c_test.lua:1:",
		"error('no')":                  "acme/c_test.lua:1: no",
		"while true do end":            "limit exceeded",
		"new(); return { a = 1 + {} }": "acme/c_test.lua:1:",
	} {
		if _, err := sandbox.RunTests(t.Context(), sandbox.Config{ID: "acme.c", Source: []byte(tested)},
			"acme/c_test.lua", []byte(source)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", source, err, want)
		}
	}
	if _, err := sandbox.RunTests(t.Context(), sandbox.Config{ID: "acme.c", Source: []byte("return 1")},
		"acme/c_test.lua", []byte("return {}")); err == nil || !strings.Contains(err.Error(), "acme.c does not load") {
		t.Errorf("an object that does not load: %v", err)
	}
}
