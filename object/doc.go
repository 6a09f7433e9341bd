// Package object holds the types that all stages of a call share: tenants, object ids, methods, principals, callers,
// calls, replies and error codes. [Sink] is the interface through which values pass between a serializer and the
// owner of the values.
//
// The package imports the standard library only, and every other package may import it. It does no input or output,
// makes no decisions and runs no calls.
package object
