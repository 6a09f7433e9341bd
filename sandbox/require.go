package sandbox

import (
	"fmt"
	"strings"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/lua"
)

// loading stands in package.loaded for a module that runs right now.
var loading = lua.NewUserData(loadingValue{}, nil)

type loadingValue struct{}

// require runs a module once in each run of the script and returns what it returned: a library, what the
// script has put into package.loaded or package.preload, or a file of the tenant's lib folder.
func (s *State) require(L *lua.Thread) int {
	name := L.CheckString(1)
	L.Charge(10 + len(name)>>3)
	if v := s.loaded.GetString(name); v == loading {
		L.RaiseError("require: module %q requires itself, directly or through others", clip(s.p.env.Redact(name), 40))
	} else if v.Truth() {
		L.Push(v)
		return 1
	}
	load, err := s.loader(L, name)
	if err != nil {
		L.RaiseError("require: %s", err)
	}
	key := lua.String(name)
	L.RawSet(s.loaded, key, loading)
	done := false
	defer func() {
		if !done { // it raised: the next attempt runs it again
			s.loaded.Set(key, lua.Nil)
		}
	}()
	v := L.Call(load, lua.String(name))
	switch set := s.loaded.Get(key); {
	case !v.IsNil():
		L.RawSet(s.loaded, key, v)
	case set == loading:
		v = lua.True
		L.RawSet(s.loaded, key, v)
	default:
		v = set
	}
	done = true
	L.Push(v)
	return 1
}

// loader returns the function that makes a module.
func (s *State) loader(L *lua.Thread, name string) (lua.Value, error) {
	if preload := s.env.GetString("package").AsTable(); preload != nil {
		if t := preload.GetString("preload").AsTable(); t != nil {
			if f := t.GetString(name); f.AsFunction() != nil {
				return f, nil
			}
		}
	}
	if !validModule(name) {
		return lua.Nil, fmt.Errorf("%q is not a module's name: want parts of letters, digits, '_' and '-' joined by dots", clip(s.p.env.Redact(name), 40))
	}
	m, err := s.p.lib(L, name)
	if err != nil {
		return lua.Nil, err
	}
	return lua.NewFunction(m, s.env).Value(), nil
}

func validModule(name string) bool {
	if len(name) > object.MaxIDBytes {
		return false
	}
	for part := range strings.SplitSeq(name, ".") {
		if !object.ValidName(part) {
			return false
		}
	}
	return true
}
