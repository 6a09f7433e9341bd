// Package wire converts between bytes and Pyro messages, for protocol 48 (Pyro4) and 502 (Pyro5), with one [Message]
// type for both. It reads and writes headers, annotations, compression and signatures. Payloads belong to package
// codec; the order of messages belongs to the host.
//
// A [Parser] finds messages in bytes and does no I/O. A [Reader] is a loop around it that reads a stream.
//
// Source: doc/wire.md "Messages"; vectors in testdata.
package wire
