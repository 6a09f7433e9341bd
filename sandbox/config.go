package sandbox

import (
	"context"

	"github.com/hearthhost/hearth/object"
)

// Env is what the engine asks of the process around it. Its methods may be called
// concurrently, each from the goroutine that runs a call.
type Env interface {
	// Log takes a line of a script. The level is "debug", "info", "warn" or "error"; the
	// message is the script's own and may hold anything.
	Log(id object.ID, level, msg string)
	// Proxy runs a call of one object on another. A [*RemoteException] is raised in the
	// script; of an [object.Error] the script sees the safe message. It returns when ctx
	// is done, at the latest.
	Proxy(ctx context.Context, r *ProxyCall) error
	// Secret returns a secret that is granted to an object, false for any other.
	Secret(id object.ID, name string) (value string, ok bool)
	// Long is told, once, of a call that has been running for longer than most: others of the
	// process may have to wait for it.
	Long()
	// Redact takes the secrets that were granted to any object of the process out of the first
	// most bytes of a text that is about to be logged or sent as an error. The rest is cut off.
	Redact(text string, most int) string
}

// ProxyCall is a call that a script makes on another object.
type ProxyCall struct {
	From object.ID // the calling object, as which the call is authorised
	// Alone says that From has one instance, which answers nobody else during the call.
	Alone  bool
	To     object.ID
	Kind   object.CallKind // Invoke, Get or Set
	Method object.Method
	// Chain is the objects through which the running call came, outermost first, without
	// From.
	Chain []object.ID
	// Args writes two values: the positional arguments as a tuple, and the keyword
	// arguments as a dict or Null. For Get and Set the first argument is the attribute's
	// name.
	Args func(object.Sink) error
	// Result takes the one value that the call returned.
	Result object.Sink
	Corr   [16]byte // the running call's correlation id
}

// RemoteException is an exception that another object raised.
type RemoteException struct {
	Class   string // bare, for example "ValueError"
	Args    []any  // nil, bool, string, int, int64, float64; anything else becomes text
	Message string // what to show if there are no Args
}

// Error returns the class and the message.
func (e *RemoteException) Error() string {
	if e.Message == "" {
		return e.Class
	}
	return e.Class + ": " + e.Message
}

// MaxMembers is how many members an object may expose.
const MaxMembers = 1000

// Bounds that are not for the operator to choose.
const (
	maxDepth     = 64        // containers inside each other, in and out
	maxElements  = 1_000_000 // values of one message, keys included
	maxArguments = 8000      // positional arguments of a call
	maxDigits    = 4300      // decimal digits of an integer, as in Python
	maxDocBytes  = 8 << 10   // of one member's documentation
	maxDocLines  = 1000      // of the comment that it is made of
	maxLogBytes  = 8 << 10   // of one log line
	maxStack     = 256 << 10 // slots of the stack of a coroutine
)

// Config says what to load.
type Config struct {
	ID     object.ID // required
	Source []byte    // the script; copied
	// File names the script in messages, for example "acme/counter.lua"; default from ID.
	File string
	// Libs are the sources of the modules that require finds, by name. The map is read
	// while Load runs and not kept; the sources are kept and must not change.
	Libs   map[string][]byte
	Env    Env // nil: log lines are dropped and every proxy call fails
	Limits object.Limits
}

// nowhere is the Env of a Config without one.
type nowhere struct{}

func (nowhere) Log(object.ID, string, string) {}

func (nowhere) Secret(object.ID, string) (string, bool) { return "", false }

func (nowhere) Long() {}

func (nowhere) Redact(text string, most int) string { return text[:min(most, len(text))] }

func (nowhere) Proxy(context.Context, *ProxyCall) error {
	return object.Errorf(object.CodeUnavailable, "this object cannot call others")
}
