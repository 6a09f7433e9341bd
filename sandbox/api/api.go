// Package api lists the names that a script can reach. A test of package sandbox compares the list with the engine. The
// list is separate, so that other packages can show it without importing the engine.
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
