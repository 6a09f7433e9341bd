// Package api lists what a script can reach: the whole of it, as a test of package sandbox
// walks it. It is apart from the engine so that others can show the list without it.
package api

import (
	_ "embed"
	"strings"
)

//go:embed reachable.txt
var reachable string

// Entry is one name that a script can reach.
type Entry struct {
	Name string `json:"name"` // "string.rep"; "<bytes>.len": of every value of this kind
	Kind string `json:"kind"` // "function", "table", "string", "number" or "userdata"
}

// Entries returns every name, sorted.
func Entries() []Entry {
	var out []Entry
	for line := range strings.Lines(reachable) {
		name, kind, ok := strings.Cut(strings.TrimSpace(line), " ")
		name = strings.TrimPrefix(name, "_G.")
		if !ok || kind == "table" && name != "hearth" || name == "_G" || strings.HasPrefix(name, "<string>") {
			continue
		}
		out = append(out, Entry{name, kind})
	}
	return out
}
