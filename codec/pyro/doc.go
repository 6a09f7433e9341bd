// Package pyro holds the parts of a payload that differ between Pyro4 and Pyro5: the numbers of serializers in message
// headers, and the names of classes. It also builds the metadata of objects. The layouts of calls are the same in both
// generations and belong to package codec.
//
// A [Format] joins a generation and a serializer. Its name is the [object.Format] of the calls of Pyro clients.
//
// Source: doc/wire.md "Payloads" and "Errors".
package pyro
