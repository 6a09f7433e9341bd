// Package sandbox runs the Lua script of an object: it loads the script, describes the object, and runs calls on it
// within limits. Arguments and results are events of [object.Sink], so it imports no serializer. It opens no file,
// socket or process. Scripts reach the outside only through package services.
//
// A [Program] is a loaded script. It is immutable and safe for concurrent use. A [State] is one Lua state with at most
// one instance of the object. It belongs to one goroutine at a time. After a limit, a panic or a kill the state is
// broken, and its owner must close it.
//
// Metering: every VM instruction counts one step. A native function charges in advance for work in proportion to its
// arguments; so does the operator "..". The memory of a script's values is counted from time to time (package budget).
// The limits of the worker process bound the rest.
//
// The parts are packages: budget (limits), values (Lua values that Lua lacks), convert (values and events), modules
// (require), definition (hearth.object), services (interfaces of the process around), proxy (hearth.proxy), exception
// (values that a script raises) and heapsnap (changes since the script was run).
//
// Source: doc/lua.md.
package sandbox
