package sandbox

import (
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/definition"
	"github.com/hearthhost/hearth/sandbox/services"
)

// Bounds that operators cannot change.
const (
	maxLogBytes = 8 << 10   // of one log line
	maxStack    = 256 << 10 // slots of the stack of a coroutine
)

// MaxMembers is the limit of members of an object.
const MaxMembers = definition.MaxMembers

// Config describes a script to load.
type Config struct {
	ID     object.ID // required
	Source []byte    // the script; copied
	// File is the name of the script in messages, for example "acme/counter.lua". The default is derived from ID.
	File string
	// Libs are the sources of the modules for require, by name. Load reads the map and does not retain it. The sources
	// are retained and must not change.
	Libs     map[string][]byte
	Services services.Set
	// Classes has the class names in values that leave the object outside of replies: in arguments of calls of other
	// objects, and in the state for the next version. nil supports Python's most frequent exceptions.
	Classes Classes
	// OnLongCall, if not nil, is called once for a call that runs longer than most. Other goroutines of the process may
	// have to wait for it.
	OnLongCall func()
	// OnCompute, if not nil, is called once for a call that computes for some thousand steps. Most calls are shorter.
	OnCompute func()
	Limits    object.Limits
}
