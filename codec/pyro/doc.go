// Package pyro holds the parts of a payload that differ between Pyro4 and Pyro5: the numbers of serializers in message
// headers, and the names of classes. It also builds the metadata of objects. The layouts of calls are the same in both
// generations: [ScanCall] finds object and method at the head of a call without decoding the arguments. The host reads
// nothing else of a payload before the policy decision. [DecodeCall] decodes the arguments, in the process that runs
// the call.
//
// A [Format] joins a generation and a serializer. Its name is the [object.Format] of the calls of Pyro clients.
//
// Source: doc/wire.md "Payloads" and "Errors".
package pyro
