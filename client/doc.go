// Package client calls objects of a host, or of any Pyro4 or Pyro5 daemon. A [Client] has a pool of connections to
// one address. [Client.Object] returns an object to call. The client never repeats a call. A [CallError] reports
// whether the call was executed, if known, and the caller decides.
//
// Values are those of package codec.
package client
