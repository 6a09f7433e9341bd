package store

import (
	"github.com/hearthhost/hearth/object"
)

// Classes of errors, as a script reads them.
const (
	ClassFull     = "StoreFull"     // a quota is reached
	ClassConflict = "StoreConflict" // a key has another version than required
	ClassType     = "TypeError"     // a value is not an integer, see [Increment]
)

// ErrFenced is the error of a commit after another process has taken the ownership of the store. Nothing is stored.
var ErrFenced = object.Errorf(object.CodeUnavailable,
	"store: another host process owns the state of this tenant; not stored")

// ErrMoved is the error of operations after the store was given to the process that replaces this one.
var ErrMoved = object.Errorf(object.CodeUnavailable,
	"store: the state of this tenant has moved to the new host process; connect again; not stored")

// ErrUnknown is the error of a commit that the disk may have or not. The tenant's store is off until a write shows
// which.
var ErrUnknown = object.Errorf(object.CodeUnavailable,
	"store: the disk failed while the state was written; stored: unknown")

// Conflict returns the error for a key that has another version than required.
func Conflict(key string) error {
	return &object.Error{
		Code:  object.CodeUnavailable,
		Class: ClassConflict,
		Msg:   "store: " + Shown(key) + " was changed by another call; not stored",
	}
}

// Repeated returns the error for a call that is executed at most once and has been.
func Repeated(call CallKey) error {
	return &object.Error{
		Code:  object.CodeUnavailable,
		Class: ClassConflict,
		Msg:   "store: the call with the idempotency key " + Shown(call.Key) + " has been executed; not stored",
	}
}

// TooManyAnswers returns the error for a call that is executed at most once by an object that keeps [MaxAnswers].
func TooManyAnswers(id object.ID) error {
	return object.Errorf(object.CodeExhausted, "limit exceeded: %s keeps %d answers of calls with idempotency keys; "+
		"not stored", id, MaxAnswers)
}

// Full returns the error for a write beyond a quota. limit is the name of the limit in the policy.
func Full(what, limit string, max int64) error {
	e := object.Errorf(object.CodeExhausted, "limit exceeded: the state of the %s takes more than %d bytes (%s); "+
		"not stored", what, max, limit)
	e.Class = ClassFull
	return e
}

// NotInteger returns the error for an increment of a value that is not an integer, or that leaves the range of integers
// up to 2^53.
func NotInteger(key string) error {
	e := object.Errorf(object.CodeInvalid, "store: the value of %s is not an integer of at most 2^53; not stored",
		Shown(key))
	e.Class = ClassType
	return e
}

// MaxInteger bounds the absolute value of an integer that [Increment] changes: numbers of Lua are exact up to it.
const MaxInteger = 1 << 53

// Add returns a value after an increment, and its integer. A nil value counts as 0.
func Add(key string, value []byte, delta int64) ([]byte, int64, error) {
	n, ok := integer(value)
	if !ok || delta > MaxInteger || delta < -MaxInteger {
		return nil, 0, NotInteger(key)
	}
	n += delta
	if n > MaxInteger || n < -MaxInteger {
		return nil, 0, NotInteger(key)
	}
	return appendInteger(nil, n), n, nil
}
