// Package client calls objects of a host, or of any Pyro4 or Pyro5 daemon. A [Client] has a pool of connections to
// one address. [Client.Object] returns an object to call. The client never repeats a call. A [CallError] reports
// whether the call was executed, if known, and the caller decides.
//
// A client of an HTTP address has the same methods, with these differences: a call has positional or keyword arguments,
// not both; there are no batches; a request that was lost with an idle connection may be repeated by net/http if it
// reads an attribute or has an idempotency key. Compress, Protocol and Serializer have no effect. A [CallError] has the
// state that the host reports.
//
// Values are those of package codec.
package client
