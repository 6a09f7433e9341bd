package catalog

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"github.com/hearthhost/hearth/sandbox/script"
)

// maxDeps bounds the require edges that are followed from an object, since tenants write the
// modules. An object with more edges counts as one that requires all modules.
const maxDeps = 1000

// deps is the set of modules that a source requires.
type deps struct {
	modules []string
	all     bool // unknown: may require every module
}

var wordRequire = []byte("require")

// requires returns the modules that a source requires. A mention in a comment counts as a
// call: an unneeded reload does no harm.
func requires(source []byte) (n deps) {
	for {
		i := bytes.Index(source, wordRequire)
		if i < 0 {
			return n
		}
		before := i > 0 && inWord(source[i-1])
		source = source[i+len(wordRequire):]
		if before || len(source) > 0 && inWord(source[0]) {
			continue // part of a longer name
		}
		rest := bytes.TrimLeft(source, " \t\r\n")
		rest = bytes.TrimLeft(bytes.TrimPrefix(rest, []byte("(")), " \t\r\n")
		name := 0
		for name+1 < len(rest) && (inWord(rest[name+1]) || rest[name+1] == '.' || rest[name+1] == '-') {
			name++
		}
		// An argument that is not a plain string literal may name every module.
		if name == 0 || rest[0] != '"' && rest[0] != '\'' || name+1 == len(rest) || rest[name+1] != rest[0] ||
			len(n.modules) == maxDeps {
			return deps{all: true}
		}
		n.modules = append(n.modules, string(rest[1:name+1]))
	}
}

// inWord reports whether a byte is part of a name.
func inWord(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// RequireGraph finds the modules that versions require. It scans each source once. The zero
// value is ready.
type RequireGraph struct {
	deps map[*byte]deps           // by the address of a source's first byte
	same map[[2]*script.Libs]bool // results of sameLibs
}

func (a *RequireGraph) direct(source []byte) deps {
	if len(source) == 0 {
		return deps{}
	}
	n, known := a.deps[&source[0]]
	if !known {
		n = requires(source)
		if a.deps == nil {
			a.deps = map[*byte]deps{}
		}
		a.deps[&source[0]] = n
	}
	return n
}

// Changes reports whether libs, as replacement of the version's modules, gives a different
// version.
func (a *RequireGraph) Changes(v *script.Version, libs *script.Libs) bool {
	if v.Libs == libs {
		return false
	}
	was, is := a.reachable(v.Script, v.Libs), a.reachable(v.Script, libs)
	if was != nil && is != nil {
		return !SameLibs(was, is)
	}
	pair := [2]*script.Libs{v.Libs, libs}
	same, known := a.same[pair]
	if !known {
		same = SameLibs(v.Libs.Scripts, libs.Scripts)
		if a.same == nil {
			a.same = map[[2]*script.Libs]bool{}
		}
		a.same[pair] = same
	}
	return !same
}

// reachable returns the modules that a script may require, directly and through others. It
// scans their sources. nil means all modules.
func (a *RequireGraph) reachable(s script.Script, libs *script.Libs) map[string]script.Script {
	out := map[string]script.Script{}
	todo := [][]byte{s.Source}
	for seen := 0; len(todo) > 0; todo = todo[1:] {
		n := a.direct(todo[0])
		if seen += len(n.modules); n.all || seen > maxDeps {
			return nil
		}
		for _, name := range n.modules {
			lib, there := libs.Scripts[name]
			if _, known := out[name]; there && !known {
				out[name] = lib
				todo = append(todo, lib.Source)
			}
		}
	}
	return out
}

// VersionModules returns the modules that a version may require.
func VersionModules(v *script.Version) map[string]script.Script {
	if out := new(RequireGraph).reachable(v.Script, v.Libs); out != nil {
		return out
	}
	return v.Libs.Scripts
}

// SumOf returns a version's name: 12 hexadecimal digits of a SHA-256 of its script and the
// modules that it may require.
func SumOf(v *script.Version) string {
	h := sha256.New()
	libs := VersionModules(v)
	put := func(text []byte) { _, _ = fmt.Fprintf(h, "%d:%s", len(text), text) }
	put(v.Script.Source)
	for _, name := range slices.Sorted(maps.Keys(libs)) {
		put([]byte(name))
		put(libs[name].Source)
	}
	return hex.EncodeToString(h.Sum(nil)[:6])
}

// SameLibs reports whether two sets of modules have the same names and sources.
func SameLibs(a, b map[string]script.Script) bool {
	if len(a) != len(b) {
		return false
	}
	for name, s := range a {
		if o, ok := b[name]; !ok || !bytes.Equal(s.Source, o.Source) {
			return false
		}
	}
	return true
}
