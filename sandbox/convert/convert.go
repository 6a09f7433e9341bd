// Package convert turns events of [object.Sink] into Lua values, and Lua values into such events.
//
// A [Builder] is the sink for arguments. An [Encoder] writes results. Both charge for their work, so that the limits of
// a call include it, and both bound depth, number and size of the values.
package convert

import (
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/budget"
	"github.com/hearthhost/hearth/sandbox/lua"
	"github.com/hearthhost/hearth/sandbox/values"
)

const (
	maxDepth     = 64        // nesting depth of containers, in arguments and results
	maxElements  = 1_000_000 // values of one message, keys included
	maxArguments = 8000      // positional arguments of a call
)

// Config connects a Builder and an Encoder to their Lua state. All fields are required.
type Config struct {
	Thread *lua.Thread // the main thread of the state
	Types  *values.Types
	Meter  *budget.Meter
	// Redact replaces secrets in the first most bytes of a text, and cuts off the rest.
	Redact func(text string, most int) string
	// KnownClass reports whether dicts of a class are accepted as arguments.
	KnownClass func(name string) bool
	// Stored has the class names of values that stay inside the host, such as stored ones.
	Stored Classes
	// Qualify returns the name under which the caller has an exception class, and arguments that fit the class.
	Qualify func(class string, args []lua.Value, message string) (string, []lua.Value)
	// OnLimit is called if writing a result has exceeded a limit: the call has no result, so the state must end.
	OnLimit func(*object.Error)
}

// New returns the builder and the encoder of a Lua state. They belong to the goroutine of the state.
func New(c Config) (*Builder, *Encoder) {
	b := &Builder{
		config: c,
		types:  c.Types,
		l:      c.Thread,
		names:  map[string]lua.Value{},
	}
	return b, &Encoder{config: c, types: c.Types}
}
