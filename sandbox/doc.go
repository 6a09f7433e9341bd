// Package sandbox is the Lua engine: it loads one object's script, says what it exposes,
// and runs calls on it within limits. Values come in and go out as [object.Sink] events,
// so it knows no serializer; it opens no file, socket or process, so whatever a script
// reaches outside itself is a method of [Services].
//
// A [Program] is a loaded script: immutable, shared by any number of goroutines. A
// [State] is one Lua state with at most one instance of the object in it; it belongs to
// one goroutine at a time. After a limit, a panic or a kill the state is broken and its
// owner closes it.
//
// What is metered: every VM instruction counts one step, and the built-in functions that
// work in proportion to their arguments charge for it first, ".." too. The memory that a
// script's values take is looked at from time to time (memory.go); what escapes that is
// left to the worker process's own limits.
//
// Source: doc/lua.md.
package sandbox
