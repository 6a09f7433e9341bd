// Package object holds the nouns that every stage of a call shares: tenants, object
// ids, methods, principals, callers, calls, replies, error codes, and [Sink], the one
// interface through which values travel between a serializer and whatever holds them.
//
// It imports the standard library only, and every other package may import it. What a
// stage does with the nouns is the stage's business: nothing here reads the network,
// decides, or runs anything.
package object
