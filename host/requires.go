package host

import (
	"bytes"
	"regexp"

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

// touches reports whether a script runs on another source of any module with libs in the
// place of the modules that it has.
func touches(v *supervise.Version, libs *supervise.Libs) bool {
	if v.Libs == libs {
		return false
	}
	seen := map[string]bool{}
	var differs func(source []byte) bool
	differs = func(source []byte) bool {
		names, all := requires(source)
		if all {
			return !sameLibs(v.Libs.Scripts, libs.Scripts)
		}
		for _, name := range names {
			if seen[name] {
				continue
			}
			seen[name] = true
			old, had := v.Libs.Scripts[name]
			now, has := libs.Scripts[name]
			if had != has || !bytes.Equal(old.Source, now.Source) || has && differs(now.Source) {
				return true
			}
		}
		return false
	}
	return differs(v.Script.Source)
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
