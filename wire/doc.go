// Package wire turns bytes into Pyro messages and back, for protocol 48 (Pyro4) and 502
// (Pyro5), with one [Message] type for both. It knows headers, annotations and
// compression; what a payload says is the codec's business, and whether a message is
// welcome at this point of a conversation is the host's.
//
// Source: doc/wire.md "Messages"; vectors in testdata.
package wire
