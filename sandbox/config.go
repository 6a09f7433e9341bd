package sandbox

import (
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/definition"
)

// Bounds that are not for the operator to choose.
const (
	maxLogBytes = 8 << 10   // of one log line
	maxStack    = 256 << 10 // slots of the stack of a coroutine
)

// MaxMembers is the limit of members of an object.
const MaxMembers = definition.MaxMembers

// Config says what to load.
type Config struct {
	ID     object.ID // required
	Source []byte    // the script; copied
	// File names the script in messages, for example "acme/counter.lua"; default from ID.
	File string
	// Libs are the sources of the modules that require finds, by name. The map is read
	// while Load runs and not kept; the sources are kept and must not change.
	Libs     map[string][]byte
	Services Services
	// OnLongCall, if not nil, is called once of a call that runs for longer than most: other goroutines of the
	// process may have to wait for it.
	OnLongCall func()
	Limits     object.Limits
}
