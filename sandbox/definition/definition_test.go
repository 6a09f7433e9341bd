package definition_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/definition"
	"github.com/hearthhost/hearth/sandbox/lua"
	"github.com/hearthhost/hearth/sandbox/lua/stdlib"
	"github.com/hearthhost/hearth/sandbox/values"
)

// read runs a script and returns the description of the object that it defines.
func read(t *testing.T, source string) (*object.Description, error) {
	t.Helper()
	vm := lua.New(lua.Limits{})
	vm.Refill = func() (int64, error) { return 1 << 20, nil }
	r := definition.NewReader(definition.Config{
		ID: "acme.x", File: "acme/x.lua", Types: values.New(),
		Redact: func(text string, most int) string {
			return strings.ReplaceAll(text[:min(most, len(text))], "hunter2", "[redacted]")
		},
	})
	template := stdlib.NewTemplate()
	template.Add("hearth", map[string]lua.Native{"object": r.NewObject})
	proto, err := lua.Compile("acme/x.lua", source)
	if err != nil {
		t.Fatal(err)
	}
	vm.Main.Push(lua.NewFunction(proto, stdlib.New(vm, stdlib.Config{Template: template}).Globals()).Value())
	if err := vm.Run(0, nil); err != nil {
		return nil, err
	}
	d, err := r.Find(vm.Main.Get(1))
	if err != nil {
		return nil, err
	}
	files := []string{"acme/x.lua"}
	return r.Describe(d, definition.NewSignatures(func(string) []byte { return []byte(source) }, files)), nil
}

func TestDescribe(t *testing.T) {
	got, err := read(t, `local X = hearth.object { doc = "counts; hunter2", instance = "single" }
-- Adds n.
--
-- Returns the sum.
---@param n integer
---@return integer sum
function X.expose:add(n, ...) end
--[[ Reports
progress. ]]
function X.oneway:report() end
--- The total.
function X.get:total() end
---@param v number?
function X.set:total(v) end
---@class Point
---@field x number
function X.expose.move(to) end

-- not of close

function X:close() end
return X`)
	if err != nil {
		t.Fatal(err)
	}
	want := &object.Description{
		ID: "acme.x", Doc: "counts; [redacted]", Instance: object.Single,
		Members: []object.Member{
			{Name: "add", Doc: "Adds n.\n\nReturns the sum.", Signature: "(n: integer, ...): integer", Method: true},
			{Name: "move", Signature: "()", Method: true},
			{Name: "report", Doc: "Reports\nprogress.", Signature: "()", Method: true, Oneway: true},
			{Name: "total", Doc: "The total.", Signature: "number?", Get: true, Set: true},
		},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(object.Member{}, "Function", "Value")); diff != "" {
		t.Error(diff)
	}
	for _, m := range got.Members {
		if m.Method && m.Function.String() != m.Signature || m.Get && m.Value.String() != m.Signature {
			t.Errorf("%s has the signature %s, and the types %v, %v", m.Name, m.Signature, m.Function, m.Value)
		}
	}
}

// TestWarnings describes an object with wrong annotations.
func TestWarnings(t *testing.T) {
	got, err := read(t, `local X = hearth.object {}
---
-- Adds n.
---@param m integer
---@param n Missing
---@param n integer
---@retrun integer
function X.expose:add(n) end
--[[
Adds.
@param n table<string
]]
function X.expose:sub(n) end
---@class A
---@class A
---@field x B
---@alias L L
---@enum E
local E = { 1 + 2 }
return X`)
	want := []string{
		"acme/x.lua:4: @param: the function has no parameter m",
		"acme/x.lua:5: @param: the type Missing is not declared; it is any",
		"acme/x.lua:6: @param: n has two annotations; the first one is used",
		"acme/x.lua:7: @retrun is not known",
		`acme/x.lua:11: @param: , is missing at ""`,
		"acme/x.lua:15: the type A exists already",
		"acme/x.lua:16: @field belongs under a @class",
		"acme/x.lua:17: the type L stands for itself; it is any",
		`acme/x.lua:19: @enum: an item must be NAME = a text or a number, not "1 + 2 }"`,
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got.Warnings); diff != "" {
		t.Error(diff)
	}
}

func TestWrongDefinitions(t *testing.T) {
	for _, tt := range []struct {
		source string
		want   string
	}{
		{"return 1", "acme/x.lua: the script returned a number"},
		{"local X = hearth.object{} X.init = 1 return X", "init must be a function, not a number"},
		{"local X = hearth.object{} X.expose = nil return X", "expose is no longer a table"},
		{"local X = hearth.object{} function X.expose:_f() end return X", "acme/x.lua:1: expose._f: not a public name"},
		{"local X = hearth.object{} X.get.a = 1 return X", "get.a must be a function, not a number"},
		{"local X = hearth.object{} X.expose.hunter2 = print return X", "a member's name holds a secret"},
		{"return hearth.object{instance = 'many'}", `instance must be "single", "session", "call" or "keyed"`},
		{"return hearth.object{colour = 'red'}", `unknown setting "colour"`},
		{"for i = 1, 17 do hearth.object{} end", "a script defines one object"},
		{"return hearth.object{once = 1}", "once must be true or false, not a number"},
		{"return hearth.object{once = true}", "once belongs to an object with instance"},
		{"return hearth.object{once = true, instance = 'call'}", `in mode "call" a retry reaches another instance`},
		{"local X = hearth.object{} function X:handover() end return X", "handover belongs to an object with instance"},
		{"local X = hearth.object{} X.get.a = print X.expose.a = print return X", "get.a: the name is already exposed"},
	} {
		if _, err := read(t, tt.source); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s\ngot  %v\nwant %s", tt.source, err, tt.want)
		}
	}
}
