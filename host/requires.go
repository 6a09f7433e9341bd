package host

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/hearthhost/hearth/sandbox/supervise"
)

// literal is a call of require whose module stands there.
var literal = regexp.MustCompile(`\brequire\s*\(?\s*["']([A-Za-z0-9_.-]+)["']`)

// word is any mention of require.
var word = regexp.MustCompile(`\brequire\b`)

// requires returns the modules that a source asks for; all says that nobody can tell. It
// takes a mention in a comment for a call: to reload once too often does no harm.
func requires(source []byte) (names []string, all bool) {
	if !bytes.Contains(source, []byte("require")) {
		return nil, false
	}
	found := literal.FindAllSubmatch(source, -1)
	for _, m := range found {
		names = append(names, string(m[1]))
	}
	return names, len(found) < len(word.FindAllIndex(source, -1))
}

// touches reports whether a version would be another with libs in the place of the modules
// that it has.
func touches(v *supervise.Version, libs *supervise.Libs) bool {
	return v.Libs != libs && !sameLibs(asked(v), asked(&supervise.Version{Script: v.Script, Libs: libs}))
}

// asked returns the modules that a version may ask for: by what stands in its sources, or
// all of them.
func asked(v *supervise.Version) map[string]supervise.Script {
	out := map[string]supervise.Script{}
	todo := [][]byte{v.Script.Source}
	for len(todo) > 0 {
		names, all := requires(todo[0])
		todo = todo[1:]
		if all {
			return v.Libs.Scripts
		}
		for _, name := range names {
			lib, there := v.Libs.Scripts[name]
			if _, seen := out[name]; there && !seen {
				out[name] = lib
				todo = append(todo, lib.Source)
			}
		}
	}
	return out
}

// sumOf names what a version is made of: the beginning of a SHA-256 of its script and of the
// modules that it may ask for, in hexadecimal.
func sumOf(v *supervise.Version) string {
	h := sha256.New()
	libs := asked(v)
	put := func(text []byte) { _, _ = fmt.Fprintf(h, "%d:%s", len(text), text) }
	put(v.Script.Source)
	for _, name := range slices.Sorted(maps.Keys(libs)) {
		put([]byte(name))
		put(libs[name].Source)
	}
	return hex.EncodeToString(h.Sum(nil)[:6])
}

// sameLibs reports whether two sets of modules are the same.
func sameLibs(a, b map[string]supervise.Script) bool {
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
