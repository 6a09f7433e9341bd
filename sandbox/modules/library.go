// Package modules implements require, module and package.loaders for the modules in a tenant's lib folder.
//
// A [Library] holds the sources, and compiles them when they are required. It is shared by all states of a program. A
// [Loader] belongs to one VM.
package modules

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/lua"
	"github.com/hearthhost/hearth/sandbox/lua/stdlib"
)

// Library holds the modules in a tenant's lib folder. It compiles a module when it is first required. It is safe
// for concurrent use.
type Library struct {
	folder      string    // for messages, with a slash at the end
	path        lua.Value // package.path
	sourceBytes int       // limit of a source

	mu      sync.Mutex // guards the compiled code of the modules
	modules map[string]*module
}

// module is one source file. It is compiled when it is first required.
type module struct {
	name, file string
	source     []byte
	proto      *lua.Proto
	err        error
}

// NewLibrary makes a library of sources by module name. The map is read at once and not retained. The sources are
// retained and must not change. sourceBytes is the size limit of each.
func NewLibrary(tenant object.Tenant, sources map[string][]byte, sourceBytes int) *Library {
	l := &Library{folder: string(tenant) + "/lib/", sourceBytes: sourceBytes, modules: map[string]*module{}}
	l.path = lua.SharedString(l.folder + "?.lua;" + l.folder + "?/init.lua")
	for name, source := range sources {
		file := l.folder + strings.ReplaceAll(name, ".", "/") + ".lua"
		l.modules[name] = &module{name: name, file: file, source: source}
	}
	return l
}

// Source returns the source of the module in a file, or nil.
func (l *Library) Source(file string) []byte {
	for _, m := range l.modules {
		if m.file == file {
			return m.source
		}
	}
	return nil
}

// Files returns the files of the modules that were compiled, in order.
func (l *Library) Files() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var files []string
	for _, m := range l.modules {
		if m.proto != nil {
			files = append(files, m.file)
		}
	}
	slices.Sort(files)
	return files
}

// Compile compiles source. most is the limit of its length in bytes. It takes time in proportion to the length.
func Compile(file string, source []byte, most int) (*lua.Proto, error) {
	if len(source) > most {
		return nil, fmt.Errorf("%s: %d bytes of source (at most %d)", file, len(source), most)
	}
	source = bytes.TrimPrefix(source, []byte("\xef\xbb\xbf"))
	if bytes.HasPrefix(source, []byte("\x1b")) {
		return nil, fmt.Errorf("%s: compiled Lua is not accepted", file)
	}
	proto, err := lua.Compile(file, string(source))
	if lua.Unfinished(err) {
		return nil, fmt.Errorf("%w (is an 'end' missing?)", err)
	}
	return proto, err
}

// module returns the file of a module: name.lua, or init.lua in the folder name. It returns nil if neither exists.
func (l *Library) module(name string) *module {
	if m := l.modules[name]; m != nil {
		return m
	}
	return l.modules[name+".init"]
}

// compiled returns the code of a module. The first call compiles it, which L is charged for.
func (l *Library) compiled(L *lua.Thread, m *module) (*lua.Proto, error) {
	L.Charge(100)
	l.mu.Lock()
	known := m.proto != nil || m.err != nil
	l.mu.Unlock()
	if !known {
		L.Charge(stdlib.CompileSteps(len(m.source)))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if m.proto == nil && m.err == nil {
		m.proto, m.err = Compile(m.file, m.source, l.sourceBytes)
	}
	return m.proto, m.err
}
