// Package services declares the services that the process around the Lua engine offers to running objects: calls of
// other objects, the log, secrets, and durable state.
//
// The engine uses the interfaces and does not import an implementation. The worker process implements them over its
// link to the host (sandbox/worker/services). A service that is missing fails, and does not end the call.
package services

import (
	"context"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/values"
	"github.com/hearthhost/hearth/service/store"
)

// Set has the services of the process around the engine that a running object can use. Their methods may be
// called concurrently, each from the goroutine that runs a call.
type Set struct {
	Objects Objects // nil: every call of another object fails
	Log     Log     // nil: log lines are dropped
	Secrets Secrets // nil: no object has a secret, and texts are not redacted
	Store   Store   // nil: every operation fails
}

// Store stores the state of objects. The error of a method is safe to show to the script if it is an [object.Error].
// The context names the running call. See [store.Engine].
type Store interface {
	Get(ctx context.Context, id object.ID, key string) (store.Item, error)
	List(ctx context.Context, id object.ID, r store.Range) (items []store.Item, more bool, err error)
	// Commit returns when the batch is durable.
	Commit(ctx context.Context, b *store.Batch) (store.Result, error)
	// Lock waits until the caller may commit for an object whose calls overlap: shared with other calls that commit, or
	// alone, for a transaction. After it succeeded, Unlock must follow.
	Lock(ctx context.Context, id object.ID, shared bool) error
	Unlock(id object.ID, shared bool)
	// Settle waits for the commits of an object that have begun, for example by an instance that was killed.
	Settle(ctx context.Context, id object.ID) error
}

// Objects calls other objects.
type Objects interface {
	// Call runs a call of one object on another. A [*RemoteException] is raised in the script. Of an [object.Error] the
	// script receives the safe message. Call returns when ctx is done, at the latest.
	Call(ctx context.Context, c *ObjectCall) error
}

// Log takes the log lines of scripts.
type Log interface {
	// Line logs one line of an object. The level is "debug", "info", "warn" or "error". The text comes from the
	// script and may hold any bytes.
	Line(id object.ID, level, text string)
}

// Secrets holds the secrets that the policy grants to the objects of the process.
type Secrets interface {
	// Secret returns a secret that is granted to an object, false for any other.
	Secret(id object.ID, name string) (value string, ok bool)
	// Redact replaces the secrets of all objects of the process in the first most bytes of a text that is about to
	// be logged or sent as an error. The rest is cut off.
	Redact(text string, most int) string
}

// ObjectCall is a call that a script makes on another object. The context of [Objects.Call] names the running call.
type ObjectCall struct {
	From      object.ID // calling object, as which the call is authorised
	Exclusive bool      // From has one instance, which serves no other call meanwhile
	To        object.ID
	Kind      object.CallKind // Invoke, Get or Set
	Method    object.Method
	// Args writes two values: the positional arguments as a tuple, and the keyword arguments as a dict or Null.
	// For Get and Set the first argument is the attribute's name.
	Args func(object.Sink) error
	// Result takes the one value that the call returned.
	Result object.Sink
}

// RemoteException is an exception that another object raised.
type RemoteException struct {
	Class   string         // "ValueError", without the module for classes of Python and Pyro
	Args    []any          // nil, bool, string, int, int64, float64; anything else becomes text
	Fields  map[string]any // values as in Args
	Message string         // message to show if Args is empty
}

// Error returns the class and the message.
func (e *RemoteException) Error() string {
	if e.Message == "" {
		return e.Class
	}
	return e.Class + ": " + e.Message
}

// Shown returns the beginning of a text, about n bytes, for a log or an error, without secrets. Scripts choose the
// length of the text, so secrets are removed before it is cut.
func (s Set) Shown(text string, n int) string {
	return values.Clip(s.Secrets.Redact(text, n+1), n)
}

// WithDefaults returns s with an implementation for each missing service.
func (s Set) WithDefaults() Set {
	if s.Objects == nil {
		s.Objects = noService{}
	}
	if s.Log == nil {
		s.Log = noService{}
	}
	if s.Secrets == nil {
		s.Secrets = noService{}
	}
	if s.Store == nil {
		s.Store = noService{}
	}
	return s
}

// noService implements every service for a Set without it.
type noService struct{}

func (noService) Call(context.Context, *ObjectCall) error {
	return object.Errorf(object.CodeUnavailable, "this object cannot call others")
}

func (noService) Line(object.ID, string, string) {}

func (noService) Secret(object.ID, string) (string, bool) { return "", false }

func (noService) Redact(text string, most int) string { return text[:min(most, len(text))] }

var errNoStore = object.Errorf(object.CodeUnavailable, "store: this object has no durable state here")

func (noService) Get(context.Context, object.ID, string) (store.Item, error) {
	return store.Item{}, errNoStore
}

func (noService) List(context.Context, object.ID, store.Range) ([]store.Item, bool, error) {
	return nil, false, errNoStore
}

func (noService) Commit(context.Context, *store.Batch) (store.Result, error) {
	return store.Result{}, errNoStore
}

func (noService) Lock(context.Context, object.ID, bool) error { return errNoStore }

func (noService) Unlock(object.ID, bool) {}

func (noService) Settle(context.Context, object.ID) error { return errNoStore }
